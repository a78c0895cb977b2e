/**
 * KumoMTA: the TOML files that its policy helpers read (sources, shaping, queues, dkim_data, listener_domains).
 * Policy in Lua is a program; what it does goes into `postern.policy.ts`.
 */
import { basename } from 'node:path';
import { ImportDraft } from '../draft.ts';
import { SourceFault, type SourceFiles, type SourceText } from '../source-files.ts';
import { takeDkim } from './dkim-data.ts';
import type { KumoFile } from './file.ts';
import { takeListenerDomains } from './listener-domains.ts';
import { takeQueues } from './queues.ts';
import { takeShaping } from './shaping.ts';
import { takeSources } from './sources.ts';
import { readToml, type TomlSource } from './toml.ts';

const KINDS: readonly (readonly [RegExp, RegExp, (file: KumoFile) => void])[] = [
  [/sources?/i, /^(source|pool)$/, takeSources],
  [/shaping/i, /^(default|provider)$/, takeShaping],
  [/queues?/i, /^(tenant|queue|scheduling_header)$/, takeQueues],
  [/dkim/i, /^(base|signature)$/, takeDkim],
  [/listener/i, /^$/, takeListenerDomains],
];

/** Reads the files. @throws SourceFault when there is none. */
export function readKumoMta(files: SourceFiles): ImportDraft {
  const draft = new ImportDraft();
  const paths = files.all().filter((path) => /\.(toml|json)$/i.test(path));
  if (paths.length === 0) throw new SourceFault('has no .toml file');
  const sources = new Map<string, string>();
  const parsed: { order: number; take: (file: KumoFile) => void; file: KumoFile }[] = [];
  for (const path of paths) {
    const at = { file: basename(path), line: 0, directive: 'file' };
    try {
      const text = files.read(path);
      const toml = /\.json$/i.test(path) ? jsonOf(text) : readToml(text.lines);
      const keys = Object.keys(toml.table);
      const order = KINDS.findIndex(([name]) => name.test(basename(path)));
      const kind = order >= 0 ? order : KINDS.findIndex(([, key]) => keys.some((one) => key.test(one)));
      if (kind < 0)
        draft.note(
          { ...at, file: text.path },
          'unknown',
          'is none of sources, shaping, queues, dkim_data and listener_domains by its name or its tables.',
        );
      else
        parsed.push({
          order: kind,
          take: KINDS[kind]![2],
          file: { draft, files, file: text.path, path, toml, sources },
        });
    } catch (error) {
      if (!(error instanceof SourceFault)) throw error;
      draft.note(at, 'fault', `${error.message}. Nothing of it was taken.`);
    }
  }
  for (const { take, file } of parsed.toSorted((a, b) => a.order - b.order)) take(file);
  for (const path of files.all().filter((one) => /\.lua$/i.test(one))) {
    draft.note(
      { file: basename(path), line: 0, directive: 'policy' },
      'impossible',
      'is a program in Lua, and was not read. What it decides for each message goes into postern.policy.ts (lib/policy/README.md).',
    );
  }
  return draft;
}

function jsonOf({ lines }: SourceText): TomlSource {
  try {
    const table: unknown = JSON.parse(lines.join('\n'));
    if (typeof table === 'object' && table !== null)
      return { table: table as TomlSource['table'], lineOf: () => 0 };
  } catch {
    // The next line says so.
  }
  throw new SourceFault('is no JSON object');
}
