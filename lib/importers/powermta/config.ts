/** Reads PowerMTA's configuration: directives, blocks and includes. Pure but for the files it is given. */
import { DAY, HOUR, MINUTE, SECOND } from '../../time.ts';
import type { ImportDraft } from '../draft.ts';
import type { SourcePlace } from '../finding.ts';
import { SourceFault, type SourceFiles } from '../source-files.ts';

/** A directive, and the blocks around it from the outside in. */
export interface Statement {
  readonly name: string;
  readonly value: string;
  readonly at: SourcePlace;
  readonly blocks: readonly Block[];
}

export interface Block {
  /** `domain`, `virtual-mta`, in lower case. */
  readonly kind: string;
  readonly name: string;
  readonly at: SourcePlace;
}

const DEEPEST = 20;
/** Statements of all files: bounds the time of a file that is hostile or no configuration. */
const MOST = 1_000_000;

/** The statements of a file and of those that it includes, in their order. */
export function readStatements(
  draft: ImportDraft,
  files: SourceFiles,
  path: string,
): { statements: Statement[]; blocks: Block[] } {
  const statements: Statement[] = [];
  const blocks: Block[] = [];
  const reading: string[] = [];
  const read = (file: string, from: string | undefined, around: readonly Block[], by: SourcePlace) => {
    if (reading.length >= DEEPEST)
      return draft.note(by, 'fault', `includes are ${DEEPEST} deep; the rest was not read.`);
    let source: ReturnType<SourceFiles['read']>;
    try {
      source = files.read(file, from);
    } catch (error) {
      if (!(error instanceof SourceFault)) throw error;
      return draft.note(by, 'fault', `${file} ${error.message}. What it sets was not taken.`);
    }
    if (reading.includes(source.path))
      return draft.note(by, 'fault', `${source.path} includes itself; it is read once.`);
    reading.push(source.path);
    const open = [...around];
    for (const [i, raw] of source.lines.entries()) {
      const line = raw.replace(/(^|\s)#.*$/, '').trim();
      if (line === '') continue;
      const at = { file: source.path, line: i + 1 };
      const close = /^<\s*\/\s*([\w-]+)\s*>$/.exec(line);
      const begin = /^<\s*([\w-]+)([^>]*)>$/.exec(line);
      if (close) {
        const kind = close[1]!.toLowerCase();
        if (open.length > around.length && open.at(-1)!.kind === kind) open.pop();
        else
          draft.note({ ...at, directive: line.slice(0, 80) }, 'fault', `closes ${kind}, which is not open.`);
      } else if (begin) {
        const block = {
          kind: begin[1]!.toLowerCase(),
          name: begin[2]!.trim(),
          at: { ...at, directive: line.slice(0, 80) },
        };
        open.push(block);
        blocks.push(block);
      } else if (line.startsWith('<')) {
        draft.note({ ...at, directive: line.slice(0, 80) }, 'fault', 'is a block that is not closed by >.');
      } else if (statements.length < MOST) {
        const [, name = '', value = ''] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
        const place = { ...at, directive: name, value };
        if (name.toLowerCase() === 'include') include(value, place, open);
        else
          statements.push({
            name: name.toLowerCase(),
            value: value.replace(/^"(.*)"$/, '$1'),
            at: place,
            blocks: [...open],
          });
      }
    }
    for (const block of open.slice(around.length))
      draft.note(block.at, 'fault', `<${block.kind}> is not closed; the file may be cut off.`);
    reading.pop();
  };
  const include = (value: string, at: SourcePlace, around: readonly Block[]) => {
    if (/^https?:/i.test(value))
      return draft.note(at, 'impossible', 'a URL is not fetched. Save it as a file, and include that.');
    try {
      const found = files.glob(value, at.file);
      draft.note(
        at,
        found.length > 0 ? 'taken' : 'fault',
        found.length > 0 ? `${found.length} read.` : 'no file has this name.',
      );
      for (const file of found) read(file, at.file, around, at);
    } catch (error) {
      if (!(error instanceof SourceFault)) throw error;
      draft.note(at, 'fault', `${value} ${error.message}.`);
    }
  };
  read(path, undefined, [], { file: path, line: 0, directive: 'file' });
  return { statements, blocks };
}

const UNITS: Readonly<Record<string, number>> = {
  s: SECOND,
  sec: SECOND,
  m: MINUTE,
  min: MINUTE,
  h: HOUR,
  hr: HOUR,
  hour: HOUR,
  d: DAY,
  day: DAY,
  w: 7 * DAY,
};

/** `4d12h`, `90s`, `10m`, a bare number of seconds; ms. Undefined for anything else. */
export function intervalOf(text: string): number | undefined {
  if (/^\d{1,9}$/.test(text)) return Number(text) * SECOND;
  if (!/^(\d{1,9}\s*[a-z]+\s*)+$/i.test(text)) return undefined;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)\s*([a-z]+)/gi)) {
    const size = UNITS[unit!.toLowerCase()];
    if (size === undefined) return undefined;
    sum += Number(count) * size;
  }
  return sum;
}

/** `unlimited`, `100/h`, `1000/5min`; undefined for anything else. */
export function pmtaRateOf(text: string): { count: number; per: number } | 'unlimited' | undefined {
  if (/^unlimited$/i.test(text)) return 'unlimited';
  const parts = /^(\d{1,9})\s*\/\s*(\d{0,6})\s*([a-z]+)$/i.exec(text);
  const unit = parts === null ? undefined : UNITS[parts[3]!.toLowerCase()];
  if (unit === undefined || Number(parts![1]) === 0) return undefined;
  return { count: Number(parts![1]), per: Number(parts![2] || '1') * unit };
}
