/**
 * The settlement journal: what peers have answered and the storage does not have yet. A note is handed to the kernel
 * as soon as its reply was read, and not synced: it outlives the process, which may be killed at any instant, and not the
 * machine, whose power cuts are the business of the storage's own syncs.
 *
 * A directory of text files. A line is a checksum (CRC-32 of the rest, hex), and:
 *
 * ```
 *  5d1e7a90 3.1f ["…
 *  03c2b6ff -3.1d 3.1e     ← these are in the storage
 * ```
 * The name of a note is the number of its run and its own. A file that holds no open note is emptied and used
 * again, most often before the kernel has written any of it to the disk.
 */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Log } from '../log.ts';

/** Size from which on a file takes no further note, bytes. */
const FILE_BYTES = 256 << 10;
/** Marks that are held back at most. */
export const MARKS = 1_000;
/** Name of a file: its number, and the version of its form. */
const NAME = /^(\d+)\.v1$/;
const CHECKSUM = /^[0-9a-f]{8} $/;
const LF = 0x0a;

/** A note that was written down, until it is settled. */
export interface Note {
  readonly name: string;
  readonly file: JournalFile;
}

interface JournalFile {
  readonly path: string;
  readonly handle: number;
  size: number;
  /** Notes that are not settled. */
  open: number;
}

export class SettlementJournal {
  readonly #directory: string;
  readonly #log: Pick<Log, 'error'>;
  readonly #files: JournalFile[] = [];
  /** The number of this run: that of its first file. */
  readonly #run: number;
  #current: JournalFile | undefined;
  #notes = 0;
  /** Names that the next write marks as settled. */
  #settled: string[] = [];
  /** The last write failed. */
  #failed = false;

  /** @param directory made with its first note; `readJournal` has read what was in it. */
  constructor(directory: string, log: Pick<Log, 'error'>) {
    this.#directory = directory;
    this.#log = log;
    this.#run = 1 + Math.max(0, ...names(directory).map((name) => Number.parseInt(name, 10)));
  }

  /**
   * Writes notes down with one system call. Where the disk takes nothing, that is logged, and they are as safe as
   * without a journal.
   * @param texts without line ends.
   * @returns a note for each text; none after a failure.
   */
  note(texts: readonly string[]): (Note | undefined)[] {
    const names = texts.map(() => `${this.#run}.${(this.#notes++).toString(36)}`);
    let lines = '';
    for (const [at, text] of texts.entries()) lines += line(`${names[at]} ${text}`);
    const file = this.#write(lines);
    if (file !== undefined) file.open += texts.length;
    return names.map((name) => file && { name, file });
  }

  /**
   * The storage has what these notes name. That is written with the next notes, or at the end: a process that dies before
   * it settles some once more, which changes nothing and costs the next start a look-up each.
   */
  settled(notes: readonly (Note | undefined)[]): void {
    for (const note of notes) {
      if (note === undefined) continue;
      note.file.open -= 1;
      this.#settled.push(note.name);
    }
    if (this.#settled.length > MARKS) this.#write('');
  }

  /** Removes the files without open notes; the others are for the next start. */
  close(): void {
    if (this.#settled.length > 0 && this.#files.some(({ open }) => open > 0)) this.#write('');
    for (const file of this.#files.splice(0)) {
      closeSync(file.handle);
      if (file.open === 0) rmSync(file.path, { force: true });
    }
    this.#current = undefined;
  }

  /** Writes marks and the lines of notes, in one call. @returns where; undefined after a failure. */
  #write(notes: string): JournalFile | undefined {
    let file: JournalFile | undefined;
    try {
      file = this.#writable();
      const lines = this.#settled.length > 0 ? line(`-${this.#settled.join(' ')}`) + notes : notes;
      const length = Buffer.byteLength(lines);
      if (writeSync(file.handle, lines) < length) throw new Error('The disk took a part of it.');
      file.size += length;
      this.#settled = [];
      this.#failed = false;
      return file;
    } catch (error) {
      // Nothing follows a line that may be cut off.
      if (file) file.size = FILE_BYTES;
      if (!this.#failed) this.#log.error('journal.failed', { directory: this.#directory, error });
      this.#failed = true;
      return undefined;
    }
  }

  #writable(): JournalFile {
    if (this.#current !== undefined && this.#current.size < FILE_BYTES) return this.#current;
    const free = this.#files.find(({ open }) => open === 0);
    if (free) {
      ftruncateSync(free.handle, 0);
      free.size = 0;
    }
    return (this.#current = free ?? this.#make());
  }

  #make(): JournalFile {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const path = join(this.#directory, `${this.#run + this.#files.length}.v1`);
    // Append: after a truncation the next byte is the first.
    const file = { path, handle: openSync(path, 'a', 0o600), size: 0, open: 0 };
    this.#files.push(file);
    return file;
  }
}

/** The content of a journal's directory. */
export interface JournalReading {
  /** The texts of notes that are not marked as settled, in no order. */
  notes: string[];
  /** What cannot be read though more follows it, for a person: not the end of a write that was cut off. */
  damage: string[];
  /** Paths of the files. */
  files: string[];
}

/** Reads what earlier runs left. A directory that is not there has nothing. */
export function readJournal(directory: string): JournalReading {
  const notes = new Map<string, string>();
  const settled = new Set<string>();
  const damage: string[] = [];
  const files = names(directory).map((name) => join(directory, name));
  for (const path of files) {
    const { lines, gaps } = readLines(readFileSync(path));
    for (const { from, to } of gaps)
      damage.push(`${path} is damaged from byte ${from} to ${to}: deliveries noted there are sent again.`);
    for (const text of lines) {
      const blank = text.indexOf(' ');
      if (text.startsWith('-')) for (const name of text.slice(1).split(' ')) settled.add(name);
      else notes.set(text.slice(0, blank), text.slice(blank + 1));
    }
  }
  for (const name of settled) notes.delete(name);
  return { notes: [...notes.values()], damage, files };
}

/** Removes files whose notes are in the storage. */
export function removeJournal({ files }: Pick<JournalReading, 'files'>): void {
  for (const path of files) rmSync(path, { force: true });
}

function line(text: string): string {
  return `${crc32(text).toString(16).padStart(8, '0')} ${text}\n`;
}

/** Lines whose checksum holds, and where others lie before them. */
function readLines(bytes: Buffer): { lines: string[]; gaps: { from: number; to: number }[] } {
  const lines: string[] = [];
  const gaps: { from: number; to: number }[] = [];
  let sound = 0;
  for (let from = 0, to = bytes.indexOf(LF); to >= 0; from = to + 1, to = bytes.indexOf(LF, from)) {
    const text = bytes.subarray(from + 9, to);
    const head = bytes.toString('latin1', from, from + 9);
    if (!CHECKSUM.test(head) || Number.parseInt(head, 16) !== crc32(text)) continue;
    if (from > sound) gaps.push({ from: sound, to: from });
    lines.push(text.toString());
    sound = to + 1;
  }
  return { lines, gaps };
}

/** Names of the files in a journal's directory. */
function names(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => NAME.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
