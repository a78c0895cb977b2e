/** Peak of a day of 100 million: what accept asks of DynamoDB and SQS, and whether an outage behind it shows. */
import { chart } from '../simulate/chart.ts';
import { SimulatedClock } from '../simulate/clock.ts';
import { seeded } from '../simulate/random.ts';
import type { Scenario } from '../simulate/report.ts';
import { Load } from './load.ts';
import { percentile, Verdicts } from './verdicts.ts';
import { VirtualAws } from './virtual-aws.ts';
import type { TableCap } from './virtual-dynamo.ts';

const PEAK = 5_000;
const SECONDS = 3;
/** CPU of a call at 1,024 MB, ms: reading, composing, an RSA signature, with 0.58 of a core. */
const CPU = 15;
/** Quota of an account for a table, and Lambda's for functions at one time. */
const QUOTA: TableCap = { writes: 40_000, reads: 40_000 };
const CONCURRENCY = 1_000;
/** What the stage `prod` caps its tables at. */
const PROD_WRITES = 20_000;
/** A new table ("On-demand capacity mode"). */
const NEW: TableCap = { writes: 4_000, reads: 12_000 };

const START = Date.UTC(2026, 0, 1);

async function peak(seed: number, cap: TableCap) {
  const clock = new SimulatedClock(START);
  const random = seeded(seed);
  const aws = new VirtualAws({ clock, random, cap: () => cap });
  const load = new Load({ clock, random, engine: await aws.open(), rate: PEAK, lasts: SECONDS * 1000 });
  await clock.runAsync(START + SECONDS * 1000 + 60_000);
  return { aws, load };
}

export const accepting: Scenario = {
  name: 'accept',
  title: `SendEmail at ${PEAK} a second for ${SECONDS} s, 10,000 tenants, one with half of it`,
  async run(seed) {
    const verdicts = new Verdicts();
    const { aws, load } = await peak(seed, QUOTA);
    const records = aws.figures('records');
    const took = load.accepted.map((one) => one.took);
    verdicts.atMost('calls that fail', load.failed, 0);
    verdicts.atMost('throttled requests to records', records.throttled, 0);
    verdicts.atMost('write units a second, records', Math.max(...records.writes.values()), PROD_WRITES);
    verdicts.atMost('write units of the hottest key in a second', records.hottestWrite, 1_000);
    verdicts.atMost(
      'read units of the hottest key of suppressions',
      aws.figures('suppressions').hottestRead,
      3_000,
    );
    verdicts.atMost('p99 of a call without CPU', percentile(took, 0.99), 50, ' ms');
    const busy = (PEAK * (percentile(took, 0.5) + CPU)) / 1000;
    verdicts.atMost(`functions at one time, with ${CPU} ms of CPU a call`, busy, CONCURRENCY);
    const fresh = await peak(seed, NEW);
    const inTime = fresh.load.accepted.filter((one) => one.took <= 1000).length / SECONDS;
    verdicts.show('calls a second within a second on new tables without warm throughput', inTime.toFixed(0));
    return verdicts.report({ 'accept-latency': latencies(load) });
  },
};

function latencies(load: Load): string {
  const points = Array.from({ length: 101 }, (_, at): [number, number] => [
    at,
    percentile(
      load.accepted.map((one) => one.took),
      Math.min(0.9999, at / 100),
    ),
  ]);
  return chart({
    title: 'How long a SendEmail waits for AWS at the peak',
    subtitle: `${PEAK} calls a second, 6 ms a round trip, without CPU`,
    x: { name: 'calls, %', min: 0, max: 100 },
    y: { name: 'ms', max: Math.max(20, ...points.map(([, ms]) => ms)) },
    series: [{ name: 'a call', points }],
  });
}

/** A quarter of everything, the caps too, so that a storm of put-backs fits into the time that a run may take. */
const PART = 4;
const STORM = { from: 3_000, to: 9_000 };
const NODES = 10;

export const storm: Scenario = {
  name: 'outage',
  title: `put-backs without an end, more than the table takes, while SendEmail goes on (all of it 1:${PART})`,
  async run(seed) {
    const verdicts = new Verdicts();
    const clock = new SimulatedClock(START);
    const random = seeded(seed);
    const cap = { writes: PROD_WRITES / PART, reads: QUOTA.reads / PART };
    const aws = new VirtualAws({ clock, random, cap: () => cap });
    const engine = await aws.open();
    const load = new Load({ clock, random, engine, rate: PEAK / PART, lasts: 12_000 });
    const nodes = Array.from({ length: NODES }, async () => {
      const node = await aws.open();
      await clock.sleep(STORM.from);
      while (clock.now() < START + STORM.to) {
        const leased = await node.queue.lease({
          lane: 'default:bulk:google',
          max: 100,
          visibility: 120_000,
          wait: 0,
        });
        if (leased.length === 0) await clock.sleep(50);
        const reason = { code: 'suspended', text: 'The provider does not answer.' };
        const until = clock.now() + 1;
        await node.queue
          .settle(leased.map((one) => ({ kind: 'release', leased: one, until, reason })))
          .catch(() => {});
      }
    });
    await clock.runAsync(START + 40_000);
    await Promise.race([Promise.all(nodes), Promise.resolve()]);
    const of = (inside: boolean) =>
      load.accepted
        .filter(({ at }) => (at > START + STORM.from && at < START + STORM.to) === inside)
        .map(({ took }) => took);
    const deliveries = aws.figures('deliveries');
    verdicts.show(
      'write units a second asked of deliveries at the most',
      String(Math.max(...deliveries.writes.values())),
    );
    verdicts.atLeast('requests to deliveries that are throttled', deliveries.throttled, 1);
    verdicts.atMost('requests to records that are throttled', aws.figures('records').throttled, 0);
    verdicts.atMost('calls that fail', load.failed, 0);
    verdicts.atMost(
      'p99 of a call during it, of p99 without',
      percentile(of(true), 0.99) / percentile(of(false), 0.99),
      1.1,
    );
    return verdicts.report({ outage: units(aws) });
  },
};

function units(aws: VirtualAws): string {
  const series = (['records', 'deliveries'] as const).map((table) => ({
    name: table,
    points: [...aws.figures(table).writes].map(([second, value]): [number, number] => [
      second - START / 1000,
      value,
    ]),
  }));
  return chart({
    title: 'Put-backs fill a table of their own',
    subtitle: `write units a second; both tables are capped at ${PROD_WRITES / PART}`,
    x: { name: 's', min: 0, max: 12 },
    y: { name: 'units', max: PROD_WRITES / PART },
    series,
    bands: [{ from: STORM.from / 1000, to: STORM.to / 1000, name: 'put-backs' }],
  });
}
