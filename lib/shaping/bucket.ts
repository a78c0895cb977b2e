/**
 * Smooth pacing by the generic cell rate algorithm (GCRA, ITU-T I.371): one number of state, exact below a
 * millisecond. A limit of 100 a second lets one through every 10 ms; it never sends a second's worth at once
 * and then stalls, which peers answer with "too many".
 */
export class Bucket {
  /** Milliseconds between two conforming events. */
  readonly #interval: number;
  /** How far ahead of its time an event may come, ms. */
  readonly #tolerance: number;
  /** Theoretical arrival time of the next event. */
  #next = 0;

  /**
   * @param rate events a second; `Infinity` for no limit.
   * @param burst events that may come at once. By default what falls into 5 ms, the coarseness of timers.
   */
  constructor(rate: number, burst: number = Math.max(1, Math.ceil(rate / 200))) {
    this.#interval = rate === Number.POSITIVE_INFINITY ? 0 : 1000 / rate;
    this.#tolerance = this.#interval === 0 ? 0 : (burst - 1) * this.#interval;
  }

  /** Milliseconds from `now` until one event conforms; 0 for at once. */
  wait(now: number): number {
    return Math.max(0, this.#next - this.#tolerance - now);
  }

  /** Counts one event at `now`. The caller asked `wait` before. */
  take(now: number): void {
    this.#next = Math.max(this.#next, now) + this.#interval;
  }
}
