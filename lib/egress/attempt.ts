/**
 * Records attempts: from the result of an attempt to its record and to the end, or the next time, of the delivery.
 * Every settlement of a delivery is made here, counted, and handed to the settler.
 */

import type { Attempt, QueueItem } from '../engine/items.ts';
import type { DeliveryState } from '../engine/states.ts';
import { type AttemptResult, classify } from '../outcome/classify.ts';
import type { ReasonCode } from '../outcome/reasons.ts';
import { DEFAULT_RETRY, nextAttempt, type RetrySchedule } from '../outcome/retry.ts';
import type { ReplyAnswer } from '../policy/policy.ts';
import type { Clock, Random } from '../time.ts';
import type { Counters, Counts } from './counters.ts';
import type { Delivery, Reason } from './delivery.ts';
import type { InFlight } from './in-flight.ts';
import type { Settler } from './settler.ts';

/** A connection as the attempt record names it. */
export interface Via {
  ip: string | undefined;
  mx: { host: string; address: string; port: number };
  /** Provider of the site, where its host alone would suggest another: a domain whose hosts differ. */
  provider: string | undefined;
  tls: { protocol: string; cipher: string; verified: boolean } | undefined;
}

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
  /** Not after then: it is the probe of its site. */
  notAfter?: number;
  /** The policy's answer to the reply; it overrides everything but `expiresAt`. */
  answer?: ReplyAnswer;
}

/**
 * @returns the record; `until` is set when, and only when, the state is `deferred`.
 */
export function decideAttempt(
  item: QueueItem,
  completed: CompletedAttempt,
  { schedule, expiresAt, notBefore, notAfter = Number.POSITIVE_INFINITY, answer }: RetryBounds,
  now: number,
  random: Random,
): Attempt {
  const verdict = classify(completed.result);
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
    if (until !== undefined) until = Math.max(notBefore, Math.min(notAfter, until));
    if (answer?.retryAfterSeconds !== undefined) until = now + answer.retryAfterSeconds * 1000;
    if (until !== undefined && until >= expiresAt) until = undefined;
    if (until === undefined) {
      state = 'expired';
      reason = 'expired';
      text = `Not delivered within its time. The last attempt: ${text}`;
    }
  }
  const { at, duration, replies, result, via } = completed;
  return {
    at,
    duration,
    ip: via?.ip,
    mx: via?.mx,
    provider: via?.provider,
    tls: via?.tls,
    replies,
    ...(result.kind === 'refused' && { phase: result.phase }),
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

export interface AttemptRecorderOptions {
  clock: Clock;
  random: Random;
  inFlight: InFlight;
  settler: Settler;
  counters: Counters;
  /** The retry schedule of a delivery's configuration set; absent: the default of all. */
  retry?: (configurationSet: string | undefined, tenant: string) => RetrySchedule;
  /** Called with every attempt, for logs. Must not throw. */
  onAttempt?: (item: QueueItem, attempt: Attempt) => void;
}

/** A delivery whose lease ends sooner than this is not begun, ms. */
const LEASE_MARGIN = 5_000;

export class AttemptRecorder {
  readonly #options: AttemptRecorderOptions;
  /** Attempts whose results wait for the policy. */
  #asking = 0;
  #idle: (() => void)[] = [];

  constructor(options: AttemptRecorderOptions) {
    this.#options = options;
  }

  /** Whether a delivery may still be begun; if not, it has been dealt with. */
  mayBegin(delivery: Delivery, now: number): boolean {
    if (delivery.visibleUntil - LEASE_MARGIN <= now) {
      // Another node may have it by now: neither sent nor settled.
      this.#options.counters.lost += 1;
      this.#options.inFlight.remove(delivery);
      return false;
    }
    const { item } = delivery;
    if (delivery.expiresAt > now) return true;
    this.#settle(delivery, expiry(item, now));
    return false;
  }

  /**
   * An attempt came to a result.
   * @param notBefore a deferred delivery is not tried again before then.
   * @param answer the policy's answer to the reply; a promise is waited for.
   */
  attempted(
    delivery: Delivery,
    completed: CompletedAttempt,
    notBefore = 0,
    answer?: ReplyAnswer | Promise<ReplyAnswer | undefined>,
  ): void {
    if (answer instanceof Promise) {
      this.#asking += 1;
      void answer.then((known) => {
        this.attempted(delivery, completed, notBefore, known);
        this.#asking -= 1;
        if (this.#asking === 0) for (const resolve of this.#idle.splice(0)) resolve();
      });
      return;
    }
    this.#settle(
      delivery,
      this.#decide(delivery, completed, { notBefore, answer }),
      completed.result.kind === 'unsent',
    );
  }

  /**
   * An attempt at a site that cannot be reached came to its result.
   * @param notAfter it is the probe of the site.
   */
  unreached(delivery: Delivery, completed: CompletedAttempt, site: string, notAfter?: number): void {
    this.#settle(delivery, this.#decide(delivery, completed, { notBefore: 0, notAfter }), true, site);
  }

  #decide(
    delivery: Delivery,
    completed: CompletedAttempt,
    bounds: Omit<RetryBounds, 'schedule' | 'expiresAt'>,
  ): Attempt {
    const { retry, clock, random } = this.#options;
    const { item, expiresAt } = delivery;
    const schedule = delivery.retry ?? retry?.(item.configurationSet, item.tenant) ?? DEFAULT_RETRY;
    return decideAttempt(item, completed, { schedule, expiresAt, ...bounds }, clock.now(), random);
  }

  /** Resolves when no result waits for the policy. */
  async answered(): Promise<void> {
    if (this.#asking > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /**
   * Puts a delivery that was not tried back into its lane, not before `until` (0: at once).
   * @param lasts until when its limit keeps it, where that is later: it is looked at before.
   */
  release(delivery: Delivery, code: string, text: string, until: number, lasts?: number): void {
    const { settler, counters } = this.#options;
    counters.released += 1;
    const reason = lasts === undefined || lasts <= until ? { code, text } : { code, text, until: lasts };
    delivery.lane.putBack(delivery.domain, { code, text, until: lasts ?? until });
    settler.push(delivery, { kind: 'release', leased: delivery.leased, until, reason });
  }

  /** Puts a delivery that was not tried back until a time, or until its site is reached. */
  park(delivery: Delivery, site: string, reason: Reason, until: number): void {
    const { settler, counters } = this.#options;
    counters.released += 1;
    delivery.lane.putBack(site, { ...reason, until });
    settler.push(delivery, { kind: 'release', leased: delivery.leased, until, reason, site });
  }

  /** Puts a delivery that was not tried into the lane of a pool that other nodes serve. */
  sendOn(delivery: Delivery, pool: string, code: string, text: string): void {
    const { settler, counters, clock } = this.#options;
    counters.released += 1;
    const { lane } = delivery.item;
    const other = pool + lane.slice(lane.indexOf(':'));
    const reason = { code, text };
    const until = clock.now();
    settler.push(delivery, { kind: 'release', leased: delivery.leased, until, reason, lane: other });
  }

  /** Ends the lease of an item whose delivery has ended before, with that same end. */
  supersede(delivery: Delivery, state: DeliveryState): void {
    const { settler, counters, clock } = this.#options;
    counters.superseded += 1;
    const attempt: Attempt = {
      at: clock.now(),
      duration: 0,
      replies: [],
      state,
      reason: state,
      text: 'Handed out again after its end; not sent again.',
    };
    settler.push(delivery, { kind: 'end', leased: delivery.leased, state, attempt });
  }

  /** @param unsent it found nobody to speak with. @param site it comes back when this is reached. */
  #settle(delivery: Delivery, attempt: Attempt, unsent = false, site?: string): void {
    const { settler, counters, onAttempt } = this.#options;
    const { leased, slot } = delivery;
    const { state, until } = attempt;
    count(counters, attempt);
    // What found nobody to speak with shows no way for the mail behind it.
    if (unsent && until !== undefined)
      delivery.lane.putBack(site ?? delivery.domain, { code: attempt.reason, text: attempt.text, until });
    else delivery.lane.tried();
    slot?.attempted(attempt);
    if (until === undefined) settler.push(delivery, { kind: 'end', leased, state, attempt });
    else settler.push(delivery, { kind: 'defer', leased, until, attempt, site });
    onAttempt?.(delivery.item, attempt);
  }
}

/** Counts the result of an attempt. */
export function count(counts: Counts, { state, uncertain }: Attempt): void {
  counts.attempted += 1;
  if (uncertain) counts.uncertain += 1;
  if (state === 'delivered' || state === 'deferred' || state === 'bounced' || state === 'expired')
    counts[state] += 1;
}
