/**
 * The files of the product that is left, read within bounds: text in whatever encoding and with whatever line ends,
 * in regular files below one directory.
 *
 * A configuration names other files, and it may be a stranger's: `include /etc/shadow` must not end in a report that
 * is mailed about. So nothing outside the root is read, by no path and by no symbolic link.
 */
import { type Dirent, globSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';

/** A file that cannot be used, in a sentence. */
export class SourceFault extends Error {}

export interface SourceText {
  /** Path by which the report names it. */
  readonly path: string;
  readonly lines: readonly string[];
  /** The encoding, when it is not UTF-8. */
  readonly encoding?: string;
}

/** What an importer may read. */
export interface SourceFiles {
  /** @param from the file that names it. @throws SourceFault */
  read(path: string, from?: string): SourceText;
  /** Paths that a pattern with wildcards means. @throws SourceFault */
  glob(pattern: string, from?: string): string[];
  /** Paths of all files of the directory that was given, or of the one file. */
  all(): string[];
}

const MAX_FILE = 64 * 1024 * 1024;
const MAX_TOTAL = 256 * 1024 * 1024;
const MAX_FILES = 5_000;

/** Text of bytes: UTF-8, or UTF-16 by its mark, else Latin-1. @throws SourceFault for binary data. */
export function textOf(bytes: Buffer): { text: string; encoding?: string } {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) {
    return { text: bytes.subarray(2).toString('utf16le'), encoding: 'UTF-16' };
  }
  if (bytes[0] === 0xfe && bytes[1] === 0xff) {
    const whole = bytes.subarray(2, bytes.length - (bytes.length % 2));
    return { text: Buffer.from(whole).swap16().toString('utf16le'), encoding: 'UTF-16' };
  }
  if (bytes.includes(0)) throw new SourceFault('is no text: it has NUL bytes');
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { text: bytes.toString('latin1'), encoding: 'Latin-1' };
  }
}

/** Lines of a text, whatever ends them. */
export function linesOf(text: string): string[] {
  const lines = text.split(/\r\n|\n|\r/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Files on disk below a root. */
export class DiskFiles implements SourceFiles {
  readonly #given: string;
  readonly #root: string;
  #total = 0;
  #count = 0;

  /**
   * @param given the file or directory to import.
   * @param root directory below which files may be read; else that of `given`.
   * @throws SourceFault when there is no such file, or it is outside of the root.
   */
  constructor(given: string, root?: string) {
    const path = existing(resolve(given));
    if (path === undefined) throw new SourceFault(`${given} does not exist, or may not be read.`);
    const directory = statSync(path).isDirectory() ? path : dirname(path);
    const top = root === undefined ? directory : existing(resolve(root));
    if (top === undefined) throw new SourceFault(`${root} does not exist, or may not be read.`);
    this.#given = path;
    this.#root = top;
    if (!this.#isInside(path)) throw new SourceFault(`${given} is not below ${root}.`);
  }

  read(path: string, from?: string): SourceText {
    const found = this.#find(path, from);
    const stat = statSync(found);
    if (!stat.isFile()) throw new SourceFault('is no regular file');
    if (stat.size > MAX_FILE) throw new SourceFault(`has ${stat.size} bytes; ${MAX_FILE} are read at most`);
    this.#total += stat.size;
    this.#count += 1;
    if (this.#total > MAX_TOTAL || this.#count > MAX_FILES) {
      throw new SourceFault(`is one too many: ${MAX_FILES} files and ${MAX_TOTAL} bytes are read at most`);
    }
    let bytes: Buffer;
    try {
      bytes = readFileSync(found);
    } catch (error) {
      throw new SourceFault(`may not be read (${(error as NodeJS.ErrnoException).code})`);
    }
    const { text, encoding } = textOf(bytes);
    return { path: this.#shown(found), lines: linesOf(text), ...(encoding && { encoding }) };
  }

  glob(pattern: string, from?: string): string[] {
    if (!/[*?[]/.test(pattern)) return [pattern];
    const cwd = this.#directoryOf(from);
    const wanted = isAbsolute(pattern) ? relative(cwd, this.#mapped(pattern) ?? pattern) : pattern;
    if (wanted.split(sep).includes('..') && !this.#isInside(resolve(cwd, dirname(wanted)))) {
      throw new SourceFault(this.#outside());
    }
    return globSync(wanted, { cwd })
      .toSorted()
      .slice(0, MAX_FILES)
      .map((found) => resolve(cwd, found));
  }

  all(): string[] {
    if (statSync(this.#given).isFile()) return [this.#given];
    return walk(this.#given);
  }

  #find(path: string, from: string | undefined): string {
    if (path.includes('\0')) throw new SourceFault('is no path');
    const wanted = isAbsolute(path) ? (this.#mapped(path) ?? path) : resolve(this.#directoryOf(from), path);
    const found = existing(wanted);
    if (found !== undefined && this.#isInside(found)) return found;
    if (found === undefined && this.#isInside(wanted))
      throw new SourceFault('does not exist, or may not be read');
    throw new SourceFault(this.#outside());
  }

  #outside(): string {
    return `is outside of ${this.#root}, below which files are read; copy it there, or name a wider directory with --root`;
  }

  #directoryOf(from: string | undefined): string {
    if (from === undefined) return statSync(this.#given).isDirectory() ? this.#given : dirname(this.#given);
    return dirname(resolve(this.#root, from));
  }

  /** An absolute path where it is inside the root; else its longest end that is found below it: a copied tree. */
  #mapped(path: string): string | undefined {
    const direct = existing(path);
    if (direct !== undefined && this.#isInside(direct)) return direct;
    const parts = path.split(sep).filter((part) => part !== '' && part !== '.');
    if (parts.includes('..')) return undefined;
    for (let i = 0; i < parts.length; i += 1) {
      const candidate = join(this.#root, ...parts.slice(i));
      if (/[*?[]/.test(candidate) ? existing(dirname(candidate)) : existing(candidate)) return candidate;
    }
    return undefined;
  }

  #isInside(path: string): boolean {
    return path === this.#root || path.startsWith(this.#root === sep ? sep : this.#root + sep);
  }

  #shown(path: string): string {
    return relative(this.#root, path) || basename(path);
  }
}

/** The real path; undefined when there is none, or it may not be seen. */
function existing(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function walk(directory: string, depth = 0): string[] {
  if (depth > 8) return [];
  let entries: Dirent[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return walk(path, depth + 1);
      return entry.isFile() ? [path] : [];
    })
    .slice(0, MAX_FILES);
}

/** Files in memory, by path: for tests, and for text from elsewhere. */
export class SourceMap implements SourceFiles {
  readonly #files: ReadonlyMap<string, string>;

  constructor(files: Readonly<Record<string, string>>) {
    this.#files = new Map(Object.entries(files));
  }

  read(path: string): SourceText {
    const text = this.#files.get(path) ?? this.#files.get(basename(path));
    if (text === undefined) throw new SourceFault('does not exist, or may not be read');
    return { path, lines: linesOf(text) };
  }

  glob(pattern: string): string[] {
    if (!/[*?[]/.test(pattern)) return [pattern];
    const form = new RegExp(
      `^${pattern
        .replace(/[.+^${}()|\\]/g, '\\$&')
        .replace(/\*/g, '.*')
        .replace(/\?/g, '.')}$`,
    );
    return this.all().filter((path) => form.test(path));
  }

  all(): string[] {
    return [...this.#files.keys()];
  }
}
