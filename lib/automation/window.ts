/**
 * Counts events in a sliding window, exactly: a ring holds the times of the last `size` events. They all fell within
 * the window when the oldest of them is younger than the window is long.
 *
 * The window is the one that the rule names, not the duration of its action (KumoMTA counts "5/hr" with a duration of
 * 15 minutes as 5 in 15 minutes).
 */
export class EventWindow {
  readonly size: number;
  readonly #times: number[] = [];
  /** Index of the oldest event, once the ring is full. */
  #oldest = 0;

  constructor(size: number, times: readonly number[] = []) {
    this.size = size;
    this.#times.push(...times.slice(-size));
  }

  /**
   * Counts an event at `now`.
   * @param within ms; an event exactly that old is outside.
   * @returns whether it is the `size`th within the window; then the window is empty again.
   */
  count(now: number, within: number): boolean {
    if (this.#times.length < this.size) this.#times.push(now);
    else {
      this.#times[this.#oldest] = now;
      this.#oldest = (this.#oldest + 1) % this.size;
    }
    if (this.#times.length < this.size || now - this.#times[this.#oldest]! >= within) return false;
    this.#times.length = 0;
    this.#oldest = 0;
    return true;
  }

  /** The recorded times, oldest first. */
  times(): number[] {
    return [...this.#times.slice(this.#oldest), ...this.#times.slice(0, this.#oldest)];
  }
}
