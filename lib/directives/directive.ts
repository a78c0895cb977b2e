/**
 * The one concept for control: what an operator orders, what an automation rule finds and what becomes of a
 * tenant that must not send are the same object, stored once, listed in one place and obeyed by every node.
 */

/** What a directive may be limited to, and what a delivery is known by. */
export const DIMENSIONS = ['tenant', 'campaign', 'domain', 'provider', 'pool', 'ip', 'site'] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/** A delivery is meant when it agrees in every dimension that is given; an empty match means all mail. */
export type DirectiveMatch = { readonly [D in Dimension]?: string };

/** Upper bounds over all other limits while a directive holds; rates in the unit of their names. */
export interface DirectiveLimits {
  connections?: number;
  connectionsPerMinute?: number;
  messagesPerSecond?: number;
  messagesPerConnection?: number;
}

export type DirectiveAction =
  /** Mail waits. */
  | { readonly kind: 'suspend' }
  /** Mail ends as bounced. */
  | { readonly kind: 'bounce' }
  /** Mail goes by another pool. */
  | { readonly kind: 'reroute'; readonly pool: string }
  | { readonly kind: 'limit'; readonly limits: DirectiveLimits };

/**
 * Who gave it: a rule, with the reply that set it off, or a person or program with an access key; `tenant` when
 * that is not an administrator's key, and so may order no mail but its own tenant's.
 */
export type DirectiveOrigin =
  | { readonly rule: string; readonly reply: string }
  | { readonly operator: string; readonly tenant?: string };

export interface Directive {
  /** Naming the same thing twice gives the same id: put again, a directive replaces itself. */
  readonly id: string;
  readonly match: DirectiveMatch;
  readonly action: DirectiveAction;
  /** Why, for a person. */
  readonly reason: string;
  /** ms since the epoch at which it ends by itself; absent: it is removed by hand. */
  readonly until?: number;
  readonly origin: DirectiveOrigin;
}
