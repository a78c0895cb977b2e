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
 * `README.md` shows one that does more. A hook gets frozen plain data and answers at once: no promise. No answer (`undefined`) leaves all as it would
 * be without the policy, and so does a hook that throws, takes too long or answers what is no answer.
 * `onRoute` and `onShape` must depend on what they are given and on time alone: for some seconds, and for equal
 * facts, an earlier answer is used again.
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
  /** Of a template the text with its variables. Absent: raw content without one. */
  readonly subject?: string;
  readonly class: MessageClass;
  readonly pool: string;
  readonly campaign?: string;
  readonly configurationSet?: string;
  readonly tags: Readonly<Record<string, readonly string[]>>;
}

export type AcceptAnswer =
  /** The caller is told this sentence; nothing is taken. */
  | { readonly refuse: string }
  | {
      readonly class?: MessageClass;
      readonly pool?: string;
      readonly campaign?: string;
      /** Seconds before which it is not sent. */
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

/** It goes by this pool; when there is none of that name, it waits, and says so. */
export interface RouteAnswer {
  readonly pool: string;
}

/** Mail of a tenant from a source address to a site. */
export interface ShapeFacts {
  readonly tenant: string;
  readonly class: MessageClass;
  readonly provider: string;
  readonly site: string;
  readonly pool: string;
  /** Absent: the host's default address. */
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
  /** Command that was answered, as `rcpt`. */
  readonly phase: string;
  readonly code: number;
  /** Enhanced code (RFC 3463), as `4.7.28`. */
  readonly enhanced?: string;
  readonly text: string;
  /** Attempts made, this one included. */
  readonly attempts: number;
}

export interface ReplyAnswer {
  /** What becomes of the delivery, in place of what the code says. */
  readonly state?: 'deferred' | 'bounced';
  /** When it is tried again if it is deferred, in place of the schedule and of a time that the reply names. */
  readonly retryAfterSeconds?: number;
  /**
   * A directive to raise: for all mail that is like this delivery in the dimensions of `scope`, each of which
   * this delivery must have.
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

/** What `postern.policy.ts` exports as its default. */
export function definePolicy(hooks: Partial<PolicyHooks>): Partial<PolicyHooks> {
  return hooks;
}
