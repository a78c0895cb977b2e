/**
 * The directives of each product's manual that are tried on the importers, and what becomes of them: the figure of how
 * many are understood. The corpus is one configuration of each product with every directive in it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImportDraft } from './draft.ts';
import { readExim } from './exim/exim.ts';
import type { FindingState } from './finding.ts';
import { readKumoMta } from './kumomta/kumomta.ts';
import { readPostfix } from './postfix/postfix.ts';
import { readPowerMta } from './powermta/powermta.ts';
import { SourceMap } from './source-files.ts';

/** A directive of a manual, and what an import says of it. */
export interface DirectiveState {
  readonly directive: string;
  readonly state: FindingState;
  readonly text: string;
}

export interface Coverage {
  readonly product: string;
  readonly source: string;
  /** In the order of the corpus, each once. */
  readonly directives: readonly DirectiveState[];
  /** Of those that concern sending. */
  readonly sending: number;
  readonly understood: number;
  readonly unknown: readonly string[];
}

const SOURCES: readonly (readonly [string, string, (text: string) => ImportDraft])[] = [
  [
    'Postfix',
    'postfix.txt',
    (text) => readPostfix(new SourceMap({ 'main.cf': text, 'master.cf': 'smtp unix - - y - - smtp' })),
  ],
  ['Exim', 'exim.txt', (text) => readExim(new SourceMap({ 'exim.conf': text }))],
  ['PowerMTA', 'powermta.txt', (text) => readPowerMta(new SourceMap({ config: text }))],
  ['KumoMTA', 'kumomta.txt', (text) => readKumoMta(new SourceMap(filesOf(text)))],
];

/** Runs every corpus. */
export function coverage(): Coverage[] {
  return SOURCES.map(([product, file, read]) => {
    const text = readFileSync(join(import.meta.dirname, 'corpus', file), 'utf8');
    const found = new Map<string, DirectiveState>();
    for (const { directive, state, text: said } of read(text).findings.list) {
      // A directive with several effects is one; what was not taken of it counts.
      const known = found.get(directive);
      if (known === undefined || known.state === 'taken')
        found.set(directive, { directive, state, text: said });
    }
    const directives = [...found.values()];
    const sending = directives.filter(({ state }) => state !== 'aside');
    const unknown = sending
      .filter(({ state }) => state === 'unknown' || state === 'fault')
      .map(({ directive }) => directive);
    return {
      product,
      source: file,
      directives,
      sending: sending.length,
      understood: sending.length - unknown.length,
      unknown,
    };
  });
}

/** Files of a corpus that is several: each begins with `#= name`. */
function filesOf(text: string): Record<string, string> {
  const files: Record<string, string> = {};
  let name = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('#= ')) files[(name = line.slice(3))] = '';
    else if (name !== '') files[name] += `${line}\n`;
  }
  return files;
}
