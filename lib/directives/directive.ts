/**
 * The one concept for control: an operator's order, the finding of an automation rule and the pause of a tenant are
 * the same object, stored once, listed in one place and applied by every node.
 */

/** Dimensions that a directive may match, and that identify a delivery. */
export const DIMENSIONS = ['tenant', 'campaign', 'domain', 'provider', 'pool', 'ip', 'site'] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/** A delivery matches when it agrees in every given dimension; an empty match selects all mail. */
export type DirectiveMatch = { readonly [D in Dimension]?: string };

/** Upper bounds over all other limits while a directive is in force; rates in the unit of their names. */
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
 * The origin of a directive: a rule, with the reply that fired it, or a person or program with an access key.
 * `tenant` is set when that is not an administrator's key, and so may only order its own tenant's mail.
 */
export type DirectiveOrigin =
  | { readonly rule: string; readonly reply: string }
  | { readonly operator: string; readonly tenant?: string };

export interface Directive {
  /** Orders with the same match and action have the same id: stored again, a directive replaces itself. */
  readonly id: string;
  readonly match: DirectiveMatch;
  readonly action: DirectiveAction;
  /** The reason, for a person. */
  readonly reason: string;
  /** When the directive ends by itself, since the epoch, ms; absent: it is removed by hand. */
  readonly until?: number;
  readonly origin: DirectiveOrigin;
}
