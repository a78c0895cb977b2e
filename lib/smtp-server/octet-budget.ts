/**
 * Bounds the memory of messages under way, by octets and not by connections: a peer costs the octets that it sent,
 * and all peers together cost no more than the budget.
 *
 * ```
 *  all ─┬─ peers that have logged in, or are trusted by address
 *       └─ anonymous ─┬─ network 192.0.2.1
 *                     └─ network 2001:db8:1:2::/64
 * ```
 * A message that finds no room is refused with a temporary reply, so that its peer sends it again.
 */

/** A budget of octets, part of a larger budget. */
export class OctetBudget {
  readonly limit: number;
  readonly #parent: OctetBudget | undefined;
  #used = 0;

  constructor(limit: number, parent?: OctetBudget) {
    this.limit = limit;
    this.#parent = parent;
  }

  get used(): number {
    return this.#used;
  }

  /** @returns false, and takes nothing, when there is no room here or in a budget above. */
  take(octets: number): boolean {
    if (this.#used + octets > this.limit || this.#parent?.take(octets) === false) return false;
    this.#used += octets;
    return true;
  }

  give(octets: number): void {
    this.#used -= octets;
    this.#parent?.give(octets);
  }
}

export interface BudgetLimits {
  all: number;
  anonymous: number;
  anonymousOfOne: number;
}

const MB = 1024 * 1024;
/** Maximum number of network budgets; above it, those that hold nothing are dropped. */
const MAX_NETWORKS = 10_000;

/**
 * The budget of all SMTP listeners of a process.
 * @param memory of the machine, octets: the budget is a sixteenth of it, at most 256 MB.
 */
export function defaultBudget(memory: number): SmtpBudget {
  const all = Math.max(64 * MB, Math.min(256 * MB, Math.floor(memory / 16)));
  return new SmtpBudget({ all, anonymous: 16 * MB, anonymousOfOne: 4 * MB });
}

/** The budgets of all SMTP connections of a process. */
export class SmtpBudget {
  readonly trusted: OctetBudget;
  readonly #anonymous: OctetBudget;
  readonly #ofOne: number;
  readonly #networks = new Map<string, OctetBudget>();

  constructor({ all, anonymous, anonymousOfOne }: BudgetLimits) {
    this.trusted = new OctetBudget(all);
    this.#anonymous = new OctetBudget(anonymous, this.trusted);
    this.#ofOne = anonymousOfOne;
  }

  /** The budget of a network whose peers have not logged in. */
  anonymous(network: string): OctetBudget {
    const known = this.#networks.get(network);
    if (known) return known;
    if (this.#networks.size >= MAX_NETWORKS) {
      for (const [name, { used }] of this.#networks) if (used === 0) this.#networks.delete(name);
    }
    const budget = new OctetBudget(this.#ofOne, this.#anonymous);
    this.#networks.set(network, budget);
    return budget;
  }
}
