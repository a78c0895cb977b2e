/**
 * Directives of operators and of automation rules as one list, applied by every node within two seconds (the config
 * port announces a change within one). `match` is synchronous; `lib/directives/index.ts` describes its cost and which
 * directive wins.
 */
import { createHash } from 'node:crypto';
import { type DirectiveOrder, readDirective } from '../directives/check.ts';
import type { Directive, DirectiveOrigin } from '../directives/directive.ts';
import type { DeliveryFacts, Ruling } from '../directives/index.ts';
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import { type DirectiveKind, DirectiveStore, type StoredDirective } from './directive-store.ts';
import { Quota } from './quotas.ts';

export type { StoredDirective } from './directive-store.ts';

export interface Directives {
  /** The ruling for a delivery at `now` (since the epoch, ms). */
  match(facts: DeliveryFacts, now: number): Ruling;
  /** Directives in force, in the order of ids. */
  list(): StoredDirective[];
  /** A directive in force. */
  find(id: string): StoredDirective | undefined;
  /**
   * Stores an operator's order, durable and in force when it resolves. An order with the same match and kind of
   * action, by the same kind of key, replaces the earlier one.
   * @throws `bad_request` with path and reason, `limit_exceeded`, and the storage group.
   */
  order(order: unknown, origin: Extract<DirectiveOrigin, { operator: string }>): Promise<StoredDirective>;
  /** Removes a directive of any origin. @returns whether it existed. @throws the storage group. */
  remove(id: string): Promise<boolean>;
  /**
   * Stores a rule's directive, durable and in force when it resolves: for a process that may end at once.
   * @throws the storage group.
   */
  impose(directive: Directive): Promise<StoredDirective>;
  /** Raises directives of rules: in force at once, stored within a second. Raised again, a directive lasts longer. */
  raise(directives: readonly Directive[]): void;
  /** Lifts directives of rules, by id. */
  lift(ids: readonly string[]): void;
  /**
   * Calls the listener after each change of the directives in force, except when one expires. Returns an
   * unsubscriber.
   */
  watch(listener: () => void): () => void;
  /** Number of directives by origin, and of those dropped for want of room since the start. */
  figures(): { operator: number; automatic: number; dropped: number };
  /** Writes the changes that are not stored yet. */
  close(): Promise<void>;
}

export interface DirectiveBounds {
  /** Maximum number of directives by the operators of a tenant, and by all administrators together. */
  orders: number;
  /**
   * Maximum number of directives of one rule, and of all rules. A hostile host can fire rules, but only those of its
   * kind.
   */
  perRule: number;
  automatic: number;
}

const BOUNDS: DirectiveBounds = { orders: 1_000, perRule: 500, automatic: 5_000 };

/** @throws PosternError of the storage group. */
export async function openDirectives(options: {
  config: Config;
  clock: Clock;
  bounds?: Partial<DirectiveBounds>;
  /** What this process may write, and so sweeps; by default both. */
  sweeps?: readonly DirectiveKind[];
}): Promise<Directives> {
  const { config, clock, sweeps = ['orders', 'rules'] } = options;
  const bounds = { ...BOUNDS, ...options.bounds };
  const quota = new Quota('directives', bounds.orders, clock);
  const byRule = new RuleCounts();
  const listeners = new Set<() => void>();
  let dropped = 0;

  const store = new DirectiveStore(config, clock, sweeps, (id, directive) => {
    byRule.remove(id);
    if (directive !== undefined && 'rule' in directive.origin) byRule.add(directive.origin.rule, id);
    for (const listener of listeners) listener();
  });
  await store.load();

  const inForce = ({ until }: Directive, now: number): boolean => until === undefined || until > now;

  function find(id: string): StoredDirective | undefined {
    const directive = store.get(id);
    return directive && inForce(directive, clock.now()) ? directive : undefined;
  }

  /** Makes room for a rule's directive by removing the one of the rule that ends first. */
  function makeRoom(directive: Directive): void {
    const rule = ruleOf(directive);
    if (store.get(directive.id) !== undefined) return;
    const full = byRule.of(rule) >= bounds.perRule ? rule : undefined;
    const crowded = full ?? (byRule.total >= bounds.automatic ? byRule.largest() : undefined);
    if (crowded === undefined) return;
    let first: string | undefined;
    for (const id of byRule.ids(crowded)) {
      if (first === undefined || store.get(id)!.until! < store.get(first)!.until!) first = id;
    }
    if (first === undefined) return;
    if (inForce(store.get(first)!, clock.now())) dropped += 1;
    store.lift(first);
  }

  return {
    match: (facts, now) => store.index.match(facts, now),

    list() {
      const now = clock.now();
      return store
        .all()
        .filter((directive) => inForce(directive, now))
        .sort((a, b) => (a.id < b.id ? -1 : 1));
    },

    find,

    async order(given, origin) {
      const now = clock.now();
      const order = readDirective(given, now);
      const id = orderId(order, origin.tenant);
      const before = find(id);
      const directive: StoredDirective = { id, ...order, origin, at: before?.at ?? now };
      if (before !== undefined) return store.put(directive);
      const owner = ownerOf(origin);
      const count = () => store.all().filter((one) => ownerOf(one.origin) === owner).length;
      return quota.within(owner, count, () => store.put(directive));
    },

    remove: (id) => store.remove(id),

    async impose(directive) {
      makeRoom(directive);
      return store.put({ ...directive, at: find(directive.id)?.at ?? clock.now() });
    },

    raise(directives) {
      for (const directive of directives) {
        makeRoom(directive);
        store.raise(directive);
      }
    },

    lift(ids) {
      for (const id of ids) store.lift(id);
    },

    watch(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },

    figures: () => ({ operator: store.index.size - byRule.total, automatic: byRule.total, dropped }),

    close: () => store.close(),
  };
}

/** The rule of a directive that no person ordered. */
function ruleOf({ id, origin, until }: Directive): string {
  if ('rule' in origin && until !== undefined) return origin.rule;
  throw new PosternError('internal', `A directive that is raised names its rule and its end: ${id}.`);
}

/** The owner of a directive, for the bounds: no tenant has a name with brackets. */
function ownerOf(origin: DirectiveOrigin): string {
  return 'rule' in origin ? '(rules)' : (origin.tenant ?? '(administrators)');
}

/**
 * The id of an order, the same for the same match and kind of action; a tenant's order never replaces an
 * administrator's.
 */
export function orderId(
  { match, action }: Pick<DirectiveOrder, 'match' | 'action'>,
  tenant?: string,
): string {
  const order = JSON.stringify([tenant ?? null, action.kind, match]);
  return `${action.kind}-${createHash('sha256').update(order).digest('hex').slice(0, 20)}`;
}

/** The directives of each rule. */
class RuleCounts {
  readonly #ruleOf = new Map<string, string>();
  readonly #idsOf = new Map<string, Set<string>>();

  get total(): number {
    return this.#ruleOf.size;
  }

  of(rule: string): number {
    return this.#idsOf.get(rule)?.size ?? 0;
  }

  ids(rule: string): Iterable<string> {
    return this.#idsOf.get(rule) ?? [];
  }

  /** The rule with the most directives. */
  largest(): string | undefined {
    let largest: string | undefined;
    for (const rule of this.#idsOf.keys()) {
      if (largest === undefined || this.of(rule) > this.of(largest)) largest = rule;
    }
    return largest;
  }

  add(rule: string, id: string): void {
    let ids = this.#idsOf.get(rule);
    if (ids === undefined) this.#idsOf.set(rule, (ids = new Set()));
    ids.add(id);
    this.#ruleOf.set(id, rule);
  }

  remove(id: string): void {
    const rule = this.#ruleOf.get(id);
    if (rule === undefined) return;
    this.#ruleOf.delete(id);
    const ids = this.#idsOf.get(rule)!;
    ids.delete(id);
    if (ids.size === 0) this.#idsOf.delete(rule);
  }
}
