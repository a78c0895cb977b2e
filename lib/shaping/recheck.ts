/**
 * Paces rechecks of mail that waits long, because its limit may be changed or removed meanwhile. The number of
 * rechecks a second is fixed: a small backlog is rechecked soon, and a million messages that wait for midnight cost
 * no more than a few do.
 */

/** Rechecks a second. */
const PACE = 20;

export class RecheckPacer {
  readonly #soonest: number;
  #last = 0;

  /** @param soonest minimum delay of a recheck, ms. */
  constructor(soonest: number) {
    this.#soonest = soonest;
  }

  /** The time of the next recheck, since the epoch, ms. The call reserves that slot. */
  next(now: number): number {
    this.#last = Math.max(now + this.#soonest, this.#last + 1000 / PACE);
    return this.#last;
  }
}
