/** Files: what operators hand over by `s3://` URLs, and results of jobs, which are kept for a while. */
import { PosternError } from '../errors.ts';
import { DAY } from '../time.ts';

/** How long results are kept, ms. */
export const RESULT_AGE = 7 * DAY;
/** Characters of a name (S3: 1,024 bytes). */
const MAX_NAME = 900;

/** Files by name, as `2026/list.csv`. */
export interface FileStore {
  /** A file, piece by piece. @throws `not_found` before the first piece; the storage group. */
  read(name: string): AsyncIterable<Uint8Array>;
  /**
   * Writes a file, in place of one of that name. It is there, whole, when this resolves; when a piece fails, nothing has
   * changed.
   */
  write(name: string, pieces: AsyncIterable<string | Uint8Array>): Promise<void>;
  /** Removes a file; one that does not exist is no fault. */
  remove(name: string): Promise<void>;
  /** A URL at which whoever has it gets the file for some time, ms. Undefined: this store has none. */
  link(name: string, life: number): Promise<string | undefined>;
}

export interface Files {
  /** Results of jobs. They go by themselves, or by `prune`. */
  results: FileStore;
  /** A bucket of the operator's. Undefined: none has this name here. */
  bucket(name: string): FileStore | undefined;
  /** Removes results that were written before a time, ms, `max` at most. @returns the number removed. */
  prune(before: number, max: number): Promise<number>;
}

/** The parts of a name. @throws `bad_request` for one that could lead elsewhere. */
export function partsOf(name: string): string[] {
  const parts = name.split('/');
  const isBad = (part: string): boolean =>
    part === '' || part === '.' || part === '..' || /[\0\\]/.test(part);
  if (name.length <= MAX_NAME && !parts.some(isBad)) return parts;
  throw new PosternError('bad_request', `${JSON.stringify(name.slice(0, 80))} is no name of a file.`);
}

export function noSuchFile(name: string): PosternError {
  return new PosternError('not_found', `There is no file ${JSON.stringify(name.slice(0, 200))}.`);
}
