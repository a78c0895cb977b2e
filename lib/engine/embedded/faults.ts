/** SQLite's result codes as errors of the storage group. */
import { type ErrorCode, PosternError } from '../../errors.ts';

/** Primary result codes, https://sqlite.org/rescode.html */
const CODES: Record<number, [ErrorCode, string]> = {
  5: ['storage_locked', 'another process uses it. Stop that process, or choose another data directory'],
  6: ['storage_locked', 'another process uses it. Stop that process, or choose another data directory'],
  8: ['storage_unavailable', 'it cannot be written. Check its permissions and the mount'],
  10: ['storage_unavailable', 'the disk reports an error. Look at the system log'],
  11: ['storage_damaged', 'its content is damaged. Stop, keep a copy, and restore it'],
  13: ['storage_full', 'the disk is full. Free disk space'],
  14: ['storage_unavailable', 'it cannot be opened. Check that it exists and its permissions'],
  26: ['storage_damaged', 'it is not a database of Postern. Stop, keep a copy, and restore it'],
};

/** The primary result code of an error thrown by `node:sqlite`, or undefined for any other error. */
export function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number')
    return undefined;
  return error.errcode & 0xff;
}

/** What a failure of storage means to the rest of Postern. `where` is the data directory. */
export function storageFault(error: unknown, where: string): PosternError {
  if (error instanceof PosternError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const code = sqliteCode(error);
  const known = code === undefined ? undefined : CODES[code];
  if (known) {
    return new PosternError(known[0], `The store in ${where} failed: ${known[1]} (${text}).`, {
      cause: error,
    });
  }
  return new PosternError('storage_unavailable', `The store in ${where} failed: ${text}.`, { cause: error });
}
