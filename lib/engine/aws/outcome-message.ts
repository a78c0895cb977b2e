/** A message of the outcome queue: outcomes as JSON, all that its writer had at once. */
import { PosternError } from '../../errors.ts';
import { type Outcome, SCHEMA_VERSION } from '../items.ts';
import { sqsJson } from './sqs-json.ts';

/** The body of a message. */
export function writeOutcomes(outcomes: readonly Outcome[]): string {
  return joinOutcomes(outcomes.map(sqsJson));
}

/** The body of a message of outcomes that are JSON already, by `sqsJson`. */
export function joinOutcomes(texts: readonly string[]): string {
  return `[${texts.join(',')}]`;
}

/**
 * Parses the outcomes of a message.
 * @throws PosternError `storage_damaged` when Postern did not write it, `storage_too_new` when a newer version did:
 * it stays in the queue until that version reads it.
 */
export function readOutcomes(body: string): Outcome[] {
  let outcomes: unknown;
  try {
    outcomes = JSON.parse(body);
  } catch (cause) {
    throw damaged(cause);
  }
  if (!Array.isArray(outcomes)) throw damaged();
  for (const outcome of outcomes as Partial<Outcome>[]) {
    if (typeof outcome?.v !== 'number' || typeof outcome.messageId !== 'string') throw damaged();
    if (outcome.v > SCHEMA_VERSION) {
      throw new PosternError(
        'storage_too_new',
        `An outcome has version ${outcome.v}; this version of Postern reads ${SCHEMA_VERSION}.`,
      );
    }
  }
  return outcomes as Outcome[];
}

function damaged(cause?: unknown): PosternError {
  return new PosternError('storage_damaged', 'A message of the outcome queue holds no outcomes.', { cause });
}
