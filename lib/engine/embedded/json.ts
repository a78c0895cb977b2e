/** JSON as the store keeps it. */
import { PosternError } from '../../errors.ts';
import { SCHEMA_VERSION } from '../items.ts';

/** Parses JSON that the store holds. `what` names it in the error. @throws PosternError `storage_damaged`. */
export function readValue(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PosternError('storage_damaged', `The store holds ${what} that cannot be read. Restore it.`, {
      cause: error,
    });
  }
}

/**
 * Parses what has a version of its schema, or none. `what` names it in the error.
 * @throws PosternError `storage_damaged` when it is no JSON, `storage_too_new` when its schema is newer.
 */
export function readJson<T>(text: string, what: string): T {
  const value = readValue(text, what);
  const version = (value as { v?: unknown } | null)?.v;
  if (typeof version === 'number' && version > SCHEMA_VERSION) {
    throw new PosternError(
      'storage_too_new',
      `The store holds ${what} of schema ${version}; this Postern knows ${SCHEMA_VERSION}. Run a newer version.`,
    );
  }
  return value as T;
}
