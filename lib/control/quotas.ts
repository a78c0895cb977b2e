/** Limits how many documents of a kind a tenant may have. */
import { Cache } from '../cache.ts';
import { PosternError } from '../errors.ts';
import { type Clock, MINUTE } from '../time.ts';

/** Amazon SES's quotas of an account; here each tenant has them. */
export interface ControlLimits {
  identities: number;
  configurationSets: number;
  templates: number;
}

export const SES_LIMITS: ControlLimits = { identities: 10_000, configurationSets: 10_000, templates: 20_000 };

/** A count is used again for so long, ms, while the tenant is below this part of its limit. */
const KEPT = MINUTE;
const FAR_BELOW = 0.9;
const TENANTS = 1_000;

/**
 * Counting is left to the store. A tenant far below its limit is not counted for each document; the documents of one
 * that is near it are made one after the other, so that concurrent calls cannot exceed the limit together.
 */
export class Quota {
  readonly #what: string;
  readonly #limit: number;
  readonly #clock: Clock;
  /** What was counted last, with what was made since. */
  readonly #counted = new Cache<string, { count: number; at: number }>(TENANTS);
  /** The last creation of each tenant near its limit. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(what: string, limit: number, clock: Clock) {
    this.#what = what;
    this.#limit = limit;
    this.#clock = clock;
  }

  /**
   * @param count counts the tenant's documents. @param store creates one more.
   * @throws `limit_exceeded`, and what the two throw.
   */
  async within<T>(
    tenant: string,
    count: () => number | Promise<number>,
    store: () => Promise<T>,
  ): Promise<T> {
    if (this.#isFar(tenant)) return this.#make(tenant, store);
    const before = this.#turns.get(tenant);
    const turn = (async () => {
      await before?.catch(() => undefined);
      if (!this.#isFar(tenant)) await this.#count(tenant, count);
      return this.#make(tenant, store);
    })();
    this.#turns.set(tenant, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(tenant) === turn) this.#turns.delete(tenant);
    }
  }

  #isFar(tenant: string): boolean {
    const known = this.#counted.get(tenant);
    if (known === undefined || known.count >= FAR_BELOW * this.#limit) return false;
    return this.#clock.now() - known.at < KEPT;
  }

  async #count(tenant: string, count: () => number | Promise<number>): Promise<void> {
    const found = await count();
    this.#counted.set(tenant, { count: found, at: this.#clock.now() });
    if (found < this.#limit) return;
    throw new PosternError(
      'limit_exceeded',
      `Tenant ${tenant} has ${this.#limit} ${this.#what}, the most it may have. Delete what is unused.`,
    );
  }

  async #make<T>(tenant: string, store: () => Promise<T>): Promise<T> {
    const counted = this.#counted.get(tenant);
    if (counted) counted.count += 1;
    try {
      return await store();
    } catch (error) {
      if (counted) counted.count -= 1;
      throw error;
    }
  }
}
