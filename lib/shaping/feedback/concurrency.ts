/**
 * Learns how many connections a destination bears from their results: the scheduler of Postfix (SCHEDULER_README), by
 * 1/N feedback with hysteresis, for connections that carry many messages.
 *
 * - Each successful message adds 1/N; a whole unit opens the window by one. N messages, one of each connection, are a
 *   cohort.
 * - Each connection or handshake fault takes 1/N. The first takes effect at once, the next only when another cohort
 *   of faults has come: after a decrease the window does not react to connections that were under way.
 * - `deadAfter` cohorts of faults without a success between them: the site is dead, and is only probed.
 */

/** The initial window: enough to see whether a destination works, few enough to disturb none. */
const FIRST = 5;
/** Sums of 1/N fall short of a whole by rounding. */
const FUDGE = 1e-9;

export class Concurrency {
  #window = FIRST;
  /** Progress towards the next increase, 0 to 1. */
  #gain = 0;
  /** Faults that remain until the next decrease. */
  #slack = 0;
  #cohorts = 0;

  /** The window, when faults have made it smaller than the initial one. */
  get lowered(): number | undefined {
    return this.#window < FIRST ? this.#window : undefined;
  }

  /** Continues from a lowered window. */
  resume(lowered: number): void {
    this.#window = lowered;
  }

  /** Connections that may be open, at most `limit`. */
  window(limit: number): number {
    return Math.min(this.#window, limit);
  }

  /** Counts a successful message. @param limit maximum of the window. */
  good(limit: number): void {
    this.#cohorts = 0;
    if (this.#window >= limit) return;
    this.#gain += 1 / this.#window;
    if (this.#gain + FUDGE < 1) return;
    this.#gain = 0;
    this.#slack = 0;
    this.#window += 1;
  }

  /**
   * Counts a connection that failed, or was refused at its greeting or handshake.
   * @param inUse connections open or being opened, that one included: the cohort.
   */
  fault(inUse: number, limit: number): void {
    const window = this.window(limit);
    this.#cohorts += 1 / Math.max(1, Math.min(window, inUse));
    this.#gain = 0;
    this.#slack -= 1 / window;
    if (this.#slack >= -FUDGE) return;
    this.#slack += 1;
    this.#window = Math.max(1, window - 1);
  }

  /** Whether this number of cohorts in a row failed. */
  dead(deadAfter: number): boolean {
    return this.#cohorts + FUDGE >= deadAfter;
  }

  /** Reopens a dead site with one connection. */
  revive(): void {
    this.#window = 1;
    this.#cohorts = 0;
  }
}
