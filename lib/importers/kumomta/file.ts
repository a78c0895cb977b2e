/** What the importers of KumoMTA's files share. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { ImportDraft } from '../draft.ts';
import type { SourceFiles } from '../source-files.ts';
import type { TomlSource } from './toml.ts';

/** A parsed file. */
export interface KumoFile {
  readonly draft: ImportDraft;
  readonly files: SourceFiles;
  readonly file: string;
  readonly path: string;
  readonly toml: TomlSource;
  /** Address by name of a source. */
  readonly sources: Map<string, string>;
}

/** The canonical form of an address; undefined for any other value. */
export function ipOf(value: unknown): string | undefined {
  return typeof value === 'string' && isIP(value) !== 0 ? ipaddr.process(value).toString() : undefined;
}
