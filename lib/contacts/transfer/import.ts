/**
 * Imports a file line by line, in bounded memory:
 *
 * ```
 *  bytes ─► lines ─► rows of the format ─► window of rows, stored at one time ─► counts
 *             └─ unreadable ──┴─ invalid ───────┴─ refused ─► a failure: line, what, why
 * ```
 * Good rows are taken whatever stands around them. A failure of the store ends the import; a file may be sent again
 * whole, because the same rows change nothing twice.
 */
import { PosternError } from '../../errors.ts';
import { type FileLine, readLines } from './lines.ts';

/** A row that was not taken. */
export interface RowFailure {
  /** From 1. */
  line: number;
  /** Start of the line. */
  what: string;
  /** Sentence for a person. */
  why: string;
}

export interface ImportCounts {
  /** Rows seen, without the header and empty lines. */
  rows: number;
  /** Rows that are in force now. */
  taken: number;
  /** Rows that changed nothing: a newer entry exists, or they ask for nothing. */
  unchanged: number;
  failed: number;
}

/** A file of which no row can be read: the import ends. */
export class UnreadableFile extends PosternError {
  constructor(message: string) {
    super('bad_request', message);
  }
}

/** How a kind of row is read and stored. */
export interface RowTarget<T> {
  /** Reads a line. @returns undefined for a header. @throws PosternError why the row is invalid; `UnreadableFile`. */
  read(text: string): T | undefined;
  /** The rows of one key are stored one after the other. */
  keyOf(row: T): string;
  /** Stores a row. @returns whether it is in force. @throws PosternError why the row is refused, or of the storage group. */
  store(row: T, line: number): Promise<boolean>;
}

export interface ImportOptions<T> {
  source: AsyncIterable<Uint8Array>;
  target: RowTarget<T>;
  /** Takes failures in the order of lines, a group at a time. */
  onFailures(failures: RowFailure[]): Promise<void>;
  /** Called after each window with the counts and the lines so far. */
  onProgress?(counts: Readonly<ImportCounts>, line: number): Promise<void>;
  /** Lines that an earlier run has done, and what it has counted. Absent: none. */
  done?: number;
  counts?: Readonly<ImportCounts>;
}

/** Rows that are stored at one time. */
const WINDOW = 500;
/** Characters of a line that a failure repeats. */
const SHOWN = 200;

/** Errors that are the store's, not the row's. */
function isOurs(error: unknown): boolean {
  return !(error instanceof PosternError) || error.entry.fault !== 'caller';
}

/** @throws PosternError of the storage group; `bad_request` when the file as a whole cannot be read. */
export async function importRows<T>(options: ImportOptions<T>): Promise<ImportCounts> {
  const { source, target, onFailures, onProgress, done = 0 } = options;
  const counts: ImportCounts = { rows: 0, taken: 0, unchanged: 0, failed: 0, ...options.counts };
  let last = done;
  let first = true;
  const failures: RowFailure[] = [];
  const window = new Map<string, { row: T; line: FileLine & { text: string } }>();

  function fail({ number, ...line }: FileLine, why: string): void {
    counts.failed += 1;
    const what = 'text' in line ? line.text.slice(0, SHOWN) : '';
    failures.push({ line: number, what, why });
  }

  async function flush(): Promise<void> {
    const stored = await Promise.all(
      Array.from(window.values(), async ({ row, line }) => {
        try {
          return await target.store(row, line.number);
        } catch (error) {
          if (isOurs(error)) throw error;
          return { line, why: (error as PosternError).message };
        }
      }),
    );
    window.clear();
    for (const one of stored) {
      if (typeof one === 'object') fail(one.line, one.why);
      else if (one) counts.taken += 1;
      else counts.unchanged += 1;
    }
    if (failures.length > 0) {
      failures.sort((a, b) => a.line - b.line);
      await onFailures(failures.splice(0));
    }
    await onProgress?.(counts, last);
  }

  for await (const line of readLines(source)) {
    if (line.number <= done) {
      // The first line may name the columns.
      if (first && 'text' in line) readRow(target, line, () => {});
      first = false;
      continue;
    }
    first = false;
    if ('fault' in line) {
      counts.rows += 1;
      fail(line, `The line ${line.fault}.`);
    } else {
      const row = readRow(target, line, (why) => {
        counts.rows += 1;
        fail(line, why);
      });
      if (row !== undefined) {
        counts.rows += 1;
        const key = target.keyOf(row);
        if (window.has(key)) await flush();
        window.set(key, { row, line });
      }
    }
    last = line.number;
    if (window.size + failures.length >= WINDOW) await flush();
  }
  await flush();
  return counts;
}

function readRow<T>(
  target: RowTarget<T>,
  line: { text: string },
  refuse: (why: string) => void,
): T | undefined {
  try {
    return target.read(line.text);
  } catch (error) {
    if (!(error instanceof PosternError) || error instanceof UnreadableFile) throw error;
    refuse(error.message);
    return undefined;
  }
}
