/** What the embedded queue keeps of bodies in memory: those of its window and of its leases, and no other. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BUDGET } from '../../lib/engine/embedded/ready.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { TestClock } from '../support/clock.ts';
import { admit, collect, defer, end, mail, newLane } from './harness.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const LARGE = 'x'.repeat(500_000);

/** Bytes of those buffers that are still in memory. */
const kept = (buffers: Iterable<Uint8Array>): number => {
  let sum = 0;
  for (const { byteLength } of buffers) sum += byteLength;
  return sum;
};

describe('embedded engine: bodies in memory', () => {
  let clock: TestClock;
  let engine: Engine;
  let lane: string;
  beforeEach(() => {
    clock = new TestClock();
    engine = openMemory({ clock });
    lane = newLane();
  });
  afterEach(() => engine.close());

  test('never more than the window and the leases, whatever comes in and goes out', async () => {
    const bodies = new Set<Uint8Array>();
    const expected = new Map<string, string>();
    for (let n = 0; n < 120; n++) {
      const text = `${n} ${LARGE}`;
      const message = mail(clock.now(), { lane, tenant: `tenant-${n % 3}`, body: text });
      expected.set(message.record.id, text);
      bodies.add(message.body);
      await admit(engine, message);
      assert.ok(kept(bodies) <= BUDGET, `${n + 1} messages in: ${kept(bodies)} bytes`);
    }
    assert.ok(kept(bodies) > BUDGET / 4, 'the first of them await their attempt in memory');
    for (let out = 0; out < 120; out += 10) {
      const leased = await collect(engine, lane, 10);
      for (const { item, bytes } of leased) {
        bodies.add(bytes);
        assert.ok(bytes.toString() === expected.get(item.messageId), item.messageId);
      }
      assert.ok(kept(bodies) <= BUDGET + kept(leased.map(({ bytes }) => bytes)), `${out} messages out`);
      await engine.queue.settle(leased.map((one) => end(one, clock.now())));
      assert.equal(kept(leased.map(({ bytes }) => bytes)), 0);
    }
    assert.equal(kept(bodies), 0);
  });

  test('a body of several deliveries stays until the last of them has ended', async () => {
    const message = mail(clock.now(), { lane, recipients: ['a@a.example', 'b@b.example'], body: LARGE });
    await admit(engine, message);
    const [first, second] = await collect(engine, lane, 2);
    await engine.queue.settle([end(first!, clock.now())]);
    assert.equal(second!.bytes.toString(), LARGE);
    await engine.queue.settle([defer(second!, clock.now(), clock.now() + 1000)]);
    assert.equal(kept([first!.bytes, second!.bytes]), 0);
  });

  test('a body that waits for a time, and one that is cancelled, leave the memory', async () => {
    const later = mail(clock.now(), { lane, due: clock.now() + 1000, body: LARGE });
    const cancelled = mail(clock.now(), { lane, body: LARGE });
    await admit(engine, later, cancelled);
    assert.equal(kept([later.body]), 0);
    assert.equal(kept([cancelled.body]), LARGE.length);
    await engine.ledger.cancel(cancelled.record.id);
    assert.equal(kept([cancelled.body]), 0);
  });

  test('a body that the holder of a lapsed lease may be sending is left to the collector', async () => {
    await admit(engine, mail(clock.now(), { lane, body: LARGE }));
    const [late] = await collect(engine, lane, 1, 1000);
    clock.advance(1000);
    const [again] = await collect(engine, lane, 1);
    await engine.queue.settle([end(again!, clock.now())]);
    assert.equal(late!.bytes.toString(), LARGE);
  });

  test('a message that was not admitted keeps its body', async () => {
    const claim = { key: 'key', digest: 'a', expiresAt: clock.now() + 1000, response: '{}' };
    await engine.queue.admit([mail(clock.now(), { lane, body: LARGE })], claim);
    const message = mail(clock.now(), { lane, body: LARGE });
    assert.equal((await engine.queue.admit([message], { ...claim, digest: 'b' })).kind, 'conflict');
    assert.equal(kept([message.body]), LARGE.length);
  });

  test('a delivery that has ended is not kept by those of its tenant that wait', async () => {
    for (let n = 0; n < 40; n++) await admit(engine, mail(clock.now(), { lane, body: `${n}` }));
    const bodies: WeakRef<Buffer>[] = [];
    // A function of its own: its variables keep nothing.
    const deliver = async (): Promise<void> => {
      const [leased] = await collect(engine, lane, 1);
      bodies.push(new WeakRef(leased!.bytes));
      await engine.queue.settle([end(leased!, clock.now())]);
    };
    for (let n = 0; n < 39; n++) await deliver();
    await new Promise(setImmediate);
    collectGarbage();
    assert.equal(bodies.filter((body) => body.deref()).length, 0);
  });
});
