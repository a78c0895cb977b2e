/** A moving average of events a second, over about the last two seconds. */
export class RateMeter {
  #rate = 0;
  #count = 0;
  #since: number;
  readonly #start: number;

  constructor(now: number) {
    this.#since = now;
    this.#start = now;
  }

  count(): void {
    this.#count += 1;
  }

  /** Events a second; undefined in the first second, when nothing can be said yet. */
  rate(now: number): number | undefined {
    const elapsed = now - this.#since;
    if (elapsed >= 500) {
      const weight = Math.min(1, elapsed / 2000);
      const latest = (this.#count * 1000) / elapsed;
      this.#rate = this.#since === this.#start ? latest : this.#rate + (latest - this.#rate) * weight;
      this.#count = 0;
      this.#since = now;
    }
    return now - this.#start < 1000 ? undefined : this.#rate;
  }
}
