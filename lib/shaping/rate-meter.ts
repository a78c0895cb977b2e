/** A moving average of events a second. */
export class RateMeter {
  #rate = 0;
  #count = 0;
  #since: number;
  readonly #start: number;
  readonly #span: number;

  /** @param span averaging time, ms. */
  constructor(now: number, span = 2_000) {
    this.#since = now;
    this.#start = now;
    this.#span = span;
  }

  count(): void {
    this.#count += 1;
  }

  /** Events a second; undefined in the first second, which is too short to measure. */
  rate(now: number): number | undefined {
    const elapsed = now - this.#since;
    if (elapsed >= 500) {
      const weight = Math.min(1, elapsed / Math.min(this.#span, now - this.#start));
      const latest = (this.#count * 1000) / elapsed;
      this.#rate += (latest - this.#rate) * weight;
      this.#count = 0;
      this.#since = now;
    }
    return now - this.#start < 1000 ? undefined : this.#rate;
  }
}
