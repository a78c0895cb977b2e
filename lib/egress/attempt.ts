/** From the result of an attempt to its record and to the end, or the next time, of the delivery. */

import type { Attempt, QueueItem } from '../engine/items.ts';
import type { DeliveryState } from '../engine/states.ts';
import { type AttemptResult, classify } from '../outcome/classify.ts';
import type { ReasonCode } from '../outcome/reasons.ts';
import { nextAttempt, type RetrySchedule } from '../outcome/retry.ts';
import type { ReplyAnswer } from '../policy/policy.ts';
import type { Random } from '../time.ts';
import type { Via } from './path-host.ts';

/** One attempt: what came of it, when, and over which connection, if over any. */
export interface CompletedAttempt {
  result: AttemptResult;
  at: number;
  /** Milliseconds. */
  duration: number;
  replies: Attempt['replies'];
  via: Via | undefined;
}

/** When, and until when, a delivery may be tried again. */
export interface RetryBounds {
  schedule: RetrySchedule;
  /** Past that it ends as `expired`. */
  expiresAt: number;
  /** Not before then: the reply named a time. */
  notBefore: number;
  /** What the policy says of the reply; over everything else but `expiresAt`. */
  answer?: ReplyAnswer;
}

/**
 * @returns the record; `until` is set when, and only when, the state is `deferred`.
 */
export function decideAttempt(
  item: QueueItem,
  tried: CompletedAttempt,
  { schedule, expiresAt, notBefore, answer }: RetryBounds,
  now: number,
  random: Random,
): Attempt {
  const verdict = classify(tried.result);
  let state: DeliveryState = verdict.state;
  let reason: ReasonCode | 'delivered' = verdict.reason;
  let { text } = verdict;
  let until: number | undefined;
  if (answer?.state !== undefined && answer.state !== state) {
    state = answer.state;
    reason = state === 'bounced' ? 'bounced_by_policy' : 'deferred_by_policy';
  }
  if (state === 'deferred') {
    until = nextAttempt(schedule, item.attempts + 1, now, expiresAt, random);
    if (until !== undefined && until < notBefore) until = notBefore;
    if (answer?.retryAfterSeconds !== undefined) until = now + answer.retryAfterSeconds * 1000;
    if (until !== undefined && until >= expiresAt) until = undefined;
    if (until === undefined) {
      state = 'expired';
      reason = 'expired';
      text = `Not delivered within its time. The last attempt: ${text}`;
    }
  }
  const { at, duration, replies, via } = tried;
  return {
    at,
    duration,
    ip: via?.ip,
    mx: via?.mx,
    provider: via?.provider,
    tls: via?.tls,
    replies,
    state,
    reason,
    text,
    uncertain: verdict.uncertain,
    until,
  };
}

/** The record of a delivery whose time ran out before it could be tried (again). */
export function expiry(item: QueueItem, now: number): Attempt {
  const last = item.reason === undefined ? '' : ` It waited because: ${item.reason.text}`;
  return {
    at: now,
    duration: 0,
    replies: [],
    state: 'expired',
    reason: 'expired',
    text: `Not delivered within its time.${last}`,
  };
}
