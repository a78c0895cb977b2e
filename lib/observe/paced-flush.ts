/**
 * How often a function writes its counts. A function gets no notice of its end, so each call flushes; but a line of metrics for
 * each of thousands of calls a second costs more than what they say. Some flushes come at once, and when they are used up,
 * one in each pause: what an environment counted in its last seconds may be lost with it, under such a load only.
 */
import type { Clock } from '../time.ts';

/** Flushes that come at once after a quiet time. */
const BURST = 30;
/** Pause after which one more may, ms. */
const PAUSE = 2_000;

export class PacedFlush {
  readonly #clock: Clock;
  readonly #flush: () => void;
  /** When all flushes were there, ms. */
  #full = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, flush: () => void) {
    this.#clock = clock;
    this.#flush = flush;
  }

  /** Called at each call that counted something. */
  run(): void {
    const now = this.#clock.now();
    const full = Math.max(this.#full, now) + PAUSE;
    if (full > now + BURST * PAUSE) return;
    this.#full = full;
    this.#flush();
  }
}
