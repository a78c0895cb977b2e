/**
 * Bounds the memory of one call, and of all calls together. A request of 2 KB can ask for a thousand messages of 10
 * MB, and all messages of a call stay in memory until the store has them in one piece.
 */
import { PosternError } from '../errors.ts';
import { callBudget } from '../template/run.ts';
import type { RenderBudget } from '../template/types.ts';
import type { Submission } from './types.ts';

/** Maximum size of all messages of one call, as stored, octets. A single message has its own limit. */
export const MAX_CALL = 48 * 1024 * 1024;
/** Maximum size of the messages that all calls hold at one time, octets. */
const MAX_HELD = 256 * 1024 * 1024;

/** Counts the octets that calls hold until the store has them. */
export class HeldBytes {
  #held = 0;

  /** @throws PosternError `throttled` when others hold too much; a call that is alone always passes. */
  take(size: number, own: number): void {
    if (this.#held > own && this.#held + size > MAX_HELD) {
      throw new PosternError(
        'throttled',
        `The messages that are being taken in have more than ${MAX_HELD} octets together. Try again in a moment.`,
      );
    }
    this.#held += size;
  }

  give(size: number): void {
    this.#held -= size;
  }
}

/** The size of one call so far. */
export class CallSize {
  /** Budget that is left for its templates. */
  readonly budget: RenderBudget = callBudget();
  readonly #held: HeldBytes;
  readonly #messages: number;
  #size = 0;

  /** @throws PosternError `too_large` for content that exceeds the limit before anything is composed. */
  constructor(submissions: readonly Submission[], held: HeldBytes) {
    this.#held = held;
    this.#messages = submissions.length;
    let least = 0;
    if (submissions.length > 1) for (const { content } of submissions) least += leastSize(content);
    if (least > MAX_CALL) throw this.#tooLarge(least);
  }

  /** Counts a composed message. @throws PosternError `too_large` for the call, `throttled` for all calls. */
  add(size: number): void {
    if (this.#messages > 1 && this.#size + size > MAX_CALL) throw this.#tooLarge(this.#size + size);
    this.#held.take(size, this.#size);
    this.#size += size;
  }

  release(): void {
    this.#held.give(this.#size);
    this.#size = 0;
  }

  #tooLarge(size: number): PosternError {
    return new PosternError(
      'too_large',
      `The ${this.#messages} messages of this call have ${size} octets or more together; ${MAX_CALL} is the most. ` +
        'Name fewer recipients a call, or attach less.',
    );
  }
}

/** Minimum size of a message: its texts as given, its files in base64, octets. Templates may render to nothing. */
function leastSize(content: Submission['content']): number {
  if (content.kind === 'raw') return content.bytes.length;
  let size = 0;
  if (content.kind === 'simple') size = (content.text?.length ?? 0) + (content.html?.length ?? 0);
  for (const { content: file } of content.attachments ?? []) size += Math.ceil(file.length / 3) * 4;
  return size;
}
