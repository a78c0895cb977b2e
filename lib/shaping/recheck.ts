/**
 * When mail that has to wait long is looked at again before its time, for what keeps it may be changed or taken
 * away meanwhile. So many looks a second: what is little is back soon, and a million messages that wait for
 * midnight cost no more than a few do.
 */

/** Looks a second. */
const PACE = 20;

export class RecheckPacer {
  readonly #soonest: number;
  #last = 0;

  /** @param soonest no look is due earlier, ms. */
  constructor(soonest: number) {
    this.#soonest = soonest;
  }

  /** The instant of the next look, ms since the epoch: a place in the row of looks is taken with it. */
  next(now: number): number {
    this.#last = Math.max(now + this.#soonest, this.#last + 1000 / PACE);
    return this.#last;
  }
}
