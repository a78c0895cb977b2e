/**
 * Measures how fast a destination accepts mail. That shows only while mail waits for it: before, it accepted all mail
 * that there was, and a limit derived from that would hold a burst to the pace of the trickle before it.
 *
 * ```
 *  nothing waits ─► mail waits ─────────► a first one ends ─► a second later ─────────────────────► nothing waits
 *                   the pace of its limits                    what was measured since the first end
 * ```
 */
import { RateMeter } from './rate-meter.ts';

/** Averaging time of the rate, ms: peers that greet late or close after some messages accept them in waves. */
const SPAN = 10_000;
/** Maximum time of a connection, TLS and a late greeting (postscreen: 6 s), ms. */
const RAMP = 10_000;
/** Time after which a destination without a limit that accepted nothing is judged, ms. */
const FIRST = 1_000;

export class LoadMeter {
  #since = 0;
  #meter: RateMeter | undefined;

  /** Mail begins to wait. */
  begin(now: number): void {
    this.#since = now;
    this.#meter = undefined;
  }

  /** A delivery ended, by any result. */
  ended(now: number): void {
    this.#meter ??= new RateMeter(now, SPAN);
    this.#meter.count();
  }

  /** How long mail has waited without a pause, ms. */
  time(now: number): number {
    return now - this.#since;
  }

  /**
   * The rate that the destination can be expected to accept, deliveries a second; undefined when it is not known yet.
   * @param pace rate that its limits permit, deliveries a second; `Infinity`: they set none.
   */
  rate(now: number, pace: number): number | undefined {
    const measured = this.#meter?.rate(now);
    if (measured !== undefined) return measured;
    const time = this.time(now);
    const paced = pace !== Number.POSITIVE_INFINITY;
    if (this.#meter !== undefined || time < (paced ? RAMP : FIRST)) return paced ? pace : undefined;
    return 0;
  }
}
