/** What documents have in common, in a mirror and in a cache. */
import { PosternError } from '../errors.ts';

/** How often an update is repeated when others change the same document at the same time. */
export const UPDATE_TRIES = 5;

/** A document as it is held in memory. */
export interface HeldDocument<T> {
  readonly value: T;
  readonly version: number;
}

export function isConflict(error: unknown): boolean {
  return error instanceof PosternError && error.code === 'config_conflict';
}

/** @param what the document, as a message names it. */
export function alreadyExists(what: string): PosternError {
  return new PosternError('already_exists', `${what} already exists.`);
}

/** The form in which the store returns a value: a frozen copy, without members that are undefined. */
export function asStored<T>(value: T): T {
  return freeze(JSON.parse(JSON.stringify(value)) as T);
}

/** Documents are shared by all readers: a reader that would change one gets a TypeError instead. */
export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const member of Object.values(value)) freeze(member);
  return Object.freeze(value);
}
