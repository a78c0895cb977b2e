/** The report of an import, for a person and for a program. */
import type { DocumentChangeDraft } from './apply.ts';
import type { ImportDraft, StartDraft } from './draft.ts';
import { type FindingState, type ImportFinding, STATES } from './finding.ts';

const WORDS: Readonly<Record<FindingState, string>> = {
  taken: 'taken',
  changed: 'changed',
  already: 'already so',
  impossible: 'NOT TAKEN',
  aside: 'not sending',
  unknown: 'UNKNOWN',
  fault: 'FAULT',
};

/** Control characters of a stranger's file would rewrite the terminal. */
function shown(text: string, length: number): string {
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
  return clean.length > length ? `${clean.slice(0, length - 1)}…` : clean;
}

/** A finding as a line: state, place, directive, what was done or what to do. */
export function lineOf({ state, file, line, directive, value, text }: ImportFinding): string {
  const place = file === '' ? '' : line > 0 ? `${shown(file, 60)}:${line}` : shown(file, 60);
  const what = [shown(directive, 60), value === undefined ? '' : shown(value, 60)].filter(Boolean).join(' ');
  return `${WORDS[state].padEnd(11)} ${place.padEnd(22)} ${what}\n${' '.repeat(12)}${shown(text, 600)}`;
}

/** Writes the report. @param all also what does not concern sending. */
export function writeReport(
  draft: ImportDraft,
  changes: readonly DocumentChangeDraft[],
  { all, write }: { all: boolean; write: (line: string) => void },
): void {
  const { findings } = draft;
  for (const finding of findings.list) if (all || finding.state !== 'aside') write(lineOf(finding));
  if (findings.left > 0) write(`… and ${findings.left} more, of which only the counts are shown.`);
  write('');
  write(summary(draft));
  for (const { kind, value, replaced, same } of changes) {
    if (same) {
      write(`\nDocument ${kind}: is so already.`);
      continue;
    }
    write(`\nDocument ${kind}:\n${JSON.stringify(value, undefined, 2)}`);
    for (const { path, before, after } of replaced) {
      write(
        `  replaces ${path}: ${shown(JSON.stringify(before), 200)} by ${shown(JSON.stringify(after), 200)}`,
      );
    }
  }
  for (const [name, { pool }] of draft.sets)
    write(`Configuration set ${name}${pool ? `, pool ${pool}` : ''}.`);
  for (const { name, key, configurationSet } of draft.identities.values()) {
    write(
      `Identity ${name}${key ? `, signed by ${key.selector}` : ', with a new key'}${configurationSet ? `, configuration set ${configurationSet}` : ''}.`,
    );
  }
  if (draft.templates.size > 0) write(`${draft.templates.size} templates.`);
  if (draft.suppressions.length > 0)
    write(`${draft.suppressions.length} files or addresses for the suppression list.`);
  const start = startFile(draft.start);
  if (start !== undefined) write(`\nInto postern.config.ts, by hand, because no API changes it:\n${start}`);
}

/** `12 taken, 3 changed, …`. */
export function summary({ findings: { counts } }: ImportDraft): string {
  return STATES.map((state) => `${counts[state]} ${WORDS[state].toLowerCase()}`).join(', ');
}

/** The settings as a file; undefined when there are none. */
export function startFile(start: StartDraft): string | undefined {
  const settings = Object.fromEntries(
    Object.entries(start).filter(([, value]) =>
      Array.isArray(value)
        ? value.length > 0
        : typeof value === 'object'
          ? Object.keys(value as object).length > 0
          : value !== undefined,
    ),
  );
  if (Object.keys(settings).length === 0) return undefined;
  return `export default defineConfig(${JSON.stringify(settings, undefined, 2)});`;
}
