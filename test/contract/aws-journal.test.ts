/** Egress nodes that die between a peer's reply and the record of it, and what their successors settle. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import type { LeasedItem, Settlement } from '../../lib/engine/ports.ts';
import { Faults } from '../support/aws.ts';
import { advance, awsNodes, MINUTE, outcomesOf, SKIP, until, VISIBILITY } from './aws-nodes.ts';
import { admit, assertEmpty, collect, defer, end, mail, names, newLane } from './harness.ts';

describe('aws: the settlement journal', { skip: SKIP }, () => {
  const { open, logged } = awsNodes();
  const directory = mkdtempSync(join(tmpdir(), 'postern-aws-journal-'));
  let runs = 0;
  let journal: string;
  beforeEach(() => {
    journal = join(directory, String((runs += 1)));
  });
  after(() => rmSync(directory, { recursive: true }));

  /** A node leases `count` messages and notes how they end; it dies before it settles any. */
  async function dying(count: number, ends: (leased: LeasedItem) => Settlement = delivered) {
    const { engine, faults } = await open({ journal });
    const lane = newLane();
    await admit(engine, ...Array.from({ length: count }, () => mail(Date.now(), { lane })));
    const leased = await collect(engine, lane, count, VISIBILITY);
    const settlements = leased.map(ends);
    engine.queue.note(settlements);
    return { engine, faults, lane, leased, settlements, ids: leased.map(({ item }) => item.messageId) };
  }
  const delivered = (leased: LeasedItem) => end(leased, Date.now());
  const states = (outcomes: Awaited<ReturnType<typeof outcomesOf>>) =>
    outcomes.map(({ attempt }) => attempt?.state);

  test('what was noted is settled before anything is leased: recorded, told once, and gone from its lane', async () => {
    const { lane, ids } = await dying(12, (leased) => end(leased, Date.now(), 'bounced'));
    const { engine } = await open({ journal });
    await assertEmpty(engine, lane);
    for (const id of ids) {
      assert.equal(await engine.records.state(id, 0), 'bounced');
      const [record] = await engine.records.deliveries(id);
      assert.equal(record!.attempts.length, 1);
    }
    const { faults, engine: other } = await open();
    advance(VISIBILITY + 1_000);
    await assertEmpty(other, lane);
    assert.equal(faults.calls.get('UpdateItem') ?? 0, 0, 'nothing came to another node');
    assert.deepEqual(states(await outcomesOf(engine, ids[0]!)), ['bounced']);
    assert.deepEqual(readdirSync(journal), []);
    assert.ok(logged.includes('journal.settled'));
  });

  test('what was settled before the last note costs its successor nothing', async () => {
    const { engine, settlements } = await dying(2);
    await engine.queue.settle(settlements);
    // The end of a lease has no write of its own: that of the next note tells it.
    engine.queue.note([]);
    const { engine: next, faults } = await open({ journal });
    await assertEmpty(next, newLane());
    assert.deepEqual([...faults.calls.keys()], ['ReceiveMessage']);
  });

  for (const [when, command] of [
    ['before the outcome was told', 'SendMessageBatch'],
    ['before the message was deleted', 'DeleteMessageBatch'],
  ] as const) {
    test(`a settlement that ended ${when} is ended by the successor`, async () => {
      const { engine, faults, settlements, lane, ids } = await dying(1);
      faults.add({ command, kind: 'refused', times: 1_000, error: 'AccessDenied' });
      await assert.rejects(engine.queue.settle(settlements), { code: 'storage_unavailable' });
      const next = (await open({ journal })).engine;
      await assertEmpty(next, lane);
      advance(VISIBILITY + 1_000);
      await assertEmpty(next, lane);
      assert.deepEqual(new Set(states(await outcomesOf(next, ids[0]!))), new Set(['delivered']));
    });
  }

  test('another node that has ended the delivery meanwhile is not contradicted', async () => {
    const { lane, ids } = await dying(1);
    advance(VISIBILITY + 1_000);
    const other = (await open()).engine;
    const [taken] = await collect(other, lane, 1, VISIBILITY);
    await other.queue.settle([end(taken!, Date.now(), 'bounced')]);
    const { engine } = await open({ journal });
    await assertEmpty(engine, lane);
    assert.equal(await engine.records.state(ids[0]!, 0), 'bounced');
    assert.deepEqual(states(await outcomesOf(engine, ids[0]!)), ['bounced']);
  });

  test('another node that is about to send it learns at its own end that it was delivered', async () => {
    const { lane, ids } = await dying(1);
    advance(VISIBILITY + 1_000);
    const other = (await open()).engine;
    const [taken] = await collect(other, lane, 1, VISIBILITY);
    const { engine } = await open({ journal });
    await assertEmpty(engine, lane);
    assert.equal(await engine.records.state(ids[0]!, 0), 'delivered');
    await other.queue.settle([defer(taken!, Date.now(), Date.now() + MINUTE)]);
    advance(2 * MINUTE);
    await assertEmpty(other, lane);
    assert.deepEqual(states(await outcomesOf(engine, ids[0]!)), ['delivered']);
  });

  test('what another node has put back meanwhile goes its own way', async () => {
    const { lane, ids } = await dying(1);
    advance(VISIBILITY + 1_000);
    const other = (await open()).engine;
    const [taken] = await collect(other, lane, 1, VISIBILITY);
    await other.queue.settle([defer(taken!, Date.now(), Date.now() + MINUTE)]);
    const { engine } = await open({ journal });
    await assertEmpty(engine, lane);
    advance(2 * MINUTE);
    assert.deepEqual(names(await collect(engine, lane, 1)), [`${ids[0]} 0`]);
    assert.deepEqual(states(await outcomesOf(engine, ids[0]!)), ['deferred']);
  });

  test('nothing is leased until the storage has taken the notes, and a stop does not wait for that', async () => {
    const { lane, ids } = await dying(1);
    const faults = new Faults();
    faults.add({ command: 'UpdateItem', kind: 'refused', times: 1_000, error: 'AccessDenied' });
    await admit((await open()).engine, mail(Date.now(), { lane }));
    const { engine } = await open({ journal, faults });
    const stop = new AbortController();
    const lease = (signal?: AbortSignal) =>
      engine.queue.lease({ lane, max: 10, visibility: VISIBILITY, wait: 0, signal });
    const stopped = lease(stop.signal);
    await until(() => (faults.calls.get('UpdateItem') ?? 0) > 2);
    stop.abort();
    assert.deepEqual(await stopped, []);
    assert.equal(faults.calls.get('ReceiveMessage') ?? 0, 0);
    const waiting = lease();
    faults.clear();
    assert.equal((await waiting).length, 1);
    assert.equal(await engine.records.state(ids[0]!, 0), 'delivered');
  });

  test('a note that the storage refuses for good delays no other, and its delivery is not lost', async () => {
    const { lane, ids, leased } = await dying(3);
    const faults = new Faults();
    faults.add({
      command: 'UpdateItem',
      kind: 'refused',
      times: 1_000,
      error: 'ValidationException',
      when: (input) => JSON.stringify(input).includes(ids[1]!),
    });
    const { engine } = await open({ journal, faults });
    await assertEmpty(engine, lane);
    assert.ok(logged.includes('settlement.lost'));
    advance(VISIBILITY + 1_000);
    const again = await collect((await open()).engine, lane, 1);
    assert.deepEqual(names(again), names([leased[1]!]));
  });
});
