/**
 * Resolves which limits apply to which mail: rules, layer over layer, resolved once for each place and each kind of
 * mail and then looked up.
 *
 * ```
 *  place (provider, site, IP, pool) ──► limits of the place, and where each comes from
 *     └─ mail (tenant, campaign, class, domain) ──► own connections?  the name of that variant and its limits
 *                                              └──► counters: what is counted for this mail alone
 * ```
 */
import { Cache } from '../../cache.ts';
import type { LimitRule, LimitTable } from './limit.ts';
import { rankOf } from './match.ts';
import { PlaceLimits } from './place-limits.ts';
import type { PathKey } from './terms.ts';

const MAX_PLACES = 50_000;

/** All rules: a table, and over it the limits of directives while they are in force. */
export class LimitBook {
  #table: LimitTable;
  #orders: readonly LimitRule[] = [];
  #rules: readonly LimitRule[] = [];
  readonly #places = new Cache<string, PlaceLimits>(MAX_PLACES);
  #poolMatters = false;
  /** Grows with each change. */
  version = 0;

  constructor(table: LimitTable) {
    this.#table = table;
    this.#changed();
  }

  /** Replaces the table; counts continue. */
  replace(table: LimitTable): void {
    this.#table = table;
    this.#changed();
  }

  uses(table: LimitTable): boolean {
    return this.#table === table;
  }

  /** Sets the limits of directives. */
  order(rules: readonly LimitRule[]): void {
    if (rules.length === 0 && this.#orders.length === 0) return;
    this.#orders = rules;
    this.#changed();
  }

  #changed(): void {
    const ranked = this.#table.rules.map((rule, i) => ({ rule, rank: rankOf(rule.match), i }));
    ranked.sort((a, b) => a.rank - b.rank || a.i - b.i);
    this.#rules = [...ranked.map(({ rule }) => rule), ...this.#orders];
    this.#poolMatters = [...this.#rules, ...this.#table.shared].some(
      (one) => one.match.pool !== undefined || ('each' in one && one.each.includes('pool')),
    );
    this.#places.clear();
    this.version += 1;
  }

  /** The pool, if any limit depends on it. */
  poolKey(pool: string): string {
    return this.#poolMatters ? pool : '';
  }

  /** The limits of a place; the same object until a rule changes. */
  at(place: PathKey): PlaceLimits {
    const pool = this.poolKey(place.pool);
    const key = `${place.site}\n${place.ip}\n${pool}\n${place.provider}${place.routed ? '!' : ''}`;
    let found = this.#places.get(key);
    if (found === undefined) {
      found = new PlaceLimits({ ...place, pool }, this.#rules, this.#table.shared);
      this.#places.set(key, found);
    }
    return found;
  }
}
