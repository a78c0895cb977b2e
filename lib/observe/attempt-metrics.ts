/**
 * Counts delivery attempts for Prometheus. Every label is of a closed table or bounded: pools by `LaneLabels`, providers
 * and bounce categories by their tables.
 */
import { Counter, Histogram, type Registry } from 'prom-client';
import type { Attempt, QueueItem } from '../engine/items.ts';
import { diagnoseAttempt } from '../outcome/attempt.ts';
import { CAUSES } from '../outcome/causes.ts';
import { PROVIDERS, providerOf } from '../shaping/providers.ts';
import type { LaneLabels } from './lane-labels.ts';

/** From a second to a day: what a reader of a code notices, and what a retry schedule makes. */
const SECONDS = [1, 2, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400];

export class AttemptMetrics {
  readonly #labels: LaneLabels;
  readonly #attempts: Counter<'pool' | 'class' | 'group' | 'result'>;
  readonly #byProvider: Counter<'provider' | 'result'>;
  readonly #refusals: Counter<'provider' | 'category' | 'fault'>;
  readonly #seconds: Histogram<'class'>;

  constructor(registers: Registry[], labels: LaneLabels) {
    this.#labels = labels;
    this.#attempts = new Counter({
      name: 'postern_attempts_total',
      help: 'Delivery attempts by lane (pool, class, provider group) and result (delivered, deferred, bounced, expired, uncertain). Pools beyond 50 are counted as *.',
      labelNames: ['pool', 'class', 'group', 'result'],
      registers,
    });
    this.#byProvider = new Counter({
      name: 'postern_provider_attempts_total',
      help: 'Delivery attempts by provider and result.',
      labelNames: ['provider', 'result'],
      registers,
    });
    this.#refusals = new Counter({
      name: 'postern_refusals_total',
      help: 'Attempts that were put off or refused, by provider, bounce category and fault (recipient, sender, content, infrastructure, unknown).',
      labelNames: ['provider', 'category', 'fault'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'postern_delivery_seconds',
      help: 'Time from acceptance to the final reply, of delivered mail.',
      labelNames: ['class'],
      buckets: SECONDS,
      registers,
    });
  }

  note(item: Pick<QueueItem, 'lane' | 'acceptedAt'>, attempt: Attempt): void {
    const lane = this.#labels.of(item.lane);
    const result = attempt.uncertain ? 'uncertain' : attempt.state;
    this.#attempts.inc({ ...lane, result });
    const provider = providerOfAttempt(attempt);
    this.#byProvider.inc({ provider, result });
    if (attempt.state === 'delivered') {
      const seconds = (attempt.at + attempt.duration - item.acceptedAt) / 1000;
      this.#seconds.observe({ class: lane.class }, Math.max(0, seconds));
      return;
    }
    const { cause, category } = diagnoseAttempt(attempt);
    this.#refusals.inc({ provider, category, fault: CAUSES[cause].fault });
  }
}

function providerOfAttempt({ provider, mx }: Attempt): string {
  const named = provider ?? (mx ? providerOf([mx.host]) : 'other');
  return PROVIDERS.has(named) ? named : 'other';
}
