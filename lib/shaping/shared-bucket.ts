/**
 * This node's share of a rate or a quota that is counted over all IPs and nodes (`division/terms.ts`): spent locally, so
 * that no message waits for a call.
 *
 * A rate holds over any minute (over its own period, if longer): each unit is one message in that window. A quota has
 * a division for each calendar hour or day, whose units are used for good.
 */
import { DAY, HOUR, MINUTE } from '../time.ts';
import { Holding, type HoldingOptions } from './division/holding.ts';
import { FOR_GOOD } from './division/terms.ts';
import type { SharedLimit } from './limits/limit.ts';
import { type Pace, Pacer } from './rate.ts';

/** What a share needs of the process: who it is, and how it reaches storage. */
export interface ShareHost {
  /** A holder of this process, without its limit. */
  holder(): Pick<HoldingOptions, 'node' | 'start' | 'holder'>;
  /** Storage is to be asked for units. @param granted called when there are more. */
  ask(holding: Holding, granted?: (now: number) => void): void;
}

/** Interval of checks for units that are on their way, ms. */
const POLL = 20;
/** Maximum interval of checks for units that others may give up, ms. */
const LONG_POLL = 500;
/** Delay of a late message that is made up: one interval, within these bounds, ms. */
const LEAST_LATE = 4;
const MOST_LATE = 5_000;

export class SharedBucket {
  readonly key: string;
  #limit: SharedLimit;
  readonly #host: ShareHost;
  readonly #pacer = new Pacer();
  #holding: Holding;
  #pace: Pace = { interval: 0, tolerance: 0 };
  /** Units a span that `#pace` stands for. */
  #paced = 0;
  /** When a quota's hour or day ends. */
  #periodEnd = Number.POSITIVE_INFINITY;

  constructor(key: string, limit: SharedLimit, host: ShareHost, now: number) {
    this.key = key;
    this.#limit = limit;
    this.#host = host;
    this.#holding = this.#open(now);
  }

  get limit(): SharedLimit {
    return this.#limit;
  }

  /** Replaces the limit; what was counted goes on being counted, unless it is counted in another window now. */
  setLimit(limit: SharedLimit, now: number): void {
    this.#limit = limit;
    const { name, span, units } = termsOf(this.key, limit, now);
    this.#holding.limit = units;
    if (name !== this.#holding.name || span !== this.#holding.span) this.#replace(now);
  }

  #open(now: number): Holding {
    const { name, span, units, end } = termsOf(this.key, this.#limit, now);
    this.#periodEnd = end;
    this.#paced = 0;
    return new Holding({ name, span, limit: units, ...this.#host.holder() }, now);
  }

  #replace(now: number): void {
    this.#holding.retired = true;
    this.#holding = this.#open(now);
  }

  /** Wait until a message may count against the limit, ms. */
  wait(now: number): number {
    if (this.#holding.retired || now >= this.#periodEnd) this.#replace(now);
    const holding = this.#holding;
    const left = holding.most(now) - holding.used(now);
    if (left <= 0) return this.#unitWait(holding, now);
    if (holding.span === FOR_GOOD) {
      if (left <= holding.ahead / 2) this.#need(holding, now);
      return 0;
    }
    const wait = this.#pacer.wait(now, this.#paceOf(holding));
    if (wait > 0 && holding.pace < holding.limit) this.#need(holding, now);
    return wait;
  }

  #unitWait(holding: Holding, now: number): number {
    this.#need(holding, now);
    if (holding.spent) return this.#periodEnd - now;
    const held = holding.held(now);
    if (held === 0) return holding.asked ? LONG_POLL : POLL;
    const free = Math.max(1, holding.nextFree - now);
    return held >= holding.limit && free < Number.POSITIVE_INFINITY ? free : Math.min(free, LONG_POLL);
  }

  #need(holding: Holding, now: number): void {
    if (holding.need(now)) this.#host.ask(holding);
  }

  #paceOf({ pace, window }: Holding): Pace {
    if (pace !== this.#paced) {
      this.#paced = pace;
      const interval = pace > 0 ? window / pace : window;
      this.#pace = { interval, tolerance: Math.min(MOST_LATE, Math.max(LEAST_LATE, interval)) };
    }
    return this.#pace;
  }

  /** Messages that may begin with what this node holds. */
  held(now: number): number {
    return now < this.#periodEnd ? Math.max(0, this.#holding.most(now) - this.#holding.used(now)) : 0;
  }

  /** Counts one message. The caller called `wait` before. */
  take(now: number): void {
    this.#holding.begun(now);
    if (this.#holding.span !== FOR_GOOD) this.#pacer.take(now, this.#pace);
  }
}

/** The division in which a limit is counted now. */
function termsOf(
  key: string,
  { rate, quota }: SharedLimit,
  now: number,
): { name: string; span: number; units: number; end: number } {
  if (rate !== undefined) {
    const span = Math.max(rate.per, MINUTE);
    const units = Math.floor((rate.count * span) / rate.per);
    return { name: `rate/${key}/${span / 1000}`, span, units, end: Number.POSITIVE_INFINITY };
  }
  const { count, per } = quota!;
  const period = new Date(now).toISOString().slice(0, per === 'hour' ? 13 : 10);
  const length = per === 'hour' ? HOUR : DAY;
  const end = (Math.floor(now / length) + 1) * length;
  return { name: `quota/${key}/${period}`, span: FOR_GOOD, units: count, end };
}
