/**
 * Fifty tenants at one site that accepts less than their mail: the share of each, and the wait of urgent mail.
 *
 * Three trials: equal tenants with unequal backlogs, for the shares; a million messages of one tenant and then
 * one of another; transactional mail alone and under bulk mail that never ends.
 */

import { MINUTE } from '../../lib/time.ts';
import { quantile } from '../support/machine.ts';
import { chart } from './chart.ts';
import { SimulatedClock } from './clock.ts';
import { delivery, Line } from './line.ts';
import type { Peer } from './peer.ts';
import { seeded } from './random.ts';
import type { Report, Scenario } from './report.ts';

const START = Date.UTC(2026, 2, 1);
const TENANTS = 50;
const LENGTH = 30 * MINUTE;
const LIMIT = 100;
const PEER: Peer = { opening: 150, transaction: 80, refuses: () => undefined, putsOff: () => undefined };
const LIMITS = { default: { messageRate: `${LIMIT}/s`, connections: 20 } } as const;

/** Messages of each tenant by the end of each minute, when the first has ten times the mail of the last. */
async function shares(seed: number): Promise<number[][]> {
  const random = seeded(seed);
  const clock = new SimulatedClock(START);
  const sent = new Array<number>(TENANTS).fill(0);
  const byMinute: number[][] = [];
  const line = await Line.open({
    clock,
    random,
    peer: PEER,
    limits: LIMITS,
    attempted: (one) => {
      sent[Number(one.tenant)]! += 1;
    },
  });
  for (let at = 0; at < LENGTH; at += 1000) {
    const now = clock.now();
    for (let tenant = 0; tenant < TENANTS; tenant += 1) {
      // From 3/s, which is more than a fiftieth of the limit, to 30/s, in bursts like real mail.
      const mean = 30 - (27 * tenant) / (TENANTS - 1);
      const burst = random() < 0.2 ? Math.round(mean * 5) : 0;
      line.give(...Array.from({ length: burst }, () => delivery(String(tenant), 'bulk', now)));
    }
    clock.runUntil(START + at + 1000);
    if ((at + 1000) % MINUTE === 0) byMinute.push([...sent]);
  }
  return byMinute;
}

/** Messages that leave before the one of tenant b, behind a million of tenant a. */
async function behindAMillion(seed: number): Promise<number> {
  const clock = new SimulatedClock(START);
  let began = 0;
  let place = -1;
  const line = await Line.open({
    clock,
    random: seeded(seed),
    peer: PEER,
    limits: LIMITS,
    attempted: (one) => {
      began += 1;
      if (one.tenant === 'b') place = began;
    },
  });
  for (let n = 0; n < 1_000_000; n += 1) line.path.queue.push(delivery('a', 'bulk', START));
  line.path.pump();
  clock.runUntil(START + 10_000);
  // Those under way have left already.
  const before = began + underWay(line);
  line.give(delivery('b', 'bulk', clock.now()));
  clock.runUntil(START + 20_000);
  return place - before;
}

function underWay(line: Line): number {
  return line.path.source.knownLimiter(line.path.site.name)?.running ?? 0;
}

/** Sorted latencies of transactional mail at 5/s, with a full backlog of bulk mail or none, ms. */
async function latencies(seed: number, bulk: boolean): Promise<Float64Array> {
  const random = seeded(seed);
  const clock = new SimulatedClock(START);
  const found: number[] = [];
  const line = await Line.open({
    clock,
    random,
    peer: PEER,
    limits: LIMITS,
    attempted: (one) => {
      if (!one.bulk && one.item.acceptedAt > START + MINUTE) found.push(clock.now() - one.item.acceptedAt);
    },
  });
  const arrive = (): void => {
    clock.after(-Math.log(1 - random()) * 200, arrive);
    line.give(delivery(`t${Math.floor(random() * 5)}`, 'transactional', clock.now()));
  };
  arrive();
  for (let at = 0; at < LENGTH; at += 1000) {
    const missing = bulk ? 2000 - line.path.queue.size : 0;
    const now = clock.now();
    line.give(...Array.from({ length: missing }, (_, n) => delivery(`b${n % 10}`, 'bulk', now)));
    clock.runUntil(START + at + 1000);
  }
  return Float64Array.from(found).sort();
}

async function run(seed: number): Promise<Report> {
  const byMinute = await shares(seed);
  const totals = byMinute.at(-1)!;
  const settled = totals.map((total, tenant) => total - byMinute[1]![tenant]!);
  const fairness = jain(settled);
  const slots = await behindAMillion(seed);
  const alone = await latencies(seed, false);
  const beside = await latencies(seed, true);
  const ratio = quantile(beside, 0.99) / quantile(alone, 0.99);
  const longest = Math.ceil(Math.max(quantile(alone, 0.99), quantile(beside, 0.99)) / 50) * 50;
  const ms = (sorted: Float64Array, share: number): string => `${quantile(sorted, share).toFixed(0)} ms`;
  return {
    rows: [
      { figure: 'fairness of 50 tenants (Jain)', value: fairness.toFixed(5), reach: '≥ 0.98' },
      { figure: 'one of B behind 1,000,000 of A: slots', value: String(slots), reach: '≤ 2' },
      { figure: 'transactional p99, alone', value: ms(alone, 0.99), reach: '' },
      {
        figure: 'transactional p99, beside bulk',
        value: `${ms(beside, 0.99)}, ${ratio.toFixed(2)} ×`,
        reach: '≤ 3 ×',
      },
      {
        figure: 'the site is used',
        value: `${((100 * sum(settled)) / (LIMIT * (LENGTH / 1000 - 120))).toFixed(2)} %`,
        reach: '≥ 98 %',
      },
    ],
    failed: fairness < 0.98 || slots > 2 || ratio > 3,
    plots: {
      'fairness-tenants': chart({
        title: 'Fifty tenants, one site: equal shares of a limit, whatever each brings',
        subtitle: `Messages a minute from single tenants; the first brings ten times as much as the last. Jain ${fairness.toFixed(4)}.`,
        x: { name: 'minutes', min: 1, max: LENGTH / MINUTE },
        y: { name: 'messages a minute', max: 200 },
        series: [
          ...[0, 16, 33, 49].map((tenant) => ({
            name: `tenant ${tenant + 1}: brings ${Math.round(30 - (27 * tenant) / (TENANTS - 1))}/s`,
            points: byMinute.map(
              (row, minute) => [minute + 1, row[tenant]! - (byMinute[minute - 1]?.[tenant] ?? 0)] as const,
            ),
          })),
          {
            name: 'a fiftieth of the limit',
            points: [
              [1, (LIMIT * 60) / TENANTS],
              [LENGTH / MINUTE, (LIMIT * 60) / TENANTS],
            ],
            reference: true,
          },
        ],
      }),
      'fairness-latency': chart({
        title: 'Transactional mail hardly feels the bulk mail beside it',
        subtitle:
          'Share of transactional messages delivered within a time, with and without bulk mail that fills the site.',
        x: { name: 'milliseconds', min: 0, max: longest },
        y: { name: 'share', max: 1, format: (value) => `${Math.round(value * 100)} %` },
        series: [
          { name: 'alone', points: distribution(alone, longest) },
          { name: 'beside bulk', points: distribution(beside, longest) },
        ],
      }),
    },
  };
}

/** Jain's index: 1 when all have the same, 1/n when one has all (Jain, Chiu and Hawe 1984). */
function jain(values: readonly number[]): number {
  return sum(values) ** 2 / (values.length * sum(values.map((value) => value * value)));
}

/** Share of values up to each, as far as `longest`. */
function distribution(sorted: Float64Array, longest: number): [number, number][] {
  const points: [number, number][] = [[0, 0]];
  for (let i = 0; i < 1000; i += 1) {
    const value = quantile(sorted, i / 1000);
    if (value <= longest) points.push([value, i / 1000]);
  }
  return [...points, [longest, points.at(-1)![1]]];
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

export const fairness: Scenario = {
  name: 'fairness',
  title: 'Fifty tenants, a million messages and urgent mail at one site',
  run,
};
