/**
 * How fast a destination takes mail. That shows only while mail waits for it: before, it took what it was given, and
 * a limit drawn from that would hold a burst to the pace of the trickle that preceded it.
 *
 * ```
 *  nothing waits ─► mail waits ─────────► a first one ends ─► a second later ─────────────────────► nothing waits
 *                   the pace of its limits                    what was measured since the first end
 * ```
 */
import { RateMeter } from './rate-meter.ts';

/** Over which the rate is averaged, ms: peers that greet late or close after some messages take them in waves. */
const SPAN = 10_000;
/** A connection, TLS and a greeting that comes late (postscreen: 6 s) take this long at most, ms. */
const RAMP = 10_000;
/** A destination without a limit that took nothing is judged after this time, ms. */
const FIRST = 1_000;

export class LoadMeter {
  #since = 0;
  #meter: RateMeter | undefined;

  /** Mail waits, where none did. */
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
   * What the destination can be expected to take, deliveries a second; undefined when nothing can be said yet.
   * @param pace what its limits let pass, deliveries a second; `Infinity`: they set no rate.
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
