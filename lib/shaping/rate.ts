/**
 * Parses rates, and paces events so that a rate holds in every window.
 *
 * A limit of 100 a second passes one event every 10 ms. It never sends a second's worth at once and then stalls,
 * which peers answer with "too many".
 */
import { DAY, HOUR } from '../time.ts';

/** Events allowed in any window of a length. */
export interface Rate {
  readonly count: number;
  /** Length of the window, ms. */
  readonly per: number;
  /** The text of the rate: `100/s`. */
  readonly text: string;
}

const PERIODS: Readonly<Record<string, number>> = { s: 1000, min: 60_000, h: HOUR, d: DAY };
const RATE = /^([0-9]{1,9})\/(s|min|h|d)$/;

/** Parses `10/s`, `1/min`, `500/h`, `10000/d`; undefined for any other value, and for zero. */
export function readRate(text: unknown): Rate | undefined {
  const parts = typeof text === 'string' ? RATE.exec(text) : null;
  if (parts === null || Number(parts[1]) === 0) return undefined;
  return { count: Number(parts[1]), per: PERIODS[parts[2]!]!, text: text as string };
}

/** A rate in events per second, for a measured number. */
export function perSecond(events: number): Rate {
  const [number, unit] =
    events >= 1 ? [events, 's'] : events >= 1 / 60 ? [events * 60, 'min'] : [events * 3600, 'h'];
  const text = `${Number(number.toPrecision(3))}/${unit}`;
  return events >= 1 ? { count: events, per: 1000, text } : { count: 1, per: 1000 / events, text };
}

/** A rate in the form of intervals. */
export interface Pace {
  /** Time between two events, ms. */
  readonly interval: number;
  /** How far ahead of its time an event may come, ms. */
  readonly tolerance: number;
}

/** No limit. */
const UNPACED: Pace = { interval: 0, tolerance: 0 };

/** Delay of a late timer that is made up, ms. */
const TIMER = 4;
/** Maximum time over which events may be saved up where a few may come at once, ms. */
const LONGEST_BURST = 5_000;
/** Instants since the epoch, in ms, are multiples of this: sums of such numbers are exact (53 bits). */
const GRAIN = 2 ** -12;

/**
 * The pace of a rate. With a tolerance of τ, n + 1 events span at least n·I − τ; for I = (per + τ) / count, count + 1
 * of them span the whole period, so no window of it ever holds more than `count`. That costs τ / (per + τ) of the
 * rate: 0.4 % of a rate by the second, nothing of a slower one.
 * @param burst a tenth of the events of a period, of 5 s at most, may come at once.
 */
export function paceOf(rate: Rate | undefined, burst = false): Pace {
  if (rate === undefined) return UNPACED;
  const tolerance = burst ? Math.min(LONGEST_BURST, rate.per / 10) : TIMER;
  return { interval: Math.ceil((rate.per + tolerance) / rate.count / GRAIN) * GRAIN, tolerance };
}

/** The generic cell rate algorithm (GCRA, ITU-T I.371): one number of state. The pace may change at any time. */
export class Pacer {
  /** Theoretical arrival time of the next event. */
  #next: number;
  /** End of the time for which earlier events are unknown. */
  #unknown: number;
  /** Time that the last event added to `#next`, ms. */
  #added = 0;

  /**
   * @param next where another pacer of the same events stopped.
   * @param unknown until when there may have been uncounted events: the next one keeps a whole interval from them, as
   * if they had used the full rate.
   */
  constructor(next = 0, unknown = 0) {
    this.#next = next;
    this.#unknown = unknown;
  }

  /** Wait from `now` until an event conforms, ms; 0 for none. */
  wait(now: number, { interval, tolerance }: Pace): number {
    if (interval < this.#added) {
      // A faster pace applies from the last event on: all events that it keeps apart, the slower one kept apart too.
      this.#next -= this.#added - interval;
      this.#added = interval;
    }
    if (this.#unknown > 0 && interval > 0) {
      this.#next = Math.max(this.#next, this.#unknown + tolerance + interval);
      this.#unknown = 0;
    }
    return Math.max(0, this.#next - tolerance - now);
  }

  /** As `wait`, for a pace that may not be the one in force: it leaves the pacer unchanged. */
  peek(now: number, { interval, tolerance }: Pace): number {
    let next = this.#next - Math.max(0, this.#added - interval);
    if (this.#unknown > 0 && interval > 0) next = Math.max(next, this.#unknown + tolerance + interval);
    return Math.max(0, next - tolerance - now);
  }

  /** Latest time of the next event in an even flow: the state to store. */
  get next(): number {
    return this.#next;
  }

  /** Counts one event at `now`. The caller checked `wait` before. */
  take(now: number, { interval }: Pace): void {
    this.#next = Math.max(this.#next, now) + interval;
    this.#added = interval;
  }

  /** Whether the past no longer affects the next event. */
  idle(now: number): boolean {
    return this.#next <= now;
  }
}
