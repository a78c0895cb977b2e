/** The embedded search over many blocks of messages, over restarts, and after what was undone. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import { FILE } from '../../lib/engine/embedded/store/schema.ts';
import { BLOCK } from '../../lib/engine/embedded/store/search.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { DAY } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';
import { admit, end, mail } from './harness.ts';

const COUNT = 2 * BLOCK + 500;
/** Places of the messages to one address: in each block, and behind them. */
const PLACES = [3, BLOCK - 1, BLOCK, BLOCK + 700, COUNT - 1];

describe('embedded engine: search', () => {
  const clock = new TestClock();
  let directory: string;
  let engine: Engine;
  const ids: string[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'postern-search-'));
    engine = await openEmbedded({ directory, clock, minimumFree: 0 });
    for (let n = 0; n < COUNT; ) {
      const batch = Array.from({ length: Math.min(500, COUNT - n) }, () => {
        const to = PLACES.includes(n) ? 'ann@example.net' : `user${n}@example.net`;
        n += 1;
        return mail(clock.now(), { recipients: [to], body: 'x' });
      });
      await admit(engine, ...batch);
      ids.push(...batch.map(({ record }) => record.id));
      clock.advance(1);
    }
  });
  after(async () => {
    await engine.close();
    await rm(directory, { recursive: true });
  });

  async function reopen(between: (db: DatabaseSync) => void = () => {}): Promise<void> {
    await engine.close();
    const db = new DatabaseSync(join(directory, FILE));
    between(db);
    db.close();
    engine = await openEmbedded({ directory, clock, minimumFree: 0 });
  }
  const blocks = (db: DatabaseSync): number =>
    Number(db.prepare('SELECT count(*) AS n FROM search_blocks').get()!.n);

  async function assertFound(): Promise<void> {
    const search = { tenant: 'tenant', recipient: 'ann@example.net', max: 100 };
    const { messages, next } = await engine.records.search(search);
    assert.deepEqual(
      messages.map(({ id }) => id),
      PLACES.toReversed().map((place) => ids[place]),
    );
    assert.equal(next, undefined);
    const one = await engine.records.search({ ...search, recipient: 'user1@example.net' });
    assert.deepEqual(
      one.messages.map(({ id }) => id),
      [ids[1]],
    );
  }

  test('finds the few of many, in blocks and behind them', () => assertFound());

  test('finds them after a restart', async () => {
    await reopen((db) => assert.equal(blocks(db), 2));
    await assertFound();
  });

  test('indexes the messages of a store that had no index', async () => {
    await reopen((db) => db.exec('DELETE FROM search_blocks'));
    await assertFound();
    await reopen((db) => assert.equal(blocks(db), 2));
  });

  test('finds what was taken in again after a transaction was undone, and with it a block', async () => {
    const known = mail(clock.now());
    await admit(engine, known);
    const many = Array.from({ length: BLOCK }, (_, n) =>
      mail(clock.now(), { recipients: [`again${n}@example.net`], body: 'x' }),
    );
    // The second call fails, and the first one, which ended a block in the same transaction, is written again.
    const [, failed] = await Promise.allSettled([admit(engine, ...many), admit(engine, known)]);
    assert.equal(failed.status, 'rejected');
    // The block that was undone held the last messages of before, too.
    const wanted: [string, string | undefined][] = [[`user${COUNT - 2}@example.net`, ids[COUNT - 2]]];
    for (const n of [0, 1, BLOCK - 2, BLOCK - 1]) wanted.push([`again${n}@example.net`, many[n]!.record.id]);
    for (const [recipient, id] of wanted) {
      const { messages } = await engine.records.search({ tenant: 'tenant', recipient, max: 9 });
      assert.deepEqual(
        messages.map((one) => one.id),
        [id],
      );
    }
  });

  test('goes with the messages', async () => {
    const lane = { lane: 'default:bulk:other', max: 500, visibility: 1_000, wait: 0 };
    for (;;) {
      const leased = await engine.queue.lease(lane);
      if (leased.length === 0) break;
      await engine.queue.settle(leased.map((one) => end(one, clock.now())));
    }
    clock.advance(2 * DAY);
    for (let pruned = 1; pruned > 0; ) pruned = await engine.records.prune(clock.now() - DAY, 2_000);
    await admit(engine, mail(clock.now()));
    await engine.records.prune(clock.now() - DAY, 10);
    await reopen((db) => assert.ok(blocks(db) <= 1, `${blocks(db)} blocks are left`));
    const { messages } = await engine.records.search({
      tenant: 'tenant',
      recipient: 'ann@example.net',
      max: 9,
    });
    assert.deepEqual(messages, []);
  });
});
