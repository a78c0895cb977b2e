/**
 * What this process holds of a limit that nodes share: the holder's side of `terms.ts`. It reports by itself what it
 * needs and uses, and applies what it is granted; the owner counts messages by it, and no message waits for a call.
 */
import { readDivision } from './stored.ts';
import { FOR_GOOD, type HolderReport, TERM, WHILE_RUNNING } from './terms.ts';
import { UseLog } from './use-log.ts';

/** A holder stops so much before its divider may count its units as free, ms: clocks do not run exactly alike. */
const SLACK = 1_000;
/** A report is renewed after this time, ms. */
const RENEWAL = 10_000;
/** Interval of reports of a holder that needs more, or gives up units, ms. */
const SOON = 2_000;
/** The same of a quota, which may be used at any pace, ms. */
const SOON_QUOTA = 500;
/** Without a message for this time a holder gives everything back, ms. */
const IDLE = 60_000;
/** Parts of the span in which uses are counted: a unit is free again at most such a part late. */
const PARTS = 240;
/** Share of the units in the first request. */
const FIRST = 1 / 4;
/** Part of a quota that a node may hold beyond what it has used: lost to the others if it crashes. */
const QUOTA_AHEAD = 1 / 50;

export interface HoldingOptions {
  /** Name among the divisions of the engine. */
  name: string;
  /** How long a unit is in use, ms: `WHILE_RUNNING`, the window of a rate, `FOR_GOOD`. */
  span: number;
  /** Units of the limit. */
  limit: number;
  /** Name of the node; when this process began, ms; name of this holder among all. */
  node: string;
  start: number;
  holder: string;
}

export class Holding {
  readonly name: string;
  readonly span: number;
  readonly holder: string;
  /** Units of the limit: changes with its document. */
  limit: number;
  /** Messages under way, where a unit is in use while one runs. */
  running = 0;
  readonly #log: UseLog;
  readonly #node: string;
  readonly #start: number;
  #count = 0;
  #grant = 0;
  #held = 0;
  /** What it was last granted: it gives up what it holds beyond. */
  #units = 0;
  #pace = 0;
  #end = 0;
  /** The end has passed: it waits for another grant. */
  #lost = true;
  /** A message had to wait for a unit since the last report. */
  #hungry = false;
  /** Maximum of units in use since the last report. */
  #peak = 0;
  #usedAt: number;
  #sentAt = Number.NEGATIVE_INFINITY;
  #wanted = 0;
  #confirmed = 0;
  #reportedHeld = 0;
  /** All units are used for good. */
  spent = false;
  /** It is given back and used no more: nothing needs it, or its limit is counted elsewhere now. */
  retired = false;

  constructor({ name, span, limit, node, start, holder }: HoldingOptions, now: number) {
    this.name = name;
    this.span = span;
    this.limit = limit;
    this.holder = holder;
    this.#node = node;
    this.#start = start;
    this.#usedAt = now;
    this.#log = new UseLog(span, PARTS);
  }

  /** Units in use. */
  used(now: number): number {
    return this.span === WHILE_RUNNING ? this.running : this.#log.used(now);
  }

  /** Units that it holds. */
  held(now: number): number {
    return now < this.#end ? this.#held : 0;
  }

  /** Units that messages may use now. @param margin time before the end at which none begins, ms. */
  most(now: number, margin = 0): number {
    if (this.#lost || now >= this.#end - margin) return 0;
    // A permit that is given up is not used again; a paced limit slows down instead.
    return this.span === WHILE_RUNNING ? Math.min(this.#held, this.#units) : this.#held;
  }

  /** Units a span to which messages are paced. */
  get pace(): number {
    return this.#pace;
  }

  /** Time over which a paced unit comes back, ms. */
  get window(): number {
    return this.span + this.#log.part;
  }

  /** When a unit that is in use will be free, ms since the epoch; `Infinity`: not by time. */
  get nextFree(): number {
    return this.#log.nextFree;
  }

  /** A message begins. */
  begun(now: number): void {
    this.#usedAt = now;
    if (this.span === WHILE_RUNNING) this.running += 1;
    else this.#log.add(now, 1);
    this.#peak = Math.max(this.#peak, this.used(now));
  }

  /** A message waits for a unit. @returns whether storage should be asked at once. */
  need(now: number): boolean {
    this.#usedAt = now;
    this.#hungry = true;
    return this.reportDue(now);
  }

  /** Whether nothing has used it for long. */
  idle(now: number): boolean {
    return this.retired || (now - this.#usedAt >= IDLE && this.running === 0);
  }

  /** Whether storage was asked, so that an answer takes until others give units up. */
  get asked(): boolean {
    return this.#end > 0;
  }

  /** Whether it wants more than it holds. */
  get wanting(): boolean {
    return this.#hungry || this.#wanted > this.#held;
  }

  /** Whether it was granted something that it has not reported. */
  get unconfirmed(): boolean {
    return this.#confirmed !== this.#grant;
  }

  #want(now: number): number {
    const used = this.used(now);
    if (this.span === FOR_GOOD) {
      const active = this.#hungry || now - this.#usedAt < RENEWAL;
      return Math.min(this.limit, active ? used + this.ahead : used);
    }
    if (!this.#hungry) return Math.min(this.limit, this.#peak);
    // Doubles until it is enough, and then follows the use.
    return Math.min(this.limit, Math.ceil(Math.max(this.limit * FIRST, 2 * Math.max(used, this.#held))));
  }

  /** Units of a quota that it holds beyond those used. */
  get ahead(): number {
    return Math.max(1, Math.floor(this.limit * QUOTA_AHEAD));
  }

  #wantsMore(now: number): boolean {
    if (!this.#hungry) return false;
    if (this.span === FOR_GOOD) return this.#want(now) >= this.#wanted + Math.max(1, this.ahead / 2);
    return this.#want(now) > this.#wanted * 1.05;
  }

  /** Whether a report should be sent now. */
  reportDue(now: number): boolean {
    const since = now - this.#sentAt;
    if (this.unconfirmed || since >= RENEWAL) return true;
    if (since < (this.span === FOR_GOOD ? SOON_QUOTA : SOON)) return false;
    const gives = this.#reportedHeld > this.#units && this.used(now) < this.#reportedHeld;
    return gives || this.#wantsMore(now);
  }

  /** The report to be sent; `reported` follows when it is stored. @param gone it holds nothing from now on. */
  report(now: number, gone = false): HolderReport {
    const used = this.used(now);
    // Its units may have been divided: it begins nothing before another grant, and reports what it still uses.
    if (now >= this.#end) this.#lose(used);
    this.#held = Math.min(this.#held, Math.max(used, this.#units));
    if (gone) this.#held = 0;
    this.#wanted = gone ? 0 : this.#want(now);
    this.#count += 1;
    this.#sentAt = now;
    this.#confirmed = this.#grant;
    this.#reportedHeld = this.#held;
    const report: HolderReport = {
      count: this.#count,
      start: this.#start,
      node: this.#node,
      grant: this.#grant,
      held: this.#held,
      used,
      want: this.#wanted,
      pace: this.#pace,
      ages: this.span === WHILE_RUNNING ? [] : this.#log.ages(now),
      ...(gone && { gone }),
    };
    this.#peak = used;
    this.#hungry = false;
    return report;
  }

  #lose(used: number): void {
    this.#lost = true;
    this.#units = 0;
    this.#held = used;
  }

  /** @param sentAt when the report that is now stored was made. */
  reported(sentAt: number): void {
    this.#end = Math.max(this.#end, sentAt + TERM - SLACK);
  }

  /** The report was not answered: it may be stored or not. */
  failed(): void {
    this.#confirmed = -1;
  }

  /** @param stored the division as it was read. @returns whether it holds more now. */
  apply(stored: unknown, now: number): boolean {
    const division = readDivision(stored);
    this.spent = division?.spent ?? false;
    const grant = division?.grants.get(this.holder);
    if (grant === undefined || grant.number <= this.#grant || now >= this.#end) return false;
    const before = this.#held;
    this.#lost = false;
    this.#grant = grant.number;
    this.#units = grant.units;
    this.#pace = grant.pace;
    this.#held = Math.max(grant.units, Math.min(this.#held, this.used(now)));
    return this.#held > before;
  }
}
