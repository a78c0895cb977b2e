/** What the AWS engine leases: deliveries, names and tokens. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { advance, awsNodes, deliverAll, MINUTE, SKIP, sendRaw, VISIBILITY } from './aws-nodes.ts';
import { admit, assertEmpty, collect, defer, end, mail, newLane } from './harness.ts';

/** zstd of "x", in base64. */
const SMALL = 'KLUv/SABCQAAeA==';

describe('aws: leasing', { skip: SKIP }, () => {
  const { aws, open, logged } = awsNodes();

  test('OverLimit leases nothing and writes a log line; the next receive leases again', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    await admit(engine, mail(Date.now(), { lane }));
    faults.add({ command: 'ReceiveMessage', kind: 'refused', times: 1, error: 'OverLimit' });
    await assertEmpty(engine, lane);
    assert.ok(logged.some((line) => line.includes('in flight')));
    await collect(engine, lane, 1);
  });

  test('settling with an expired receipt succeeds and ends the delivery', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    await admit(engine, mail(Date.now(), { lane }));
    const [leased] = await collect(engine, lane, 1, VISIBILITY);
    faults.add({
      command: 'DeleteMessageBatch',
      kind: 'refused',
      times: 1,
      error: 'ReceiptHandleIsInvalid',
    });
    await engine.queue.settle([end(leased!, Date.now())]);
    advance(VISIBILITY + 1000);
    await assertEmpty(engine, lane);
    assert.equal((await engine.queue.lanes()).find((one) => one.lane === lane)!.leased, 0);
  });

  test('items of a newer version stay in the lane, with a line in the log', async () => {
    const { engine } = await open();
    const lane = newLane();
    await admit(engine, mail(Date.now(), { lane }));
    const { item } = (await collect(engine, lane, 1))[0]!;
    for (const text of [
      `{"v":3,"somethingElse":true}`,
      `${JSON.stringify({ v: 1, item: { ...item, v: 2 }, g: 0 })}\nAAAA`,
    ]) {
      await sendRaw(aws(), lane, text);
    }
    await assertEmpty(engine, lane);
    assert.equal(logged.filter((line) => line.includes('refused')).length, 2);
    const depth = (await engine.queue.lanes()).find((one) => one.lane === lane)!;
    assert.equal(depth.ready + depth.leased, 3);
    advance(61_000);
    await assertEmpty(engine, lane);
    assert.equal(logged.filter((line) => line.includes('refused')).length, 4);
  });

  test('with claims, a message that SQS holds twice is sent once', async () => {
    const one = await open({ claimBeforeSend: true });
    const two = await open({ claimBeforeSend: true });
    const lane = newLane();
    await admit(one.engine, mail(Date.now(), { lane }));
    const [held] = await collect(one.engine, lane, 1, VISIBILITY);
    await sendRaw(aws(), lane, `${JSON.stringify({ v: 1, item: held!.item, g: 0 })}\n${SMALL}`);
    await assertEmpty(two.engine, lane);
    await one.engine.queue.settle([end(held!, Date.now())]);
    assert.deepEqual(await deliverAll(two.engine, lane), []);
  });

  test('a delivery of a dead node goes to another after the visibility time, with clocks apart', async () => {
    for (const [dead, alive] of [
      [60_000, -60_000],
      [-60_000, 60_000],
    ]) {
      const one = await open({ skew: dead });
      const two = await open({ skew: alive });
      const lane = newLane();
      await admit(one.engine, mail(Date.now(), { lane }));
      const [first] = await collect(one.engine, lane, 1, VISIBILITY);
      await one.engine.queue.settle([defer(first!, Date.now(), Date.now() + 5 * MINUTE)]);
      advance(7 * MINUTE);
      // This delivery is claimed, and the claim holds the time of a clock.
      await collect(one.engine, lane, 1, VISIBILITY);
      advance(VISIBILITY + 1000);
      const [again] = await collect(two.engine, lane, 1, VISIBILITY);
      assert.equal(again!.receives, 2);
      await two.engine.queue.settle([end(again!, Date.now())]);
      assert.equal(await two.engine.records.state(again!.item.messageId, 0), 'delivered');
    }
  });

  test('without records, deliveries that need a claim stay in the lane, and others are leased', async () => {
    const { engine, faults } = await open();
    const lane = newLane();
    await admit(engine, mail(Date.now(), { lane }));
    const [first] = await collect(engine, lane, 1, VISIBILITY);
    await engine.queue.settle([defer(first!, Date.now(), Date.now() + 1000)]);
    await admit(engine, mail(Date.now(), { lane }));
    advance(2000);
    faults.add({ command: 'UpdateItem', kind: 'refused', error: 'AccessDenied', times: 50 });
    const [fresh] = await collect(engine, lane, 1);
    assert.equal(fresh!.item.attempts, 0);
    faults.clear();
    advance(61_000);
    assert.equal((await collect(engine, lane, 1))[0]!.item.attempts, 1);
  });
  test('a clock a minute off neither takes a lease early nor keeps one late', async () => {
    const one = await open({ skew: 60_000 });
    const two = await open({ skew: -60_000 });
    const name = `ip ${newLane()}`;
    assert.ok(await one.engine.leases.acquire(name, 'one', 15_000));
    assert.equal(await two.engine.leases.acquire(name, 'two', 15_000), undefined);
    for (let s = 0; s < 60; s += 5) {
      advance(5000);
      if (s % 10 === 0) assert.ok(await one.engine.leases.acquire(name, 'one', 15_000));
      assert.equal(await two.engine.leases.acquire(name, 'two', 15_000), undefined);
    }
    // The owner dies; the next caller gets the lease when it expires.
    let waited = 0;
    while ((await two.engine.leases.acquire(name, 'two', 15_000)) === undefined) {
      advance(1000);
      waited += 1;
      assert.ok(waited <= 15, 'taken over late');
    }
    assert.equal(await one.engine.leases.acquire(name, 'one', 15_000), undefined);
  });
});
