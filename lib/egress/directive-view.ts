/**
 * The directives in force, which suspend, bounce, reroute or limit mail. They are matched for each delivery on its way to
 * a connection pool; when they change, what already waits is routed anew.
 */
import type { Directive, DirectiveLimits, DirectiveMatch } from '../directives/directive.ts';
import type { DeliveryFacts, Ruling } from '../directives/index.ts';
import type { Constraint } from '../shaping/constraint.ts';
import type { LimitRule, Limits } from '../shaping/limits/limit.ts';
import { perSecond } from '../shaping/rate.ts';
import { RecheckPacer } from '../shaping/recheck.ts';
import { DAY } from '../time.ts';

/** The directives of this installation, as egress needs them. */
export interface ActiveDirectives {
  /** What holds for a delivery; synchronous, called for each. */
  match(facts: DeliveryFacts, now: number): Ruling;
  /** Those in force. */
  list(): readonly Directive[];
  /** Puts directives of automation rules into force at once. */
  raise(directives: readonly Directive[]): void;
  /** Ends them. */
  lift(ids: readonly string[]): void;
  /** Calls back after each change but by the passing of time. Returns an unsubscriber. */
  watch(observer: () => void): () => void;
}

/** A directive that is in force. */
interface Seen {
  /** When it was first seen here, ms. */
  since: number;
  /** What it suspends is looked at again in this row. */
  rechecks: RecheckPacer;
  /** How it then stood. */
  as: Directive;
}

const FREE: Ruling = { action: 'none', limitedBy: [] };
/**
 * Mail that a directive suspends is looked at again when as long has passed as it has held, or in its row of looks,
 * whichever is sooner: a hundred messages go within seconds of its end. Between these, ms.
 */
const SOONEST = 1_000;
const LATEST = 600_000;
/** Shown for a directive without an end, ms. */

export class DirectiveView {
  readonly #directives: ActiveDirectives | undefined;
  #seen = new Map<string, Seen>();
  #limiting = '';
  /** No directive is in force. */
  isEmpty = true;
  /** Rules for the limits that directives set. */
  limits: LimitRule[] = [];

  constructor(directives: ActiveDirectives | undefined) {
    this.#directives = directives;
  }

  /** Looks at the directives anew. @returns whether waiting mail may be concerned. */
  refresh(now: number): boolean {
    const list = this.#directives?.list() ?? [];
    if (list.length === 0 && this.#seen.size === 0) return false;
    const seen = new Map<string, Seen>();
    let changed = list.length !== this.#seen.size;
    for (const directive of list) {
      const before = this.#seen.get(directive.id);
      changed ||= before === undefined || before.as.action !== directive.action;
      seen.set(directive.id, {
        since: before?.since ?? now,
        rechecks: before?.rechecks ?? new RecheckPacer(SOONEST),
        as: directive,
      });
    }
    this.#seen = seen;
    this.isEmpty = seen.size === 0;
    return changed;
  }

  /** Whether the limits set by directives have changed since the last call. */
  limitsChanged(): boolean {
    const limiting = [...this.#seen.values()].filter(({ as }) => as.action.kind === 'limit');
    const signature = JSON.stringify(limiting.map(({ as }) => [as.id, as.action]));
    if (signature === this.#limiting) return false;
    this.#limiting = signature;
    this.limits = limiting.map(({ as }) => limitRule(as));
    return true;
  }

  /** What holds for mail, as far as it is known. */
  match(facts: DeliveryFacts, now: number): Ruling {
    return this.isEmpty ? FREE : (this.#directives?.match(facts, now) ?? FREE);
  }

  /** The directive that keeps mail, as far as the mail is known. */
  *constraints(facts: DeliveryFacts, now: number): Iterable<Constraint> {
    const { action, by } = this.match(facts, now);
    if (by === undefined) return;
    const text = describe(by);
    yield {
      limit: action,
      word: 'directive',
      value: text,
      origin: `directive ${by.id}`,
      wait: (by.until ?? now + DAY) - now,
      code: 'suspended',
      text,
    };
  }

  /** Why and until when mail waits that a directive suspends. */
  suspension(directive: Directive, now: number): { text: string; until: number; lasts?: number } {
    const seen = this.#seen.get(directive.id);
    const held = seen === undefined ? 0 : now - seen.since;
    const look = seen?.rechecks.next(now) ?? now;
    const again = Math.max(now + SOONEST, Math.min(look, now + Math.min(held, LATEST)));
    return {
      text: describe(directive),
      until: Math.min(directive.until ?? Number.POSITIVE_INFINITY, again),
      lasts: directive.until,
    };
  }

  /** What automation found. */
  raise(directives: readonly Directive[], lift: readonly string[]): void {
    if (directives.length > 0) this.#directives?.raise(directives);
    if (lift.length > 0) this.#directives?.lift(lift);
  }
}

/** A directive in a sentence: its reason, its mail, its author and its end. */
export function describe({ id, reason, origin, match, until }: Directive): string {
  // Tenants read it as the reason of their mail: the key of an administrator is not theirs to learn.
  const operator =
    'operator' in origin && (origin.tenant === undefined ? 'an administrator' : origin.operator);
  const by = 'rule' in origin ? `rule ${origin.rule}, after "${origin.reply}"` : `${operator}`;
  const end = until === undefined ? 'until it is removed' : `until ${new Date(until).toISOString()}`;
  return `${reason} (directive ${id} for ${scopeOf(match)}, by ${by}, ${end})`;
}

function scopeOf(match: DirectiveMatch): string {
  const parts = Object.entries(match).map(([name, value]) => `${name} ${value}`);
  return parts.length === 0 ? 'all mail' : parts.join(', ');
}

function limitRule({ id, match, action }: Directive): LimitRule {
  const set = action.kind === 'limit' ? limitsOf(action.limits) : {};
  return { match, set, origin: `directive ${id}`, atMost: true };
}

/** What is ordered, in the words of rules. */
export function limitsOf(limits: DirectiveLimits): Partial<Limits> {
  const { connections, connectionsPerMinute, messagesPerSecond, messagesPerConnection } = limits;
  const set: { -readonly [L in keyof Limits]?: Limits[L] } = {};
  if (connections !== undefined) set.connections = connections;
  if (messagesPerConnection !== undefined) set.messagesPerConnection = messagesPerConnection;
  if (connectionsPerMinute !== undefined) set.connectionRate = perSecond(connectionsPerMinute / 60);
  if (messagesPerSecond !== undefined) set.messageRate = perSecond(messagesPerSecond);
  return set;
}
