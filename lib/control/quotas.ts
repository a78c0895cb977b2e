/** Limits how many documents of a kind a tenant may have. */
import { PosternError } from '../errors.ts';

/** Amazon SES's quotas of an account; here each tenant has them. */
export interface ControlLimits {
  identities: number;
  configurationSets: number;
  templates: number;
}

export const SES_LIMITS: ControlLimits = { identities: 10_000, configurationSets: 10_000, templates: 20_000 };

/**
 * Reserves a place for a document while it is being stored, so that concurrent calls cannot exceed the limit
 * together.
 */
export class Quota {
  readonly #what: string;
  readonly #limit: number;
  readonly #taken = new Map<string, number>();

  constructor(what: string, limit: number) {
    this.#what = what;
    this.#limit = limit;
  }

  /**
   * @param stored number of the tenant's documents now. @param store creates one more.
   * @throws `limit_exceeded`
   */
  async within<T>(tenant: string, stored: number, store: () => Promise<T>): Promise<T> {
    const taken = this.#taken.get(tenant) ?? 0;
    if (stored + taken >= this.#limit) {
      throw new PosternError(
        'limit_exceeded',
        `Tenant ${tenant} has ${this.#limit} ${this.#what}, the most it may have. Delete what is unused.`,
      );
    }
    this.#taken.set(tenant, taken + 1);
    try {
      return await store();
    } finally {
      this.#taken.set(tenant, this.#taken.get(tenant)! - 1);
    }
  }
}

/** Number of the tenant's documents in `all`. */
export function countOf(all: readonly { tenant: string }[], tenant: string): number {
  let count = 0;
  for (const one of all) if (one.tenant === tenant) count += 1;
  return count;
}
