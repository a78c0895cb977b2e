/**
 * Recipients a second of a subject. Each process has an equal part of the limit, by how many of them send for the subject:
 * a process that sends says so in a row, once in ten seconds, and reads those of the others. A rate may pass a part of a
 * second ahead; more is refused, and the caller tries again.
 *
 * A process that begins has its part at once, while the others learn of it within ten seconds.
 */
import { Cache } from '../cache.ts';
import type { Rows } from '../engine/ports.ts';
import { ROW_CALL } from '../engine/rows.ts';
import { type Clock, SECOND } from '../time.ts';

export const RATE_ROWS = 'sending-rate';
/** How often a process says that it sends, and how long it counts as one that does, ms. */
const SAID = 10 * SECOND;
const COUNTS = 25 * SECOND;
const SUBJECTS = 20_000;

interface RateBucket {
  tokens: number;
  at: number;
  /** Processes that send, this one among them, and when that was learnt. */
  sharers: number;
  learntAt: number;
  learning?: Promise<void>;
}

export interface SendRateOptions {
  rows: Pick<Rows, 'put' | 'query'>;
  clock: Clock;
  process: string;
  /** Whether no other process takes mail in: nothing is written. */
  alone: boolean;
}

export class SendRate {
  readonly #options: SendRateOptions;
  readonly #buckets = new Cache<string, RateBucket>(SUBJECTS);

  constructor(options: SendRateOptions) {
    this.#options = options;
  }

  /** @returns false when `count` more are too fast. @throws PosternError of the storage group. */
  async take(subject: string, count: number, limit: number): Promise<boolean> {
    const { clock, alone } = this.#options;
    let bucket = this.#buckets.get(subject);
    if (!bucket) {
      bucket = { tokens: limit, at: clock.now(), sharers: 1, learntAt: Number.NEGATIVE_INFINITY };
      this.#buckets.set(subject, bucket);
    }
    if (!alone && clock.now() - bucket.learntAt >= SAID) {
      bucket.learning ??= this.#learn(subject, bucket).finally(() => {
        bucket.learning = undefined;
      });
      await bucket.learning;
    }
    const now = clock.now();
    const rate = limit / bucket.sharers;
    // A second's worth, and always one: a rate below one a second has messages, too.
    const room = Math.max(1, rate);
    bucket.tokens = Math.min(room, bucket.tokens + ((now - bucket.at) / SECOND) * rate);
    bucket.at = now;
    // One message to many goes when there is room for one, and the next ones wait for all of it.
    if (bucket.tokens < Math.min(count, room)) return false;
    bucket.tokens -= count;
    return true;
  }

  /** Gives back what was taken for a message that was not taken in. */
  release(subject: string, count: number): void {
    const bucket = this.#buckets.get(subject);
    if (bucket) bucket.tokens += count;
  }

  async #learn(subject: string, bucket: RateBucket): Promise<void> {
    const { rows, clock, process } = this.#options;
    const now = clock.now();
    const row = { kind: RATE_ROWS, partition: subject, key: process, value: { at: now } };
    await rows.put([{ ...row, expiresAt: now + COUNTS }]);
    const found = await rows.query({ kind: RATE_ROWS, partition: subject, max: ROW_CALL });
    const since = now - COUNTS;
    bucket.sharers = Math.max(1, found.filter(({ value }) => (value as { at: number }).at > since).length);
    bucket.learntAt = now;
  }
}
