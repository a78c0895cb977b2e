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
  18: ['storage_refused', 'a text or body is too long'],
  19: ['storage_refused', 'what was to be written contradicts what is stored'],
  20: ['storage_refused', 'a value has the wrong type'],
  26: ['storage_damaged', 'it is not a database of Postern. Stop, keep a copy, and restore it'],
};

/** The primary result code of an error thrown by `node:sqlite`, or undefined for any other error. */
export function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number')
    return undefined;
  return error.errcode & 0xff;
}

/**
 * Converts a failure of storage to an error of its group.
 * @param directory names the data directory in the message, for an operator. Callers of an API do not see it.
 */
export function storageFault(error: unknown, directory?: string): PosternError {
  if (error instanceof PosternError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const code = sqliteCode(error);
  const [name, advice] = (code !== undefined && CODES[code]) || ['storage_unavailable' as const, undefined];
  const store = directory === undefined ? 'The store' : `The store in ${directory}`;
  const why = advice === undefined ? text : `${advice} (${text})`;
  return new PosternError(name, `${store} failed: ${why}.`, { cause: error });
}
