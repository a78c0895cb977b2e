/**
 * This node's share of a maximum number of messages under way, over all IPs and nodes. Permits are leased from the
 * engine in batches and used locally: no remote call for a message, and never more messages under way than permits.
 *
 * ```
 *  wanted ─► asked ─► held ── renewed while in use ──► unused ─► given back
 *                      │ others want them too: begins no more than its share, gives back what ends
 *                      └ the engine does not answer ──► begins nothing before the lease has ended
 * ```
 * A freed permit goes to the waiter that has waited longest here, at any IP and site.
 */
import type { SharedLimit } from './limits/limit.ts';

/** Arguments of the engine's `leases.permits`. */
export interface PermitsWanted {
  keep: number;
  want: number;
  limit: number;
  ttl: number;
}

/** A line of mail that waits until one more message may be under way. */
export interface Waiter {
  readonly bulk: boolean;
  /** Calls the waiter; false: it has nothing to send any more. */
  wake(): boolean;
}

/** Duration of a lease of permits, ms: permits of a crashed node are free again after it. */
const LEASE = 30_000;
/** Interval of renewals, ms: each shows whether other nodes need some of the permits. */
const RENEWAL = 5_000;
/** No message begins within this time before the end of a lease, ms: those under way should have ended by then. */
const MARGIN = 10_000;
/** Interval between requests of a node that got fewer permits than requested, ms. */
const AGAIN = 1_000;
/** Share of the permits in the first request. */
const FIRST = 1 / 16;
/** Maximum time that a called waiter may take to begin, ms. */
const TURN = 100;
/** One of this number of turns is bulk's while transactional mail waits too. */
const BULK_TURN = 10;

export class SharedPermits {
  readonly key: string;
  readonly limit: SharedLimit;
  /** Number of messages under way on this node. */
  running = 0;
  readonly #count: number;
  readonly #lease: (permits: SharedPermits) => void;
  readonly #urgent = new Map<Waiter, object>();
  readonly #bulk = new Map<Waiter, object>();
  /** Reservations of freed permits, by holder, with their expiry. */
  readonly #turns = new Map<object, number>();
  #called = 0;
  #held = 0;
  /** Number of the permits that may be used, because other nodes need some too. */
  #share = 0;
  #until = 0;
  #asked = false;
  #askedAt = Number.NEGATIVE_INFINITY;
  /** Number of permits that the pending request keeps. */
  #keep = 0;
  #want = 0;
  /** Maximum of messages under way since the last request. */
  #peak = 0;
  /** Time before which no further request is made, because no permits were free, ms. */
  #moreAt = 0;

  /** @param lease called when permits are to be requested or returned: it sends `request` to the engine. */
  constructor(key: string, limit: SharedLimit, lease: (permits: SharedPermits) => void) {
    this.key = key;
    this.limit = limit;
    this.#count = limit.concurrency!;
    this.#lease = lease;
  }

  /** Permits that this node holds. */
  held(now: number): number {
    return now < this.#until ? this.#held : 0;
  }

  /** Number of waiters here. */
  get waiting(): number {
    return this.#urgent.size + this.#bulk.size;
  }

  /** Whether no permit is used, held or waited for. */
  get idle(): boolean {
    return this.running === 0 && this.#held === 0 && this.waiting === 0 && !this.#asked;
  }

  /**
   * Maximum that may be under way. Permits that a request does not keep may belong to another node before its answer
   * arrives.
   */
  #most(now: number): number {
    if (now >= this.#until - MARGIN) return 0;
    return Math.min(this.#held, this.#share, this.#asked ? this.#keep : this.#held);
  }

  /** Whether one more may be under way for `who`. */
  available(now: number, who: object): boolean {
    const most = this.#most(now);
    return this.running < most && (this.#isTurnOf(who, now) || this.running + this.#promised(now) < most);
  }

  /** As `available`; when false, more permits are requested, and `who` may `park`. */
  free(now: number, who: object): boolean {
    if (this.available(now, who)) return true;
    if (this.#held < this.#count && now >= this.#moreAt) this.#ask(now, true);
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
  begun(who: object): void {
    this.#turns.delete(who);
    this.running += 1;
    if (this.running > this.#peak) this.#peak = this.running;
  }

  ended(now: number): void {
    this.running -= 1;
    if (this.#share < this.#held && this.running <= this.#share) this.#ask(now, this.waiting > 0);
    this.#call(now);
  }

  /** Calls one waiter for each free permit. */
  #call(now: number): void {
    while (this.waiting > 0 && this.running + this.#promised(now) < this.#most(now)) {
      this.#called += 1;
      const bulkFirst = this.#called % BULK_TURN === 0 && this.#bulk.size > 0;
      const from = bulkFirst || this.#urgent.size === 0 ? this.#bulk : this.#urgent;
      const [waiter, who] = from.entries().next().value!;
      from.delete(waiter);
      if (waiter.wake()) this.#turns.set(who, now + TURN);
    }
  }

  /** Once a second: renews used permits, requests needed ones, returns the rest. */
  tick(now: number): void {
    this.#call(now);
    const starved = this.waiting > 0 && this.#held < this.#count && now >= this.#moreAt;
    const due = now >= this.#askedAt + RENEWAL && (this.#held > 0 || this.waiting > 0);
    if (starved || due) this.#ask(now, this.waiting > 0);
  }

  #ask(now: number, scarce: boolean): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#askedAt = now;
    // Doubles until it is enough, and then follows the use.
    const more = Math.max(this.#count * FIRST, 2 * Math.max(this.running, this.#held));
    this.#keep = this.running;
    this.#want = scarce ? Math.min(this.#count, Math.ceil(more)) : this.#peak;
    this.#peak = this.running;
    this.#lease(this);
  }

  /** The request for the engine; `granted` or `failed` must follow. */
  request(): PermitsWanted {
    return { keep: this.#keep, want: this.#want, limit: this.#count, ttl: LEASE };
  }

  /** @param askedAt time of the request. */
  granted(held: number, share: number, askedAt: number, now: number): void {
    this.#asked = false;
    this.#held = held;
    this.#share = share;
    this.#until = askedAt + LEASE;
    this.#moreAt = share < this.#want ? now + AGAIN : 0;
    this.#call(now);
  }

  /**
   * Handles a request without an answer. It may have been granted: permits that it did not keep are not used any
   * more.
   */
  failed(now: number): void {
    this.#asked = false;
    this.#held = Math.min(this.#held, this.#keep);
    this.#askedAt = now - RENEWAL + AGAIN;
    this.#moreAt = now + AGAIN;
  }
}
