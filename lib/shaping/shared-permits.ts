/**
 * This node's share of a maximum number of messages under way, over all IPs and nodes (`division/terms.ts`): used
 * locally, so that no message waits for a call.
 *
 * A freed permit goes to the waiter that has waited longest here, at any IP and site.
 */
import { Holding } from './division/holding.ts';
import { WHILE_RUNNING } from './division/terms.ts';
import type { SharedLimit } from './limits/limit.ts';
import type { ShareHost } from './shared-bucket.ts';

/** A line of mail that waits until one more message may be under way. */
export interface Waiter {
  readonly bulk: boolean;
  /** Calls the waiter; false: it has nothing to send any more. */
  wake(): boolean;
}

/** No message begins within this time before the end of what was granted, ms: those under way should have ended by then. */
const MARGIN = 10_000;
/** Maximum time that a called waiter may take to begin, ms. */
const TURN = 100;
/** One of this number of turns is bulk's while transactional mail waits too. */
const BULK_TURN = 10;

export class SharedPermits {
  readonly key: string;
  #limit: SharedLimit;
  readonly #host: ShareHost;
  #holding: Holding;
  readonly #urgent = new Map<Waiter, object>();
  readonly #bulk = new Map<Waiter, object>();
  /** Reservations of freed permits, by holder, with their expiry. */
  readonly #turns = new Map<object, number>();
  #called = 0;
  readonly #granted = (now: number): void => this.#call(now);

  constructor(key: string, limit: SharedLimit, host: ShareHost, now: number) {
    this.key = key;
    this.#limit = limit;
    this.#host = host;
    this.#holding = this.#open(now);
  }

  #open(now: number): Holding {
    const terms = { name: `permits/${this.key}`, span: WHILE_RUNNING, limit: this.#limit.concurrency! };
    return new Holding({ ...terms, ...this.#host.holder() }, now);
  }

  get limit(): SharedLimit {
    return this.#limit;
  }

  /** Replaces the limit; what is under way goes on being counted. */
  setLimit(limit: SharedLimit): void {
    this.#limit = limit;
    this.#holding.limit = limit.concurrency!;
  }

  /** Number of messages under way on this node. */
  get running(): number {
    return this.#holding.running;
  }

  /** Permits that this node holds. */
  held(now: number): number {
    return this.#holding.held(now);
  }

  /** Number of waiters here. */
  get waiting(): number {
    return this.#urgent.size + this.#bulk.size;
  }

  /** Whether one more may be under way for `who`. */
  available(now: number, who: object): boolean {
    const most = this.#holding.most(now, MARGIN);
    return this.running < most && (this.#isTurnOf(who, now) || this.running + this.#promised(now) < most);
  }

  /** As `available`; when false, more permits are requested, and `who` may `park`. */
  free(now: number, who: object): boolean {
    if (this.available(now, who)) return true;
    this.#need(now);
    return false;
  }

  #isTurnOf(who: object, now: number): boolean {
    return (this.#turns.get(who) ?? 0) > now;
  }

  #promised(now: number): number {
    for (const [who, until] of this.#turns) if (until <= now) this.#turns.delete(who);
    return this.#turns.size;
  }

  /** Registers a waiter, called when a permit is free, in the order of arrival, transactional mail first. */
  park(waiter: Waiter, who: object): void {
    (waiter.bulk ? this.#bulk : this.#urgent).set(waiter, who);
  }

  /** Removes a waiter. */
  leave(waiter: Waiter): void {
    (waiter.bulk ? this.#bulk : this.#urgent).delete(waiter);
  }

  /** Counts a message that begins. The caller called `free` before. */
  begun(who: object, now: number): void {
    this.#turns.delete(who);
    this.#holding.begun(now);
  }

  ended(now: number): void {
    this.#holding.running -= 1;
    this.#call(now);
  }

  /** Calls one waiter for each free permit. */
  #call(now: number): void {
    while (this.waiting > 0 && this.running + this.#promised(now) < this.#holding.most(now, MARGIN)) {
      this.#called += 1;
      const bulkFirst = this.#called % BULK_TURN === 0 && this.#bulk.size > 0;
      const from = bulkFirst || this.#urgent.size === 0 ? this.#bulk : this.#urgent;
      const [waiter, who] = from.entries().next().value!;
      from.delete(waiter);
      if (waiter.wake()) this.#turns.set(who, now + TURN);
    }
  }

  /** Once a second. */
  tick(now: number): void {
    this.#call(now);
    if (this.waiting > 0) this.#need(now);
  }

  #need(now: number): void {
    if (this.#holding.retired) this.#holding = this.#open(now);
    if (this.#holding.need(now)) this.#host.ask(this.#holding, this.#granted);
  }
}
