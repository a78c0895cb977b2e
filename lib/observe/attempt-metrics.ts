/**
 * Counts delivery attempts for Prometheus. Every label is of a closed table or bounded: pools by `LaneLabels`, providers
 * and bounce categories by their tables.
 *
 * An attempt adds to plain numbers, which a scrape copies: a counter of prom-client hashes its labels at each call, and
 * four of them cost an attempt 6 µs of the 43 that a delivery takes.
 */
import { Counter, type Metric, type Registry } from 'prom-client';
import type { Attempt, QueueItem } from '../engine/items.ts';
import { diagnoseAttempt } from '../outcome/attempt.ts';
import { CAUSES } from '../outcome/causes.ts';
import { PROVIDERS, providerOf } from '../shaping/providers.ts';
import type { LaneLabel, LaneLabels } from './lane-labels.ts';

/** From a second to a day: what a reader of a code notices, and what a retry schedule makes. */
const SECONDS = [1, 2, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400];
/** Lanes whose place is remembered; those of more pools share one and are looked up by it. */
const MAX_LANES = 1_000;

/** Attempts by result, under the labels of a lane or a provider. */
interface Tallied<L> {
  labels: L;
  results: Map<string, number>;
}

/** Delivery times of a class: how many within each of `SECONDS`, and beyond them. */
interface Times {
  counts: number[];
  sum: number;
}

export class AttemptMetrics {
  readonly #labels: LaneLabels;
  readonly #lanes = new Map<string, Tallied<LaneLabel>>();
  readonly #byLabel = new Map<string, Tallied<LaneLabel>>();
  readonly #providers = new Map<string, Tallied<{ provider: string }>>();
  readonly #refusals = new Map<
    string,
    { labels: Record<'provider' | 'category' | 'fault', string>; count: number }
  >();
  readonly #times = new Map<string, Times>();

  constructor(registers: Registry[], labels: LaneLabels) {
    this.#labels = labels;
    copied(
      {
        name: 'postern_attempts_total',
        help: 'Delivery attempts by lane (pool, class, provider group) and result (delivered, deferred, bounced, expired, uncertain). Pools beyond 50 are counted as *.',
        labelNames: ['pool', 'class', 'group', 'result'],
        registers,
      },
      () => results(this.#byLabel.values()),
    );
    copied(
      {
        name: 'postern_provider_attempts_total',
        help: 'Delivery attempts by provider and result.',
        labelNames: ['provider', 'result'],
        registers,
      },
      () => results(this.#providers.values()),
    );
    copied(
      {
        name: 'postern_refusals_total',
        help: 'Attempts that were put off or refused, by provider, bounce category and fault (recipient, sender, content, infrastructure, unknown).',
        labelNames: ['provider', 'category', 'fault'],
        registers,
      },
      () => [...this.#refusals.values()],
    );
    new DeliverySeconds(registers, this.#times);
  }

  note({ lane, acceptedAt }: Pick<QueueItem, 'lane' | 'acceptedAt'>, attempt: Attempt): void {
    const result = attempt.uncertain ? 'uncertain' : attempt.state;
    const ofLane = this.#laneOf(lane);
    add(ofLane.results, result);
    const provider = providerOfAttempt(attempt);
    let ofProvider = this.#providers.get(provider);
    if (!ofProvider)
      this.#providers.set(provider, (ofProvider = { labels: { provider }, results: new Map() }));
    add(ofProvider.results, result);
    if (attempt.state === 'delivered') {
      this.#delivered(ofLane.labels.class, (attempt.at + attempt.duration - acceptedAt) / 1000);
      return;
    }
    const { cause, category } = diagnoseAttempt(attempt);
    const { fault } = CAUSES[cause];
    const key = `${provider} ${category} ${fault}`;
    const refusals = this.#refusals.get(key);
    if (refusals) refusals.count += 1;
    else this.#refusals.set(key, { labels: { provider, category, fault }, count: 1 });
  }

  #laneOf(lane: QueueItem['lane']): Tallied<LaneLabel> {
    let tallied = this.#lanes.get(lane);
    if (tallied) return tallied;
    const labels = this.#labels.of(lane);
    const key = `${labels.pool}:${labels.class}:${labels.group}`;
    tallied = this.#byLabel.get(key);
    if (!tallied) this.#byLabel.set(key, (tallied = { labels, results: new Map() }));
    if (this.#lanes.size < MAX_LANES) this.#lanes.set(lane, tallied);
    return tallied;
  }

  #delivered(cls: string, seconds: number): void {
    let times = this.#times.get(cls);
    if (!times) this.#times.set(cls, (times = { counts: new Array(SECONDS.length + 1).fill(0), sum: 0 }));
    const within = SECONDS.findIndex((limit) => seconds <= limit);
    const at = within < 0 ? SECONDS.length : within;
    times.counts[at] = times.counts[at]! + 1;
    times.sum += Math.max(0, seconds);
  }
}

/** A counter whose values are copied at each scrape. */
function copied<L extends string>(
  configuration: { name: string; help: string; labelNames: L[]; registers: Registry[] },
  read: () => { labels: Record<L, string>; count: number }[],
): void {
  new Counter({
    ...configuration,
    collect() {
      this.reset();
      for (const { labels, count } of read()) this.inc(labels, count);
    },
  });
}

function results<L>(all: Iterable<Tallied<L>>): { labels: L & { result: string }; count: number }[] {
  return Array.from(all, (one) =>
    Array.from(one.results, ([result, count]) => ({ labels: { ...one.labels, result }, count })),
  ).flat();
}

/** A histogram over counts that are kept elsewhere. */
class DeliverySeconds {
  readonly name = 'postern_delivery_seconds';
  readonly help = 'Time from acceptance to the final reply, of delivered mail.';
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  readonly #times: ReadonlyMap<string, Times>;

  constructor(registers: Registry[], times: ReadonlyMap<string, Times>) {
    this.#times = times;
    for (const registry of registers) registry.registerMetric(this as unknown as Metric);
  }

  async get(): Promise<object> {
    const { name, help, type, aggregator } = this;
    const values = Array.from(this.#times, ([cls, { counts, sum }]) => {
      let below = 0;
      const buckets = counts.map((count, at) => ({
        labels: { class: cls, le: SECONDS[at] ?? '+Inf' },
        value: (below += count),
        metricName: `${name}_bucket`,
      }));
      const labels = { class: cls };
      return [
        ...buckets,
        { labels, value: sum, metricName: `${name}_sum` },
        { labels, value: below, metricName: `${name}_count` },
      ];
    });
    return { name, help, type, aggregator, values: values.flat() };
  }

  /** Of the interface of a metric: nothing is kept here. */
  reset(): void {}
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function providerOfAttempt({ provider, mx }: Attempt): string {
  const named = provider ?? (mx ? providerOf([mx.host]) : 'other');
  return PROVIDERS.has(named) ? named : 'other';
}
