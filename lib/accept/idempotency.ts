/** The answer to the repeat of an idempotent call. */
import { type ErrorCode, PosternError } from '../errors.ts';
import type { Submitted } from './types.ts';

/** Serialises an answer for the idempotency record. */
export function storeAnswer(answer: Submitted[]): string {
  return JSON.stringify(
    answer.map((one) => ('error' in one ? { code: one.error.code, message: one.error.message } : one)),
  );
}

/** Reads the text that {@link storeAnswer} made. */
export function readAnswer(text: string): Submitted[] {
  const stored = JSON.parse(text) as ({ messageId: string } | { code: ErrorCode; message: string })[];
  return stored.map((one) => ('code' in one ? { error: new PosternError(one.code, one.message) } : one));
}

/** Refuses a key that was used before with another request. */
export function conflict(): PosternError {
  return new PosternError(
    'idempotency_conflict',
    'The idempotency key was used before with another request. Use a new key for a new request.',
  );
}
