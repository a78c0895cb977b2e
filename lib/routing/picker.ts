/**
 * Chooses an IP of one pool for one provider.
 *
 * ```
 *  the IP whose turn it is ── may not be used at all ──────────► the next in turn
 *        │                 └─ its warm-up budget is spent ─┬───► the next that may send       (overBudget: warmed)
 *        ▼                                                 └───► the next that warms up and may send (wait)
 *      sends                          none: the least wait
 * ```
 * Turns are those of smooth weighted round-robin (nginx): every IP grows by its weight, the largest sends and is
 * lowered by the sum. Shares are exact after each round, and an IP of weight 5 does not send five in a row.
 */
import { Cache } from '../cache.ts';
import { fraction, hash } from './hash.ts';
import type { Pool } from './pools.ts';

/** Current state of the node's IPs. Synchronous, and read for every message. */
export interface IpStates {
  /** Whether its lease is held here, and no directive stops it at the provider. */
  usable(ip: string, provider: string, now: number): boolean;
  /** Wait until its warm-up lets a message start at the provider, ms; 0 for none. */
  wait(ip: string, provider: string, now: number): number;
  /** Whether it has a warm-up budget at the provider. */
  warming(ip: string, provider: string): boolean;
  /** Number of deliveries in flight from it. */
  load(ip: string): number;
}

/** Narrows a choice to the IPs that can reach a destination (address family). */
export type Reach = (ip: string) => boolean;

/**
 * How long a spent budget is remembered, ms: checking all spent IPs for every message would cost more than it gains.
 */
const REMEMBERED = 1_000;
/** Maximum number of tenants whose order of IPs is cached. */
const MAX_ORDERS = 10_000;

export class Picker {
  readonly #pool: Pool;
  readonly #provider: string;
  readonly #states: IpStates;
  readonly #ips: readonly string[];
  readonly #weights: Float64Array;
  readonly #credits: Float64Array;
  /** Until when a budget counts as spent, and when it lets the next message start. */
  readonly #spentUntil: Float64Array;
  readonly #freeAt: Float64Array;
  /** Choice in which an IP was last skipped. */
  readonly #passed: Uint32Array;
  /** Choice in which an IP was last taken. */
  readonly #chosen: Uint32Array;
  readonly #orders = new Cache<string, Uint16Array>(MAX_ORDERS);
  #choice = 0;
  /** Least wait among the IPs with a spent budget in the last choice; `Infinity` when none was spent. */
  leastWait = Number.POSITIVE_INFINITY;

  constructor(pool: Pool, provider: string, states: IpStates) {
    const ips = pool.ips.filter(({ weight }) => weight > 0);
    this.#pool = pool;
    this.#provider = provider;
    this.#states = states;
    this.#ips = ips.map(({ ip }) => ip);
    this.#weights = Float64Array.from(ips, ({ weight }) => weight);
    this.#credits = new Float64Array(ips.length);
    this.#spentUntil = new Float64Array(ips.length);
    this.#freeAt = new Float64Array(ips.length);
    this.#passed = new Uint32Array(ips.length);
    this.#chosen = new Uint32Array(ips.length);
  }

  /**
   * Picks an IP. @returns an IP that may send now; undefined when there is none, and then `leastWait` holds the wait.
   */
  pick(tenant: string, now: number, reach: Reach | undefined): string | undefined {
    this.leastWait = Number.POSITIVE_INFINITY;
    this.#choice = (this.#choice + 1) >>> 0;
    const place = this.#pool.sticky
      ? this.#sticky(tenant, now, reach)
      : this.#pool.choice === 'weighted'
        ? this.#weighted(now, reach)
        : this.#leastLoaded(now, reach);
    if (place < 0) return undefined;
    this.#chosen[place] = this.#choice;
    return this.#ips[place];
  }

  #weighted(now: number, reach: Reach | undefined): number {
    const { length } = this.#ips;
    const wait = this.#pool.overBudget === 'wait';
    let sum = 0;
    for (let i = 0; i < length; i += 1) {
      // With `warmed` a spent IP takes no turns; where its mail waits, its turns pass.
      if (!wait && this.#knownSpent(i, now)) continue;
      this.#credits[i] = this.#credits[i]! + this.#weights[i]!;
      sum += this.#weights[i]!;
    }
    for (;;) {
      const best = this.#largest();
      if (best < 0) return -1;
      if (this.#usable(best, now, reach)) {
        if (!this.#spent(best, now)) {
          this.#credits[best] = this.#credits[best]! - sum;
          return best;
        }
        if (wait) {
          this.#credits[best] = this.#credits[best]! - sum;
          this.#pass(best);
          return this.#otherWarming(now, reach);
        }
      }
      this.#credits[best] = this.#credits[best]! - this.#weights[best]!;
      sum -= this.#weights[best]!;
      this.#pass(best);
    }
  }

  #largest(): number {
    let best = -1;
    for (let i = 0; i < this.#ips.length; i += 1) {
      if (this.#passed[i] === this.#choice) continue;
      if (best < 0 || this.#credits[i]! > this.#credits[best]!) best = i;
    }
    return best;
  }

  #leastLoaded(now: number, reach: Reach | undefined): number {
    for (let i = 0; i < this.#ips.length; i += 1) this.#knownSpent(i, now);
    for (;;) {
      const best = this.#lightest();
      if (best < 0) return -1;
      if (this.#usable(best, now, reach) && !this.#spent(best, now)) return best;
      this.#pass(best);
    }
  }

  /** The least loaded IP; of equals, the one that was chosen longest ago. */
  #lightest(): number {
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.#ips.length; i += 1) {
      if (this.#passed[i] === this.#choice) continue;
      const load = this.#states.load(this.#ips[i]!) / this.#weights[i]!;
      if (load < least || (load === least && this.#chosen[i]! < this.#chosen[best]!)) {
        best = i;
        least = load;
      }
    }
    return best;
  }

  /** Weighted rendezvous hashing (Thaler and Ravishankar 1996): a lost IP moves only its own tenants. */
  #sticky(tenant: string, now: number, reach: Reach | undefined): number {
    for (const place of this.#orderOf(tenant)) {
      if (!this.#usable(place, now, reach)) continue;
      if (!this.#spent(place, now)) return place;
      // Where mail waits for its budget, it waits for its tenant's own IP.
      if (this.#pool.overBudget === 'wait') return -1;
    }
    return -1;
  }

  #orderOf(tenant: string): Uint16Array {
    let order = this.#orders.get(tenant);
    if (order === undefined) {
      const seed = hash(tenant);
      const scores = this.#ips.map((ip, i) => -Math.log(fraction(ip, seed)) / this.#weights[i]!);
      order = Uint16Array.from(this.#ips.keys()).sort((a, b) => scores[a]! - scores[b]!);
      this.#orders.set(tenant, order);
    }
    return order;
  }

  /** The next warming IP that may send, because mail of a warming IP is not sent by a warm one here. */
  #otherWarming(now: number, reach: Reach | undefined): number {
    let best = -1;
    for (let i = 0; i < this.#ips.length; i += 1) {
      if (this.#passed[i] === this.#choice || this.#knownSpent(i, now)) continue;
      if (best >= 0 && this.#credits[i]! <= this.#credits[best]!) continue;
      const warming = this.#states.warming(this.#ips[i]!, this.#provider);
      if (warming && this.#usable(i, now, reach) && !this.#spent(i, now)) best = i;
    }
    return best;
  }

  #usable(place: number, now: number, reach: Reach | undefined): boolean {
    const ip = this.#ips[place]!;
    return (reach === undefined || reach(ip)) && this.#states.usable(ip, this.#provider, now);
  }

  #spent(place: number, now: number): boolean {
    if (this.#knownSpent(place, now)) return true;
    const wait = this.#states.wait(this.#ips[place]!, this.#provider, now);
    if (wait <= 0) return false;
    this.#spentUntil[place] = now + Math.min(wait, REMEMBERED);
    this.#freeAt[place] = now + wait;
    this.leastWait = Math.min(this.leastWait, wait);
    return true;
  }

  #knownSpent(place: number, now: number): boolean {
    if (this.#spentUntil[place]! <= now) return false;
    this.leastWait = Math.min(this.leastWait, this.#freeAt[place]! - now);
    this.#pass(place);
    return true;
  }

  #pass(place: number): void {
    this.#passed[place] = this.#choice;
  }
}
