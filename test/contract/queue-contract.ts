/** Contract of the queue: durable admission, idempotency, leases, turns between tenants. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import type { IdempotencyClaim } from '../../lib/engine/ports.ts';
import {
  admit,
  assertEmpty,
  type ContractOptions,
  collect,
  defer,
  type EngineUnderTest,
  end,
  LONG,
  mail,
  names,
  newLane,
  newTenant,
} from './harness.ts';

export function queueContract(under: () => EngineUnderTest, options: ContractOptions): void {
  describe('queue', () => {
    test('leases each admitted item with its exact bytes', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const message = mail(clock.now(), {
        lane,
        recipients: ['a@example.net', 'b@example.org'],
        body: 'é\r\n.\0',
      });
      await admit(engine, message);
      const items = await collect(engine, lane, 2);
      assert.deepEqual(names(items), [`${message.record.id} 0`, `${message.record.id} 1`]);
      for (const { item, bytes, receives } of items) {
        assert.deepEqual(item, message.deliveries[item.n]);
        assert.deepEqual(bytes, Buffer.from(message.body));
        assert.equal(receives, 1);
      }
      await assertEmpty(engine, lane);
      await engine.queue.settle(items.map((leased) => end(leased, clock.now())));
    });

    test('keeps lanes apart', async () => {
      const { engine, clock } = under();
      const [one, two] = [newLane(), newLane()];
      const message = mail(clock.now(), { lane: one });
      await admit(engine, message);
      await assertEmpty(engine, two);
      await collect(engine, one, 1);
    });

    test('counts ready and leased items', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      await admit(
        engine,
        mail(clock.now(), { lane }),
        mail(clock.now(), { lane }),
        mail(clock.now(), { lane }),
      );
      const depth = async () => (await engine.queue.lanes()).find((other) => other.lane === lane);
      const [leased] = await engine.queue.lease({ lane, max: 1, visibility: LONG, wait: 0 });
      assert.deepEqual(await depth(), { lane, ready: 2, leased: 1 });
      await engine.queue.settle([end(leased!, clock.now())]);
      assert.deepEqual(await depth(), { lane, ready: 2, leased: 0 });
    });

    test('counts what waits by lane, ready, leased and for a time', async () => {
      const { engine, clock } = under();
      const [lane, other] = [newLane(), newLane()];
      const tenant = newTenant();
      const first = clock.now();
      const depth = async (of: string) => {
        const { depths } = await engine.queue.depths([lane, other]);
        const found = depths.find((one) => one.lane === of && (one.tenant ?? tenant) === tenant);
        return { ready: found?.ready ?? 0, leased: found?.leased ?? 0, later: found?.later ?? 0 };
      };
      const messages = [1, 2, 3].map(() => mail(first, { lane, tenant }));
      await admit(engine, ...messages, mail(first, { lane, tenant, due: first + 600_000 }));
      assert.deepEqual(await depth(lane), { ready: 3, leased: 0, later: 1 });
      await clock.advance(6_000);
      const [ended, deferred] = await collect(engine, lane, 2);
      assert.deepEqual(await depth(lane), { ready: 1, leased: 2, later: 1 });
      await engine.queue.settle([
        end(ended!, clock.now()),
        defer(deferred!, clock.now(), clock.now() + 300_000),
      ]);
      await clock.advance(6_000);
      assert.deepEqual(await depth(lane), { ready: 1, leased: 0, later: 2 });
      const [moved] = await collect(engine, lane, 1);
      const reason = { code: 'suspended', text: 'It goes by another pool.' };
      const until = clock.now() + 600_000;
      await engine.queue.settle([{ kind: 'release', leased: moved!, until, reason, lane: other }]);
      await clock.advance(6_000);
      assert.deepEqual(await depth(lane), { ready: 0, leased: 0, later: 2 });
      assert.deepEqual(await depth(other), { ready: 0, leased: 0, later: 1 });
      await clock.advance(600_000);
      await engine.ledger.promote();
      await collect(engine, lane, 2);
      await clock.advance(6_000);
      assert.deepEqual(await depth(lane), { ready: 0, leased: 2, later: 0 });
      assert.deepEqual(await depth(newLane()), { ready: 0, leased: 0, later: 0 });
    });

    test('admits bodies of 0 bytes and of 10 MiB', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const empty = { ...mail(clock.now(), { lane }), body: new Uint8Array(0) };
      const large = { ...mail(clock.now(), { lane }), body: Buffer.alloc(10 << 20, 'x\r\n') };
      await admit(engine, empty);
      await admit(engine, large);
      const sizes = (await collect(engine, lane, 2)).map((leased) => leased.bytes.byteLength);
      assert.deepEqual(
        sizes.sort((a, b) => a - b),
        [0, 10 << 20],
      );
    });

    test('leases at most the maximum of the call', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      await admit(engine, ...Array.from({ length: 5 }, () => mail(clock.now(), { lane })));
      const seen: string[] = [];
      for (let empty = 0; seen.length < 5 && empty < 500; ) {
        const leased = await engine.queue.lease({ lane, max: 2, visibility: LONG, wait: 0 });
        assert.ok(leased.length <= 2, `${leased.length} of at most two`);
        seen.push(...names(leased));
        empty = leased.length > 0 ? 0 : empty + 1;
      }
      assert.equal(new Set(seen).size, 5, 'all are handed out, two at a time');
    });

    test('never leases one delivery to two callers', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const messages = Array.from({ length: 60 }, () => mail(clock.now(), { lane }));
      await admit(engine, ...messages);
      const request = { lane, max: 10, visibility: LONG, wait: 0 };
      const leased = (
        await Promise.all(Array.from({ length: 12 }, () => engine.queue.lease(request)))
      ).flat();
      assert.equal(new Set(names(leased)).size, leased.length);
    });

    test('leases an item again after its visibility time, marked as leased before', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      await admit(engine, mail(clock.now(), { lane }));
      const [first] = await collect(engine, lane, 1, 30_000);
      await clock.advance(29_000);
      await assertEmpty(engine, lane);
      await clock.advance(2_000);
      const [second] = await collect(engine, lane, 1);
      assert.deepEqual(names([second!]), names([first!]));
      assert.ok(second!.receives >= 2);
    });

    test('extend keeps an item leased', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      await admit(engine, mail(clock.now(), { lane }));
      const items = await collect(engine, lane, 1, 30_000);
      await clock.advance(20_000);
      await engine.queue.extend(items, 60_000);
      await clock.advance(50_000);
      await assertEmpty(engine, lane);
      await clock.advance(11_000);
      await collect(engine, lane, 1);
    });

    test('a settlement after the visibility time ends the delivery, once', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const message = mail(clock.now(), { lane });
      await admit(engine, message);
      const [late] = await collect(engine, lane, 1, 1_000);
      await clock.advance(2_000);
      const [again] = await collect(engine, lane, 1);
      await engine.queue.settle([end(late!, clock.now(), 'delivered')]);
      await engine.queue.settle([end(again!, clock.now(), 'bounced')]);
      const [record] = await engine.records.deliveries(message.record.id);
      assert.equal(record!.state, 'delivered');
      assert.equal(record!.attempts.length, 1);
    });

    test('a long poll ends as soon as something arrives', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const polled = engine.queue.lease({ lane, max: 10, visibility: LONG, wait: 20_000 });
      const message = mail(clock.now(), { lane });
      await admit(engine, message);
      assert.deepEqual(names(await polled), [`${message.record.id} 0`]);
    });

    test('a long poll ends empty after its wait', async () => {
      const { engine, clock } = under();
      const polled = engine.queue.lease({ lane: newLane(), max: 10, visibility: LONG, wait: 1_000 });
      await clock.advance(1_001);
      assert.deepEqual(await polled, []);
    });

    test('an aborted long poll ends empty and leases nothing', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const stop = new AbortController();
      const polled = engine.queue.lease({
        lane,
        max: 1,
        visibility: LONG,
        wait: 20_000,
        signal: stop.signal,
      });
      stop.abort();
      assert.deepEqual(await polled, []);
      const before = engine.queue.lease({
        lane,
        max: 1,
        visibility: LONG,
        wait: 20_000,
        signal: stop.signal,
      });
      assert.deepEqual(await before, []);
      await admit(engine, mail(clock.now(), { lane }));
      await collect(engine, lane, 1);
    });

    test('one message does not wait behind 10,000 of another tenant', {
      skip: options.strictTurns ? false : 'no strict turns',
    }, async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const [busy, quiet] = [newTenant(), newTenant()];
      for (let i = 0; i < 20; i++) {
        await admit(engine, ...Array.from({ length: 500 }, () => mail(clock.now(), { lane, tenant: busy })));
      }
      await engine.queue.lease({ lane, max: 10, visibility: LONG, wait: 0 });
      await admit(engine, mail(clock.now(), { lane, tenant: quiet }));
      const next = await engine.queue.lease({ lane, max: 10, visibility: LONG, wait: 0 });
      assert.equal(next.filter((leased) => leased.item.tenant === quiet).length, 1);
    });

    test('admitted items survive a restart, settled ones do not come back', async (t) => {
      const { engine, clock, reopen } = under();
      if (!reopen) return t.skip('this engine cannot be reopened');
      const lane = newLane();
      const messages = Array.from({ length: 4 }, () => mail(clock.now(), { lane }));
      await admit(engine, ...messages);
      const [done, later, held] = await engine.queue.lease({ lane, max: 3, visibility: LONG, wait: 0 });
      await engine.queue.settle([end(done!, clock.now()), defer(later!, clock.now(), clock.now() + LONG)]);
      const again = await reopen();
      const ready = await collect(again, lane, 2);
      assert.ok(!names(ready).includes(names([done!])[0]!));
      // It was leased when the engine ended, and may have been sent: its record must be read.
      assert.ok(ready.find((other) => names([other])[0] === names([held!])[0])!.receives >= 2);
      assert.equal(await again.records.state(later!.item.messageId, 0), 'deferred');
      assert.deepEqual(await again.records.message(messages[0]!.record.id), messages[0]!.record);
    });
  });

  describe('idempotency', () => {
    const claim = (now: number, more: Partial<IdempotencyClaim> = {}): IdempotencyClaim => ({
      key: randomUUID(),
      digest: 'digest',
      expiresAt: now + 60_000,
      response: 'first',
      ...more,
    });

    test('a repeated call gets the first answer and writes nothing', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const first = claim(clock.now());
      assert.deepEqual(await engine.queue.admit([mail(clock.now(), { lane, key: first.key })], first), {
        kind: 'admitted',
      });
      const second = mail(clock.now() + 1, { lane, key: first.key });
      const repeat = await engine.queue.admit([second], { ...first, response: 'second' });
      assert.deepEqual(repeat, { kind: 'repeated', response: 'first' });
      // An engine may find the first message by the id that the bytes of the second have.
      const found = await engine.records.message(second.record.id);
      assert.notEqual(found?.id, second.record.id);
      assert.deepEqual(await engine.records.claim(first.key), { digest: 'digest', response: 'first' });
      await collect(engine, lane, 1);
      await assertEmpty(engine, lane);
    });

    test('a key used for another request is a conflict and writes nothing', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const first = claim(clock.now());
      await engine.queue.admit([mail(clock.now(), { lane, key: first.key })], first);
      const other = await engine.queue.admit([mail(clock.now(), { lane, key: first.key })], {
        ...first,
        digest: 'another',
      });
      assert.deepEqual(other, { kind: 'conflict' });
      await collect(engine, lane, 1);
      await assertEmpty(engine, lane);
    });

    test('one of several simultaneous identical calls is admitted', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const first = claim(clock.now());
      const results = await Promise.all(
        Array.from({ length: 8 }, () =>
          engine.queue.admit([mail(clock.now(), { lane, key: first.key })], first),
        ),
      );
      assert.equal(results.filter((result) => result.kind === 'admitted').length, 1);
      assert.equal(results.filter((result) => result.kind === 'repeated').length, 7);
      await collect(engine, lane, 1);
      await assertEmpty(engine, lane);
    });

    test('a key is free again when it expires', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const first = claim(clock.now(), { expiresAt: clock.now() + 10_000 });
      await engine.queue.admit([mail(clock.now(), { lane, key: first.key })], first);
      await clock.advance(10_001);
      assert.equal(await engine.records.claim(first.key), undefined);
      const later = { ...first, digest: 'another', expiresAt: clock.now() + 10_000 };
      assert.deepEqual(await engine.queue.admit([mail(clock.now(), { lane, key: first.key })], later), {
        kind: 'admitted',
      });
    });

    test('an unknown key has no claim', async () => {
      assert.equal(await under().engine.records.claim(randomUUID()), undefined);
    });
  });
}
