/** What becomes of deliveries: judged, counted, and handed to the settler. */

import type { Attempt, QueueItem } from '../engine/items.ts';
import type { DeliveryState } from '../engine/states.ts';
import type { RetrySchedule } from '../outcome/retry.ts';
import type { ReplyAnswer } from '../policy/policy.ts';
import type { Clock, Random } from '../time.ts';
import { type CompletedAttempt, decideAttempt, expiry } from './attempt.ts';
import type { Counters, Counts } from './counters.ts';
import type { Delivery } from './delivery.ts';
import type { InFlight } from './in-flight.ts';
import type { Settler } from './settler.ts';

export interface ResultsOptions {
  clock: Clock;
  random: Random;
  inFlight: InFlight;
  settler: Settler;
  counters: Counters;
  /** The retry schedule of a delivery's configuration set. */
  retry: (configurationSet: string | undefined, tenant: string) => RetrySchedule;
  /** Told of every attempt, for logs. Must not throw. */
  onAttempt?: (item: QueueItem, attempt: Attempt) => void;
}

/** A delivery whose lease ends sooner than this is not begun, ms. */
const LEASE_MARGIN = 5_000;

export class Results {
  readonly #options: ResultsOptions;
  /** Attempts whose results wait for what the policy says. */
  #asking = 0;
  #idle: (() => void)[] = [];

  constructor(options: ResultsOptions) {
    this.#options = options;
  }

  /** Whether a delivery may still be begun; if not, it has been dealt with. */
  mayBegin(delivery: Delivery, now: number): boolean {
    if (delivery.visibleUntil - LEASE_MARGIN <= now) {
      // Somebody else may have it by now: neither sent nor settled.
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
   * @param answer what the policy says of the reply; it is waited for.
   */
  attempted(
    delivery: Delivery,
    tried: CompletedAttempt,
    notBefore = 0,
    answer?: ReplyAnswer | Promise<ReplyAnswer | undefined>,
  ): void {
    if (answer instanceof Promise) {
      this.#asking += 1;
      void answer.then((known) => {
        this.attempted(delivery, tried, notBefore, known);
        this.#asking -= 1;
        if (this.#asking === 0) for (const resolve of this.#idle.splice(0)) resolve();
      });
      return;
    }
    const { retry, clock, random } = this.#options;
    const { item, expiresAt } = delivery;
    const schedule = delivery.retry ?? retry(item.configurationSet, item.tenant);
    this.#settle(
      delivery,
      decideAttempt(item, tried, { schedule, expiresAt, notBefore, answer }, clock.now(), random),
    );
  }

  /** Resolves when no result waits for the policy. */
  async answered(): Promise<void> {
    if (this.#asking > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Not tried: back into its lane, not before `until` (0: at once). */
  release(delivery: Delivery, code: string, text: string, until: number): void {
    const { settler, counters } = this.#options;
    counters.released += 1;
    settler.push(delivery, { kind: 'release', leased: delivery.leased, until, reason: { code, text } });
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

  #settle(delivery: Delivery, attempt: Attempt): void {
    const { settler, counters, onAttempt } = this.#options;
    const { leased, site } = delivery;
    const { state, until } = attempt;
    count(counters, attempt);
    if (site !== undefined) {
      site.drained.count();
      count(site.counts, attempt);
    }
    if (until === undefined) settler.push(delivery, { kind: 'end', leased, state, attempt });
    else settler.push(delivery, { kind: 'defer', leased, until, attempt });
    onAttempt?.(delivery.item, attempt);
  }
}

function count(counts: Counts, { state, uncertain }: Attempt): void {
  counts.attempted += 1;
  if (uncertain) counts.uncertain += 1;
  if (state === 'delivered' || state === 'deferred' || state === 'bounced' || state === 'expired')
    counts[state] += 1;
}
