/** What is accepted is counted of all mail, with a write every few seconds and none for each message. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { Engine, Queue } from '../../lib/engine/ports.ts';
import type { RowDelta } from '../../lib/engine/rows.ts';
import { PosternError } from '../../lib/errors.ts';
import { silentLog } from '../../lib/log.ts';
import { FEEDBACK_SENDER } from '../../lib/outcome/feedback-mail.ts';
import { ACCEPTED_INTERVAL, AcceptedCounts } from '../../lib/statistics/accepted.ts';
import { StatisticsReader, sumOf } from '../../lib/statistics/reader.ts';
import { DAY } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';
import { settled } from '../support/engine.ts';
import { messageRecord } from '../support/outcomes.ts';

let directory: string;
let engine: Engine;
let clock: TestClock;
/** Calls that count, and what becomes of their answers. */
let writes: string[];
let answered: 'whole' | 'lost' | 'refused';
let counts: AcceptedCounts;
let queue: Pick<Queue, 'admit'>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-accepted-'));
  clock = new TestClock();
  engine = await openEmbedded({ directory, clock, minimumFree: 0 });
  writes = [];
  answered = 'whole';
  const unavailable = () => new PosternError('storage_unavailable', 'There is no answer.');
  const rows = {
    get: engine.rows.get.bind(engine.rows),
    async add(batch: string, deltas: readonly RowDelta[]): Promise<boolean> {
      writes.push(batch);
      if (answered === 'refused') throw unavailable();
      const counted = await engine.rows.add(batch, deltas);
      if (answered === 'lost') throw unavailable();
      return counted;
    },
  };
  counts = new AcceptedCounts({ rows, clock, log: silentLog });
  queue = counts.counting(engine.queue);
});
afterEach(async () => {
  await counts.stop();
  await engine.close();
  await rm(directory, { recursive: true });
});

let n = 0;
const take = (tenant: string, recipients: number, keyId = 'key') =>
  queue.admit([
    {
      record: messageRecord({
        id: `message ${n++}`,
        tenant,
        keyId,
        recipients: Array.from({ length: recipients }, (_, i) => `user${i}@example.com`),
      }),
      body: Buffer.alloc(0),
      deliveries: [],
      settled: [],
    },
  ]);

async function accepted(tenant?: string): Promise<(number | undefined)[]> {
  const range = { tenant, from: clock.now() - DAY, before: clock.now() + DAY };
  const reader = new StatisticsReader(engine.rows);
  const day = await reader.series({ ...range, granularity: 'day' });
  const quarters = await reader.series({ ...range, granularity: 'quarter' });
  return [sumOf(day).accepted, sumOf(quarters).accepted];
}

/** Lets the time to the next write pass, and waits for it. */
async function later(): Promise<void> {
  clock.advance(ACCEPTED_INTERVAL);
  while (clock.pending === 0) await settled();
}

test('counts recipients by tenant and of all, with one write for any number of messages', async () => {
  for (let i = 0; i < 20; i++) await take('shop', 3);
  await take('other', 1);
  await take('shop', 1, FEEDBACK_SENDER);
  assert.deepEqual(writes, []);
  await later();
  assert.deepEqual(await accepted('shop'), [60, 60]);
  assert.deepEqual(await accepted('other'), [1, 1]);
  assert.deepEqual(await accepted(), [61, 61]);
  assert.equal(writes.length, 1);
  await later();
  assert.equal(writes.length, 1, 'nothing new is written as nothing');
});

test('counts once what the store did not answer for, and loses nothing of what came meanwhile', async () => {
  await take('shop', 1);
  for (const way of ['refused', 'lost'] as const) {
    answered = way;
    await later();
    await take('shop', 10);
  }
  answered = 'whole';
  await later();
  assert.deepEqual(await accepted('shop'), [21, 21]);
  assert.equal(new Set(writes).size, 2);
});

test('counts what it has when the service stops, and no message that was refused', async () => {
  await take('shop', 2);
  await assert.rejects(counts.counting({ admit: () => Promise.reject(new Error('full')) }).admit([]), /full/);
  await counts.stop();
  assert.deepEqual(await accepted('shop'), [2, 2]);
  assert.equal(clock.pending, 0);
});
