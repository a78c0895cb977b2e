import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { startOutcomeFeed } from '../../egress-node/standalone/outcome-feed.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { Engine, Suppressions } from '../../lib/engine/ports.ts';
import { PosternError } from '../../lib/errors.ts';
import { silentLog } from '../../lib/log.ts';
import { AccountingLog } from '../../lib/observe/accounting.ts';
import { StatisticsReader, sumOf } from '../../lib/statistics/reader.ts';
import { DAY } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';
import { settled } from '../support/engine.ts';
import { attempt, messageRecord, outcome } from '../support/outcomes.ts';

/** Forwards nothing. */
const feedback = () => ({ forward: () => Promise.resolve() });

let directory: string;
let engine: Engine;
let clock: TestClock;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-feed-'));
  clock = new TestClock();
  engine = await openEmbedded({ directory, clock, minimumFree: 0 });
});
afterEach(async () => {
  await engine.close();
  await rm(directory, { recursive: true });
});

/** Messages whose only delivery bounced hard at acceptance. */
async function bounce(...addresses: string[]): Promise<void> {
  const refused = attempt({ state: 'bounced', reason: 'peer_permanent', text: '550 5.1.1 user unknown' });
  await engine.queue.admit(
    addresses.map((address) => {
      const record = messageRecord({ id: `id of ${address}`, recipients: [address] });
      const settled = [outcome('attempt', { messageId: record.id, at: clock.now(), attempt: refused })];
      return { record, body: Buffer.alloc(0), deliveries: [], settled };
    }),
  );
}

async function listed(): Promise<string[]> {
  const entries = await engine.suppressions.list({ tenant: 'tenant-1', max: 10_000 });
  return entries.map(({ address }) => address);
}

/** Follows the feed to its end. */
async function follow(accounting?: AccountingLog, rows = engine.rows): Promise<void> {
  const { records, leases, suppressions } = engine;
  const parts = { engine: { records, leases, suppressions, rows }, feedback, clock, log: silentLog };
  const feed = startOutcomeFeed({ ...parts, accounting });
  clock.advance(0);
  while (clock.pending === 0) await settled();
  await feed.stop();
  assert.equal(clock.pending, 0);
}

test('is followed to its end and on from there, and does not restore removed addresses', async () => {
  const many = Array.from({ length: 1_100 }, (_, n) => `user${n}@example.com`);
  await bounce(...many);
  await follow();
  assert.equal((await listed()).length, many.length);
  clock.advance(1);
  for (const address of many) await engine.suppressions.remove('tenant-1', address, clock.now());
  clock.advance(1);
  await bounce('new@example.com');
  await follow();
  assert.deepEqual(await listed(), ['new@example.com']);
});

async function bounced(): Promise<number> {
  const query = { tenant: 'tenant-1', from: 0, before: clock.now() + DAY, granularity: 'day' } as const;
  return sumOf(await new StatisticsReader(engine.rows).series(query)).permanentBounces ?? 0;
}

test('counts each outcome once, over pages, restarts and an answer that was lost', async () => {
  await bounce(...Array.from({ length: 1_100 }, (_, n) => `user${n}@example.com`));
  await follow();
  assert.equal(await bounced(), 1_100);
  await follow();
  assert.equal(await bounced(), 1_100);
  await bounce('one@example.com');
  let lost = true;
  const rows: Engine['rows'] = {
    ...engine.rows,
    get: (keys) => engine.rows.get(keys),
    add: async (batch, deltas) => {
      const counted = await engine.rows.add(batch, deltas);
      if (!lost) return counted;
      lost = false;
      throw new PosternError('storage_unavailable', 'The answer was lost.');
    },
  };
  const counted: (readonly string[])[] = [];
  const onCounted = (tenants: readonly string[]): Promise<void> => {
    counted.push(tenants);
    return Promise.resolve();
  };
  const { records, leases, suppressions } = engine;
  const feed = startOutcomeFeed({
    feedback,
    engine: { records, leases, suppressions, rows },
    clock,
    log: silentLog,
    onCounted,
  });
  clock.advance(0);
  while (clock.pending === 0) await settled();
  assert.deepEqual(counted, []);
  await bounce('two@example.com');
  for (let turns = 0; turns < 3; turns += 1) {
    clock.advance(1_000);
    while (clock.pending === 0) await settled();
  }
  await feed.stop();
  assert.equal(await bounced(), 1_102);
  assert.deepEqual(counted.at(-1), ['tenant-1']);
});

test('goes on where a version that counted nothing had stopped', async () => {
  await bounce('old@example.com');
  const { cursor } = await engine.records.feed(0, 10);
  await engine.leases.saveCheckpoint('suppression-feed', cursor);
  await bounce('new@example.com');
  await follow();
  assert.deepEqual(await listed(), ['new@example.com']);
  assert.equal(await bounced(), 1);
});

test('skips nothing while the store does not answer', async () => {
  await bounce('ann@example.com');
  const logged: string[] = [];
  let away = true;
  const suppressions: Pick<Suppressions, 'put' | 'remove'> = {
    put: (entry) =>
      away
        ? Promise.reject(new PosternError('storage_unavailable', 'Away.'))
        : engine.suppressions.put(entry),
    remove: () => assert.fail('nothing is taken off'),
  };
  const feed = startOutcomeFeed({
    feedback,
    engine: { records: engine.records, leases: engine.leases, rows: engine.rows, suppressions },
    clock,
    log: { ...silentLog, error: (text) => void logged.push(text) },
  });
  clock.advance(0);
  while (clock.pending === 0) await settled();
  assert.deepEqual(logged, ['outcomes cannot be followed; this is tried again']);
  assert.deepEqual(await listed(), []);
  away = false;
  clock.advance(1_000);
  while (clock.pending === 0) await settled();
  assert.deepEqual(await listed(), ['ann@example.com']);
  await feed.stop();
});

test('each outcome has its line of the accounting log before it counts; a failure repeats lines and loses none', async () => {
  const path = join(directory, 'accounting.jsonl');
  const accounting = () => new AccountingLog({ path, log: silentLog });
  const recipients = async (): Promise<string[]> =>
    (await readFile(path, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { recipient: string }).recipient);
  await bounce(...Array.from({ length: 600 }, (_, n) => `user${n}@example.com`));
  await follow(accounting());
  await follow(accounting());
  assert.equal(new Set(await recipients()).size, 600);
  assert.equal((await recipients()).length, 600);
  await bounce('one@example.com');
  // The process ends between the line and the cursor.
  const rows = {
    ...engine.rows,
    get: engine.rows.get.bind(engine.rows),
    add: () => Promise.reject(new PosternError('storage_unavailable', 'Gone.')),
  };
  await follow(accounting(), rows as Engine['rows']);
  await follow(accounting());
  assert.deepEqual((await recipients()).slice(600), ['one@example.com', 'one@example.com']);
});
