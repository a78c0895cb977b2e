/**
 * The ledger after an outage: 50 million rows that become due within one hour, moved by the planner and its workers.
 *
 * Counted: what all shards with a backlog give in the first seconds, row by row, by the engine's own planner and
 * workers, while as many rows are written. Calculated from it: how the 50 million fall.
 */
import { SHIFT } from '../../lib/engine/aws/ledger.ts';
import { dueKey, ledgerKey, SHARDS } from '../../lib/engine/aws/outbox.ts';
import { encodeRecord } from '../../lib/engine/aws/record-codec.ts';
import { callUuids, newMessageId } from '../../lib/mail/message-id.ts';
import { HOUR, MINUTE } from '../../lib/time.ts';
import { mail } from '../../test/contract/harness.ts';
import { chart } from '../simulate/chart.ts';
import { SimulatedClock } from '../simulate/clock.ts';
import { seeded } from '../simulate/random.ts';
import type { Scenario } from '../simulate/report.ts';
import { Verdicts, written } from './verdicts.ts';
import { VirtualAws } from './virtual-aws.ts';

const ROWS = 50_000_000;
/** Rows that are there, in this run, when the workers begin: 1,500 for each shard. */
const SAMPLE = 96_000;
/** How far ahead rows are moved, as SQS can delay them. */
const AHEAD = 15 * MINUTE;
const START = Date.UTC(2026, 0, 1);
/** As `DUE_CONCURRENCY` of lib/stacks/api.ts. */
const WORKERS = 64;

export const ledger: Scenario = {
  name: 'ledger',
  title: `50 million rows of the ledger due within an hour; ${SAMPLE.toLocaleString('en')} of them counted`,
  async run(seed) {
    const verdicts = new Verdicts();
    const clock = new SimulatedClock(START);
    const random = seeded(seed);
    const aws = new VirtualAws({ clock, random });
    fill(aws, random);
    const planner = await aws.open();
    const { shards } = await during(clock, planner.ledger.plan());
    const moved: [at: number, rows: number][] = [];
    const engines = await Promise.all(Array.from({ length: WORKERS }, () => aws.open()));
    const puts = writeOn(aws, clock);
    const workers = engines.map(async (engine, n) => {
      const shard = `s#${String(n).padStart(2, '0')}`;
      const result = await engine.ledger.work(shard, clock.now() + SHIFT);
      moved.push([clock.now() - START, result.moved]);
    });
    await during(clock, Promise.all(workers));
    const total = moved.reduce((sum, [, rows]) => sum + rows, 0);
    const seconds = Math.max(...moved.map(([at]) => at)) / 1000;
    const rate = total / seconds;
    const figures = aws.figures('ledger');
    verdicts.atLeast('shards with due rows that got a worker', shards, SHARDS);
    verdicts.atLeast('rows moved', total, SAMPLE);
    verdicts.atLeast('rows a second, of all workers', rate, ROWS / (HOUR / 1000));
    verdicts.show('rows a second written meanwhile', (puts() / seconds).toFixed(0));
    verdicts.atMost('write units of the hottest key in a second', figures.hottestWrite, 1_000);
    verdicts.atMost('write units of the table in a second', Math.max(...figures.writes.values()), 40_000);
    const even = fall(rate, HOUR);
    const sudden = fall(rate, 0);
    verdicts.atMost('due evenly over the hour: the last leaves after its time', late(even), 10, ' min');
    verdicts.show('all due at one instant: the last leaves after its time', `${written(late(sudden))} min`);
    return verdicts.report({ ledger: plot(even, sudden, rate) });
  },
};

/** Rows of all shards, due now, as a deferral of minutes ago wrote them. */
function fill(aws: VirtualAws, random: () => number): void {
  const item = mail(START, { lane: 'default:bulk:google' }).deliveries[0]!;
  for (let n = 0; n < SAMPLE; n += 1) {
    const id = newMessageId(START, callUuids()(0));
    const due = START - Math.floor(random() * MINUTE);
    const { pk, sk } = ledgerKey(id, 0, 1, due);
    const e = encodeRecord({ v: 1, item: { ...item, messageId: id, due }, g: 1, at: 'table' });
    aws.dynamo.seed('ledger', { pk: { S: pk }, sk: { S: sk }, e: { B: e }, ttl: { N: '1' } });
  }
}

/** Writes rows for later at the rate at which 50 million an hour come. @returns how many it wrote. */
function writeOn(aws: VirtualAws, clock: SimulatedClock): () => number {
  let count = 0;
  const perStep = Math.ceil((ROWS / HOUR) * 20);
  const e = { B: Buffer.alloc(400) };
  const step = (): void => {
    for (let n = 0; n < perStep; n += 1) {
      const { pk } = ledgerKey(`later ${count}`, 0, 1, 0);
      const sk = `${dueKey(START + 2 * HOUR)}#${count}`;
      const put = { PutRequest: { Item: { pk: { S: pk }, sk: { S: sk }, e } } };
      aws.dynamo.call('BatchWriteItem', { RequestItems: { ledger: [put] } } as never).catch(() => {});
      count += 1;
    }
    if (count < SAMPLE) clock.after(20, step);
  };
  step();
  return () => count;
}

async function during<T>(clock: SimulatedClock, work: Promise<T>): Promise<T> {
  let done = false;
  const result = work.finally(() => (done = true));
  while (!done) await clock.runAsync(clock.now() + 100);
  return result;
}

/** Rows that wait, by minute from the first due time on, when they become due over `span`. */
function fall(rate: number, span: number): [minute: number, waiting: number][] {
  const points: [number, number][] = [];
  let left = ROWS;
  for (let at = -AHEAD; left > 0.5 && at < 6 * HOUR; at += 10_000) {
    // Rows may be moved from a quarter of an hour before their time on.
    const open = span === 0 ? ROWS : Math.min(1, Math.max(0, (at + AHEAD) / span)) * ROWS;
    const out = Math.min(rate * 10, Math.max(0, open - (ROWS - left)));
    left -= out;
    points.push([at / MINUTE, left]);
  }
  return points.map(([minute, waiting]) => [minute - span / MINUTE, waiting]);
}

/** How long after the due time of the last row the last one leaves, minutes. */
function late(points: readonly [number, number][]): number {
  return Math.max(0, points.at(-1)![0]);
}

function plot(even: [number, number][], sudden: [number, number][], rate: number): string {
  return chart({
    title: '50 million rows of the ledger',
    subtitle: `${Math.round(rate).toLocaleString('en')} rows a second, as counted; SQS holds them until their time`,
    x: { name: 'minutes after the last is due', min: -75, max: 20 },
    y: { name: 'rows', max: ROWS },
    series: [
      { name: 'due over an hour', points: even },
      { name: 'due at once', points: sudden },
    ],
  });
}
