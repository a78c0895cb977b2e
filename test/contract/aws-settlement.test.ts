/** Ends of leases in the AWS engine, and processes that die in the middle of them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openAws } from '../../lib/engine/aws/open.ts';
import { dueKey, ledgerKey } from '../../lib/engine/aws/outbox.ts';
import { encodeRecord } from '../../lib/engine/aws/record-codec.ts';
import { laneQueue } from '../../lib/engine/aws/schema.ts';
import type { Engine, LeasedItem } from '../../lib/engine/ports.ts';
import { seededRandom } from '../support/clock.ts';
import { advance, awsNodes, deliverAll, MINUTE, outcomesOf, putRows, SKIP, VISIBILITY } from './aws-nodes.ts';
import { admit, assertEmpty, collect, defer, end, mail, names, newLane } from './harness.ts';

describe('aws: settlement', { skip: SKIP }, () => {
  const { aws, open, logged } = awsNodes();

  /** Leases one message in a process that dies in the middle of its settlement. */
  async function dying(
    command: string,
    settle: (leased: LeasedItem) => Parameters<Engine['queue']['settle']>[0],
  ) {
    const { engine, faults } = await open();
    const lane = newLane();
    await admit(engine, mail(Date.now(), { lane }));
    const [leased] = await collect(engine, lane, 1, VISIBILITY);
    faults.add({ command, kind: 'refused', times: 1000, error: 'AccessDenied' });
    await assert.rejects(engine.queue.settle(settle(leased!)), { code: 'storage_unavailable' });
    return { lane, id: leased!.item.messageId, engine: (await open()).engine };
  }
  const deferred = (leased: LeasedItem) => [defer(leased, Date.now(), Date.now() + 10 * MINUTE)];
  const ended = (leased: LeasedItem) => [end(leased, Date.now())];

  for (const [when, command, settle, attempts] of [
    ['before the record', 'BatchWriteItem', ended, 0],
    ['before the record of a deferral', 'BatchWriteItem', deferred, 0],
    ['between record and deletion', 'DeleteMessageBatch', ended, undefined],
    ['before the copy was put back', 'SendMessageBatch', deferred, 1],
    ['before the outcome was sent', 'SendMessageBatch', ended, undefined],
    ['between copy and deletion', 'DeleteMessageBatch', deferred, 1],
  ] as const) {
    test(`a process that dies ${when} neither loses a delivery nor sends it twice`, async () => {
      const { lane, id, engine } = await dying(command, settle);
      advance(VISIBILITY + 1000);
      const sent = await deliverAll(engine, lane);
      assert.deepEqual(
        sent.map(({ item }) => item.attempts),
        attempts === undefined ? [] : [attempts],
      );
      assert.equal(await engine.records.state(id, 0), 'delivered');
      const outcomes = await outcomesOf(engine, id);
      const states = new Set(outcomes.map((outcome) => outcome.attempt!.state));
      assert.deepEqual([...states].sort(), attempts === 1 ? ['deferred', 'delivered'] : ['delivered']);
    });
  }

  test('content that SQS refuses fails with storage_refused, not storage_unavailable', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    await admit(engine, mail(Date.now(), { lane }));
    const [leased] = await collect(engine, lane, 1, VISIBILITY);
    const settlement = deferred(leased!);
    for (const [error, code] of [
      ['InvalidMessageContents', 'storage_refused'],
      ['AccessDenied', 'storage_unavailable'],
    ] as const) {
      faults.add({ command: 'SendMessageBatch', kind: 'refused', times: 1, error });
      await assert.rejects(engine.queue.settle(settlement), { code }, error);
    }
    await engine.queue.settle(settlement);
    assert.equal((await deliverAll(engine, lane)).length, 1);
  });

  test('a record of long replies over days stays within its size: it keeps the latest attempt, and the end', async () => {
    const { engine } = await open();
    const lane = newLane();
    const message = mail(Date.now(), { lane });
    await admit(engine, message);
    const random = seededRandom(3);
    const noise = (): string =>
      String.fromCharCode(...Array.from({ length: 20_000 }, () => 0x4e00 + Math.floor(random() * 20_000)));
    for (let tries = 0; tries < 12; tries += 1) {
      const [leased] = await collect(engine, lane, 1, VISIBILITY);
      assert.equal(leased!.item.attempts, tries);
      const deferral = defer(leased!, Date.now(), Date.now() + MINUTE);
      if (deferral.kind === 'defer') deferral.attempt.text = noise();
      await engine.queue.settle([deferral]);
      advance(2 * MINUTE);
    }
    const [leased] = await collect(engine, lane, 1, VISIBILITY);
    await engine.queue.settle([end(leased!, Date.now())]);
    const [record] = await engine.records.deliveries(message.record.id);
    assert.equal(record!.state, 'delivered');
    assert.ok(
      record!.attempts.length >= 2 && record!.attempts.length < 13,
      `${record!.attempts.length} attempts`,
    );
    assert.equal(
      (await outcomesOf(engine, message.record.id)).length,
      13,
      'every attempt is in the outcomes',
    );
  });

  test('a row that SQS refuses for good stays in the ledger and delays no other row of its lane', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    const due = Date.now() + 60 * MINUTE;
    const messages = Array.from({ length: 40 }, () => mail(Date.now(), { lane, due }));
    await admit(engine, ...messages);
    const { id } = messages[17]!.record;
    faults.add({
      command: 'SendMessageBatch',
      kind: 'refused',
      error: 'InvalidMessageContents',
      times: 1_000,
      when: (input) => JSON.stringify(input).includes(id),
    });
    advance(61 * MINUTE);
    await engine.ledger.promote();
    assert.equal((await collect(engine, lane, 39, VISIBILITY)).length, 39);
    assert.ok(logged.includes('a row of the ledger is refused by its lane; it stays'));
    faults.clear();
    await engine.ledger.promote();
    assert.deepEqual(names(await collect(engine, lane, 1, VISIBILITY)), [`${id} 0`]);
  });

  for (const kind of ['lost', 'cut'] as const) {
    test(`a put-back whose answer was ${kind} is sent once, whichever copy comes first`, async () => {
      const { engine, faults } = await open();
      const lane = newLane();
      await admit(engine, mail(Date.now(), { lane }));
      const [leased] = await collect(engine, lane, 1, VISIBILITY);
      const settlement = [defer(leased!, Date.now(), Date.now() + MINUTE)];
      faults.add({ command: 'SendMessageBatch', kind, times: 1 });
      await assert.rejects(engine.queue.settle(settlement), { code: 'storage_unavailable' });
      await engine.queue.settle(settlement);
      const sent = await deliverAll(engine, lane);
      assert.deepEqual(
        sent.map(({ item }) => item.attempts),
        [1],
      );
      assert.deepEqual(await deliverAll(engine, lane), []);
    });
  }

  for (const [what, wait, late] of [
    ['for a minute, comes back at its time', MINUTE, false],
    ['for a moment, comes back a quarter of an hour late', 5_000, true],
  ] as const) {
    test(`a put-back of which only a second copy is there, ${what}`, async () => {
      const { engine, faults } = await open();
      const lane = newLane();
      await admit(engine, mail(Date.now(), { lane }));
      const [leased] = await collect(engine, lane, 1, VISIBILITY);
      const reason = { code: 'sender_limit', text: 'Later.' };
      const settlement = [{ kind: 'release', leased: leased!, until: Date.now() + wait, reason } as const];
      // The request never reached SQS, which its sender cannot tell.
      faults.add({ command: 'SendMessageBatch', kind: 'cut', times: 1 });
      await assert.rejects(engine.queue.settle(settlement), { code: 'storage_unavailable' });
      await engine.queue.settle(settlement);
      advance(wait + 1_000);
      if (late) {
        await assertEmpty(engine, lane);
        advance(15 * MINUTE);
      }
      const [back] = await collect(engine, lane, 1, VISIBILITY);
      await engine.queue.settle([end(back!, Date.now())]);
      assert.deepEqual(await deliverAll(engine, lane), []);
    });
  }

  test('mail that is sent on to a lane which does not exist comes back to its own', async () => {
    const { engine, faults } = await open();
    const [lane, gone] = [newLane(), newLane()];
    await admit(engine, mail(Date.now(), { lane }), mail(Date.now(), { lane }));
    const leased = await collect(engine, lane, 2, VISIBILITY);
    const error = 'QueueDoesNotExist';
    // The client of these tests creates a missing queue and tries again.
    faults.add({ command: 'SendMessageBatch', kind: 'refused', times: 2, error });
    const reason = { code: 'no_source_ip', text: 'Sent on.' };
    await engine.queue.settle(
      leased.map((one) => ({ kind: 'release', leased: one, until: Date.now(), reason, lane: gone })),
    );
    await assertEmpty(engine, lane);
    advance(31_000);
    const back = await collect(engine, lane, 2, VISIBILITY);
    assert.deepEqual(
      back.map(({ item }) => item.lane),
      [lane, lane],
    );
  });

  test('a copy that was put back is handed out without a write, and its attempts stay', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    const message = mail(Date.now(), { lane });
    await admit(engine, message);
    const [leased] = await collect(engine, lane, 1, VISIBILITY);
    await engine.queue.settle([defer(leased!, Date.now(), Date.now() + MINUTE)]);
    assert.deepEqual(await engine.ledger.cancel('unknown'), []);
    advance(2 * MINUTE);
    const updates = faults.calls.get('UpdateItem');
    const [again] = await collect(engine, lane, 1, VISIBILITY);
    assert.equal(faults.calls.get('UpdateItem'), updates);
    const other = (await open()).engine;
    assert.deepEqual(await other.ledger.cancel(message.record.id), [], 'it may be under way');
    await engine.queue.settle([end(again!, Date.now())]);
    const [record] = await engine.records.deliveries(message.record.id);
    assert.deepEqual(
      record!.attempts.map(({ state }) => state),
      ['deferred', 'delivered'],
    );
  });

  test('a deferred delivery is cancelled before its time, and its copy is dropped', async () => {
    const { engine } = await open();
    const lane = newLane();
    const message = mail(Date.now(), { lane });
    await admit(engine, message);
    const [leased] = await collect(engine, lane, 1, VISIBILITY);
    await engine.queue.settle([defer(leased!, Date.now(), Date.now() + MINUTE)]);
    assert.deepEqual(await engine.ledger.cancel(message.record.id), [0]);
    assert.deepEqual(await deliverAll(engine, lane), []);
    assert.equal(await engine.records.state(message.record.id, 0), 'cancelled');
  });

  test('a repeated settlement goes on where the first one failed', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    await admit(engine, mail(Date.now(), { lane }), mail(Date.now(), { lane }));
    const leased = await collect(engine, lane, 2, VISIBILITY);
    const settlements = [end(leased[0]!, Date.now()), defer(leased[1]!, Date.now(), Date.now() + MINUTE)];
    faults.add({ command: 'DeleteMessageBatch', kind: 'refused', times: 1, error: 'AccessDenied' });
    await assert.rejects(engine.queue.settle(settlements));
    await engine.queue.settle(settlements);
    assert.equal((await outcomesOf(engine, leased[0]!.item.messageId)).length, 1);
    assert.equal((await deliverAll(engine, lane)).length, 1);
  });

  test('a message that waits for hours keeps its bytes in the table, or in S3 when it is large', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    const random = seededRandom(3);
    const noise = Buffer.from(Array.from({ length: 30_000 }, () => Math.floor(random() * 256)));
    const [small, large] = [mail(Date.now(), { lane }), { ...mail(Date.now(), { lane }), body: noise }];
    await admit(engine, small, large);
    const leased = await collect(engine, lane, 2, VISIBILITY);
    const until = Date.now() + 60 * MINUTE;
    await engine.queue.settle(leased.map((one) => defer(one, Date.now(), until)));
    assert.equal(faults.calls.get('PutObject'), 1);
    assert.deepEqual(await engine.ledger.waiting(), { count: 2, next: until });
    advance(46 * MINUTE);
    assert.deepEqual(await engine.ledger.promote(), { moved: 2 });
    assert.deepEqual(await engine.ledger.promote(), { moved: 0 });
    advance(13 * MINUTE);
    await assertEmpty(engine, lane);
    advance(MINUTE + 1000);
    const again = await collect(engine, lane, 2, VISIBILITY);
    for (const { item, bytes } of again) {
      assert.ok(bytes.equals(Buffer.from(item.messageId === small.record.id ? small.body : noise)));
    }
    // The second time no object is stored again.
    await engine.queue.settle(again.map((one) => defer(one, Date.now(), Date.now() + 60 * MINUTE)));
    assert.equal(faults.calls.get('PutObject'), 1);
    assert.equal((await deliverAll(engine, lane)).length, 2);
  });

  test('two promotions at once, after one that died half-way, send nothing twice', async () => {
    const one = await open();
    const two = await open({ skew: 60_000 });
    const lane = newLane();
    const due = Date.now() + 60 * MINUTE;
    await admit(one.engine, ...Array.from({ length: 20 }, () => mail(Date.now(), { lane, due })));
    advance(50 * MINUTE);
    one.faults.add({ command: 'BatchWriteItem', kind: 'refused', times: 1000, error: 'AccessDenied' });
    await assert.rejects(one.engine.ledger.promote(), { code: 'storage_unavailable' });
    one.faults.clear();
    advance(2 * MINUTE);
    await Promise.all([one.engine.ledger.promote(), two.engine.ledger.promote()]);
    assert.deepEqual(await one.engine.ledger.waiting(), { count: 0 });
    const sent = await deliverAll(one.engine, lane);
    assert.equal(sent.length, 20);
    assert.equal(new Set(names(sent)).size, 20);
  });

  test('rows that cannot be promoted delay no row behind them and are logged', async () => {
    const { engine } = await open();
    const due = Date.now() + 60 * MINUTE;
    const lane = newLane();
    const gone = newLane();
    const lost = mail(Date.now(), { lane: gone, due });
    const good = mail(Date.now(), { lane, due });
    await admit(engine, lost, good);
    // A thousand rows and more of a newer version, before the good one.
    const { pk } = ledgerKey(good.record.id, 0, 0, due);
    const newer = { e: { B: encodeRecord({ v: 99 }) }, pk: { S: pk } };
    await putRows(
      aws(),
      Array.from({ length: 1_010 }, (_, n) => ({ ...newer, sk: { S: `${dueKey(due - 1_010 + n)}#x#0#0` } })),
    );
    advance(50 * MINUTE);
    const clock = { now: () => Date.now(), after: () => () => {} };
    // This process creates no lanes.
    const strict = await openAws({ resources: aws().resources, client: aws().client, clock });
    await admit(engine, mail(Date.now(), { lane }));
    await assert.rejects(strict.ledger.promote(), {
      code: 'storage_unavailable',
      message: new RegExp(laneQueue(gone)),
    });
    assert.deepEqual(await strict.ledger.waiting(), { count: 1_011, next: due - 1_010 });
    await strict.close();
    // The row moves once its lane exists again.
    const { moved, next } = await engine.ledger.promote();
    assert.deepEqual([moved, next], [1, due - 1_010]);
    assert.ok(logged.some((line) => line.startsWith('rows of the ledger refused')));
    advance(11 * MINUTE);
    assert.equal((await collect(engine, lane, 2, VISIBILITY)).length, 2);
    assert.equal((await collect(engine, gone, 1, VISIBILITY)).length, 1);
  });
});
