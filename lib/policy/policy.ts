/**
 * The policy of an installation, in TypeScript: `postern.policy.ts`.
 *
 * ```ts
 * import { definePolicy } from './lib/policy/policy.ts';
 *
 * export default definePolicy({
 *   onAccept: (message) => (message.recipients.length > 20 ? { class: 'bulk' } : undefined),
 *   onRoute: (mail) => (mail.provider === 'microsoft' ? { pool: 'careful' } : undefined),
 *   onReply: (reply) => (/quota/i.test(reply.text) ? { retryAfterSeconds: 6 * 3600 } : undefined),
 * });
 * ```
 *
 * `README.md` shows a longer one. A hook receives frozen plain data and answers at once, without a promise. No answer
 * (`undefined`) leaves everything as without the policy, and so does a hook that throws, takes too long or answers an
 * invalid value. `onRoute` and `onShape` must depend on their facts and on time alone: for some seconds, and for
 * equal facts, an earlier answer is used again.
 */

import type { Dimension, DirectiveAction, DirectiveLimits } from '../directives/directive.ts';
import type { MessageClass } from '../engine/items.ts';

/** A message before it is composed and signed. */
export interface AcceptFacts {
  readonly door: 'ses-v2' | 'ses-v1' | 'smtp' | 'postern';
  readonly keyId: string;
  readonly tenant: string;
  /** Address of the header From. */
  readonly from: string;
  /** Envelope recipients. */
  readonly recipients: readonly string[];
  /** For a template, its source text with variables. Absent: raw content without a subject. */
  readonly subject?: string;
  readonly class: MessageClass;
  readonly pool: string;
  readonly campaign?: string;
  readonly configurationSet?: string;
  readonly tags: Readonly<Record<string, readonly string[]>>;
}

export type AcceptAnswer =
  /** Refuses the message, with this sentence for the caller. */
  | { readonly refuse: string }
  | {
      readonly class?: MessageClass;
      readonly pool?: string;
      readonly campaign?: string;
      /** Minimum delay of the first attempt, s. */
      readonly delaySeconds?: number;
    };

/** A delivery whose destination is known, before a source address is chosen. */
export interface RouteFacts {
  readonly tenant: string;
  readonly campaign?: string;
  readonly configurationSet?: string;
  readonly class: MessageClass;
  readonly domain: string;
  readonly provider: string;
  readonly site: string;
  readonly pool: string;
}

/** The pool that sends the mail; when it does not exist, the mail waits, and its reason names the pool. */
export interface RouteAnswer {
  readonly pool: string;
}

/** Mail of a tenant from one source address to a site. */
export interface ShapeFacts {
  readonly tenant: string;
  readonly class: MessageClass;
  readonly provider: string;
  readonly site: string;
  readonly pool: string;
  /** Source address; absent: the host's default. */
  readonly ip?: string;
}

/** Upper bounds over all other limits, counted for mail of equal facts alone. */
export type ShapeAnswer = Readonly<DirectiveLimits>;

/** A reply of 4xx or 5xx to a delivery. */
export interface ReplyFacts {
  readonly tenant: string;
  readonly campaign?: string;
  readonly class: MessageClass;
  readonly domain: string;
  readonly provider: string;
  readonly site: string;
  readonly pool: string;
  readonly ip?: string;
  /** Name of the MX host. */
  readonly mx: string;
  /** The refused command, as `rcpt`. */
  readonly phase: string;
  readonly code: number;
  /** Enhanced code (RFC 3463), as `4.7.28`. */
  readonly enhanced?: string;
  readonly text: string;
  /** Attempts made, this one included. */
  readonly attempts: number;
}

export interface ReplyAnswer {
  /** State of the delivery, which overrides the reply's code. */
  readonly state?: 'deferred' | 'bounced';
  /** Delay of the next attempt of a deferred delivery, s; overrides the schedule and a time in the reply. */
  readonly retryAfterSeconds?: number;
  /**
   * A directive to raise: for all mail that equals this delivery in the dimensions of `scope`, each of which this
   * delivery must have.
   */
  readonly directive?: {
    readonly scope: readonly Dimension[];
    readonly action: DirectiveAction;
    readonly seconds: number;
    readonly reason: string;
  };
}

export interface PolicyHooks {
  onAccept(message: AcceptFacts): AcceptAnswer | undefined;
  onRoute(mail: RouteFacts): RouteAnswer | undefined;
  onShape(mail: ShapeFacts): ShapeAnswer | undefined;
  onReply(reply: ReplyFacts): ReplyAnswer | undefined;
}

export const HOOKS = [
  'onAccept',
  'onRoute',
  'onShape',
  'onReply',
] as const satisfies readonly (keyof PolicyHooks)[];
export type HookName = (typeof HOOKS)[number];
export type Facts<H extends HookName> = Parameters<PolicyHooks[H]>[0];
export type HookAnswer<H extends HookName> = ReturnType<PolicyHooks[H]>;

/** Types the default export of `postern.policy.ts`. */
export function definePolicy(hooks: Partial<PolicyHooks>): Partial<PolicyHooks> {
  return hooks;
}
