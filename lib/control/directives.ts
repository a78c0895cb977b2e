/**
 * Directives: what operators order and what automation rules find, one list, obeyed by every node within two
 * seconds (the config port announces a change within one). `match` is synchronous; see `directive-index.ts`
 * for what it costs to ask and which directive wins.
 */
import { createHash } from 'node:crypto';
import { type DirectiveOrder, readDirective } from '../directives/check.ts';
import type { Directive, DirectiveOrigin } from '../directives/directive.ts';
import type { DeliveryFacts, Ruling } from '../directives/index.ts';
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import { DirectiveStore, type StoredDirective } from './directive-store.ts';
import { countOf, Quota } from './quotas.ts';

export type { StoredDirective } from './directive-store.ts';

export interface Directives {
  /** What holds for a delivery at `now` (ms since the epoch). */
  match(facts: DeliveryFacts, now: number): Ruling;
  /** Those in force, in the order of ids. */
  list(): StoredDirective[];
  /** One that is in force. */
  find(id: string): StoredDirective | undefined;
  /**
   * An operator's order, durable and in force when it resolves. The same match and kind of action, ordered again
   * by the same kind of key, replaces what was ordered before.
   * @throws `bad_request` with path and reason, `limit_exceeded`, and the storage group.
   */
  order(order: unknown, origin: Extract<DirectiveOrigin, { operator: string }>): Promise<StoredDirective>;
  /** Removes one of any origin. @returns whether it was there. @throws the storage group. */
  remove(id: string): Promise<boolean>;
  /** What rules order: in force at once, stored within a second. Raised again it lasts longer. */
  raise(directives: readonly Directive[]): void;
  /** What rules take back, by id. */
  lift(ids: readonly string[]): void;
  /** Calls back after each change of what is in force but by the passing of time. Returns an unsubscriber. */
  watch(listener: () => void): () => void;
  /** How many are held, by whom they were given, and how many were dropped so far for want of room. */
  figures(): { operator: number; automatic: number; dropped: number };
  /** Writes what is not stored yet. */
  close(): Promise<void>;
}

export interface DirectiveBounds {
  /** Directives that the operators of a tenant may have, and administrators together. */
  orders: number;
  /** Directives of one rule, and of all rules. A hostile host can set off rules, but only those of its kind. */
  perRule: number;
  automatic: number;
}

const BOUNDS: DirectiveBounds = { orders: 1_000, perRule: 500, automatic: 5_000 };

/** @throws PosternError of the storage group. */
export async function openDirectives(options: {
  config: Config;
  clock: Clock;
  bounds?: Partial<DirectiveBounds>;
}): Promise<Directives> {
  const { config, clock } = options;
  const bounds = { ...BOUNDS, ...options.bounds };
  const quota = new Quota('directives', bounds.orders);
  const byRule = new RuleCounts();
  const listeners = new Set<() => void>();
  let dropped = 0;

  const store = new DirectiveStore(config, clock, (id, directive) => {
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

  /** Makes room for one more of a rule: the one that ends first goes. */
  function makeRoom(rule: string): void {
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
      const id = idOf(order, origin.tenant);
      const before = find(id);
      const directive: StoredDirective = { id, ...order, origin, at: before?.at ?? now };
      if (before !== undefined) return store.put(directive);
      const owner = ownerOf(origin);
      const owned = store.all().map((one) => ({ tenant: ownerOf(one.origin) }));
      return quota.within(owner, countOf(owned, owner), () => store.put(directive));
    },

    remove: (id) => store.remove(id),

    raise(directives) {
      for (const directive of directives) {
        if (!('rule' in directive.origin) || directive.until === undefined) {
          throw new PosternError(
            'internal',
            `A directive that is raised names its rule and its end: ${directive.id}.`,
          );
        }
        if (store.get(directive.id) === undefined) makeRoom(directive.origin.rule);
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

/** Whose order it is, for bounds: no tenant has a name with brackets. */
function ownerOf(origin: DirectiveOrigin): string {
  return 'rule' in origin ? '(rules)' : (origin.tenant ?? '(administrators)');
}

/** The same for the same match and kind of action; a tenant's order never replaces an administrator's. */
function idOf({ match, action }: DirectiveOrder, tenant: string | undefined): string {
  const order = JSON.stringify([tenant ?? null, action.kind, match]);
  return `${action.kind}-${createHash('sha256').update(order).digest('hex').slice(0, 20)}`;
}

/** Which directives each rule has. */
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

  /** The rule with the most. */
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
