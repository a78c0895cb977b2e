/** Contract of the ledger, and of the settlements that lead to it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Settlement } from '../../lib/engine/ports.ts';
import { HOUR } from '../../lib/time.ts';
import {
  admit,
  assertEmpty,
  type ContractOptions,
  collect,
  defer,
  type EngineUnderTest,
  end,
  mail,
  names,
  newLane,
} from './harness.ts';

export function ledgerContract(under: () => EngineUnderTest, options: ContractOptions): void {
  describe('ledger', () => {
    test('holds a message until its time', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const due = clock.now() + HOUR;
      const message = mail(clock.now(), { lane, due });
      const before = (await engine.ledger.waiting()).count;
      await admit(engine, message);
      const waiting = await engine.ledger.waiting();
      assert.equal(waiting.count, before + 1);
      assert.ok(waiting.next !== undefined && waiting.next <= due);
      const [record] = await engine.records.deliveries(message.record.id);
      assert.equal(record!.state, 'deferred');
      assert.equal(record!.reason, 'scheduled');
      assert.equal(record!.until, due);
      await clock.advance(3_599_000);
      await engine.ledger.promote();
      await assertEmpty(engine, lane);
      await clock.advance(2_000);
      await engine.ledger.promote();
      const [leased] = await collect(engine, lane, 1);
      assert.equal(leased!.receives, 1);
      assert.deepEqual(leased!.bytes, Buffer.from(message.body));
    });

    test('reports the earliest due time', async () => {
      const { engine, clock } = under();
      // Deliveries of other tests are promoted already, or are due later.
      const due = clock.now() + HOUR;
      const message = mail(clock.now(), { lane: newLane(), due });
      await admit(engine, message);
      while ((await engine.ledger.promote()).moved > 0);
      const { moved, next } = await engine.ledger.promote();
      assert.equal(moved, 0);
      assert.ok(next !== undefined && next > clock.now() && next <= due);
      assert.equal((await engine.ledger.waiting()).next, next);
      await engine.ledger.cancel(message.record.id);
    });

    test('promotes only deliveries that are due', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const now = clock.now();
      const messages = [3, 1, 2, 50].map((minutes) => mail(now, { lane, due: now + minutes * 60_000 }));
      await admit(engine, ...messages);
      for (const expected of [1, 2, 0]) {
        await clock.advance(60_500);
        await engine.ledger.promote();
        const [leased] = await collect(engine, lane, 1);
        assert.equal(leased!.item.messageId, messages[expected]!.record.id);
      }
      await assertEmpty(engine, lane);
    });

    test('a deferred delivery comes back with its reason and one attempt more', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const message = mail(clock.now(), { lane });
      await admit(engine, message);
      const [first] = await collect(engine, lane, 1);
      const until = clock.now() + 300_000;
      await engine.queue.settle([defer(first!, clock.now(), until)]);
      await assertEmpty(engine, lane);
      const [waits] = await engine.records.deliveries(message.record.id);
      assert.equal(waits!.state, 'deferred');
      assert.equal(waits!.until, until);
      assert.equal(waits!.reason, 'peer_temporary');
      assert.equal(waits!.attempts.length, 1);
      await clock.advance(301_000);
      await engine.ledger.promote();
      const [second] = await collect(engine, lane, 1);
      assert.equal(second!.item.attempts, 1);
      assert.equal(second!.item.reason?.code, 'peer_temporary');
      await engine.queue.settle([end(second!, clock.now())]);
      const [done] = await engine.records.deliveries(message.record.id);
      assert.equal(done!.state, 'delivered');
      assert.equal(done!.until, undefined);
      assert.deepEqual(
        done!.attempts.map((one) => one.state),
        ['deferred', 'delivered'],
      );
    });

    test('an immediate release makes a delivery ready and counts no attempt', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      await admit(engine, mail(clock.now(), { lane }));
      const [leased] = await collect(engine, lane, 1);
      const reason = { code: 'site_limit', text: 'Full.' };
      await engine.queue.settle([{ kind: 'release', leased: leased!, until: 0, reason }]);
      const [again] = await collect(engine, lane, 1);
      assert.deepEqual(names([again!]), names([leased!]));
      assert.equal(again!.item.attempts, 0);
    });

    test('accepts times with fractions of a millisecond', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      await admit(engine, mail(clock.now(), { lane }));
      const reason = { code: 'site_limit', text: 'it is slow' };
      const [leased] = await collect(engine, lane, 1);
      const until = clock.now() + 3_600_000.25;
      await engine.queue.settle([{ kind: 'release', leased: leased!, until, reason }]);
      await clock.advance(3_601_000);
      await engine.ledger.promote();
      const [again] = await collect(engine, lane, 1);
      await engine.queue.settle([defer(again!, clock.now(), clock.now() + 1_800_000.75)]);
      await clock.advance(1_801_000);
      await engine.ledger.promote();
      assert.equal((await collect(engine, lane, 1))[0]!.item.attempts, 1);
    });

    test('a release into another lane is found there, with its attempts, and not in its own', async () => {
      const { engine, clock } = under();
      const [lane, other] = [newLane(), newLane()];
      const message = mail(clock.now(), { lane });
      await admit(engine, message);
      const [first] = await collect(engine, lane, 1);
      await engine.queue.settle([defer(first!, clock.now(), clock.now() + 1_000)]);
      await clock.advance(2_000);
      await engine.ledger.promote();
      const [leased] = await collect(engine, lane, 1);
      const reason = { code: 'no_source_ip', text: 'Sent on.' };
      // Its time is that of the release: at once.
      await engine.queue.settle([
        { kind: 'release', leased: leased!, until: clock.now(), reason, lane: other },
      ]);
      await clock.advance(1_000);
      await engine.ledger.promote();
      await assertEmpty(engine, lane);
      const [moved] = await collect(engine, other, 1);
      assert.deepEqual([moved!.item.lane, moved!.item.moved, moved!.item.attempts], [other, true, 1]);
      assert.deepEqual(moved!.bytes, Buffer.from(message.body));
      await engine.queue.settle([end(moved!, clock.now())]);
      const [record] = await engine.records.deliveries(message.record.id);
      assert.deepEqual([record!.state, record!.attempts.length], ['delivered', 2]);
    });

    test('a release until later records its reason and counts no attempt', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const message = mail(clock.now(), { lane });
      await admit(engine, message);
      const [leased] = await collect(engine, lane, 1);
      const reason = { code: 'site_limit', text: 'The destination is at its limit.' };
      const until = clock.now() + 10_000;
      await engine.queue.settle([{ kind: 'release', leased: leased!, until, reason }]);
      const [record] = await engine.records.deliveries(message.record.id);
      assert.deepEqual(
        [record!.state, record!.reason, record!.text, record!.until, record!.attempts.length],
        ['deferred', reason.code, reason.text, until, 0],
      );
      await clock.advance(11_000);
      await engine.ledger.promote();
      const [again] = await collect(engine, lane, 1);
      assert.equal(again!.item.attempts, 0);
    });

    test('a released delivery shows when its limit ends, and comes back earlier', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const message = mail(clock.now(), { lane });
      await admit(engine, message);
      const shown = async (): Promise<unknown> =>
        (await engine.records.deliveries(message.record.id))[0]!.until;
      const lasts = clock.now() + HOUR;
      const reason = { code: 'sender_limit', text: 'The quota is spent.', until: lasts };
      const [leased] = await collect(engine, lane, 1);
      await engine.queue.settle([{ kind: 'release', leased: leased!, until: clock.now() + 10_000, reason }]);
      assert.equal(await shown(), lasts);
      await clock.advance(11_000);
      await engine.ledger.promote();
      const [again] = await collect(engine, lane, 1);
      const until = clock.now() + 20_000;
      const { code, text } = reason;
      await engine.queue.settle([{ kind: 'release', leased: again!, until, reason: { code, text } }]);
      assert.equal(await shown(), until, 'the earlier limit is gone');
    });

    test('cancels waiting deliveries and leaves leased ones', async () => {
      const { engine, clock } = under();
      const [lane, busy] = [newLane(), newLane()];
      const message = mail(clock.now(), {
        lane,
        recipients: ['a@example.net', 'b@example.net', 'c@example.net'],
      });
      message.deliveries[0]!.lane = busy;
      message.deliveries[2]!.due = clock.now() + 60_000;
      await admit(engine, message);
      const [leased] = await collect(engine, busy, 1);
      const cancelled = options.cancelsOnlyWaiting ? [2] : [1, 2];
      if (options.cancelsOnlyWaiting) {
        await engine.queue.settle((await collect(engine, lane, 1)).map((other) => end(other, clock.now())));
      }
      assert.deepEqual(await engine.ledger.cancel(message.record.id), cancelled);
      assert.deepEqual(await engine.ledger.cancel(message.record.id), []);
      await assertEmpty(engine, lane);
      await clock.advance(61_000);
      await engine.ledger.promote();
      await assertEmpty(engine, lane);
      await engine.queue.settle([end(leased!, clock.now())]);
      const states = (await engine.records.deliveries(message.record.id)).map((record) => record.state);
      assert.deepEqual(states, ['delivered', cancelled.includes(1) ? 'cancelled' : 'delivered', 'cancelled']);
    });

    test('counts deferred deliveries by group and makes a group due', async () => {
      const { engine, clock } = under();
      const [lane, other] = [newLane(), newLane()];
      const pool = lane.split(':')[0]!;
      const later = clock.now() + HOUR;
      const messages = ['a@one.example', 'b@two.example', 'c@one.example'].map((recipient) =>
        mail(clock.now(), { lane, tenant: `t-${pool}`, recipients: [recipient] }),
      );
      messages[2]!.deliveries[0]!.campaign = 'spring';
      const elsewhere = mail(clock.now(), { lane: other, tenant: `t-${pool}` });
      const scheduled = mail(clock.now(), { lane, tenant: `t-${pool}`, due: later });
      await admit(engine, ...messages, elsewhere, scheduled);
      for (const leased of [...(await collect(engine, lane, 3)), ...(await collect(engine, other, 1))]) {
        await engine.queue.settle([defer(leased, clock.now(), later)]);
      }
      const deferred = async (match: object): Promise<number> => (await engine.ledger.count(match)).deferred;
      assert.equal(await deferred({ tenant: `t-${pool}` }), 4, 'without the one that its sender scheduled');
      assert.equal(await deferred({ pool }), 3);
      assert.equal(await deferred({ pool, group: 'other' }), 3);
      assert.equal(await deferred({ pool, group: 'google' }), 0);
      assert.equal(await deferred({ pool, domain: 'one.example' }), 2);
      assert.equal(await deferred({ pool, campaign: 'spring' }), 1);
      assert.equal(await deferred({ tenant: 'nobody', pool }), 0);

      assert.equal(await engine.ledger.hasten({ pool, domain: 'one.example' }), 2);
      await engine.ledger.promote();
      const again = await collect(engine, lane, 2);
      const tried = again.map(({ item }) => `${item.recipient} ${item.attempts}`);
      assert.deepEqual(tried.sort(), ['a@one.example 1', 'c@one.example 1']);
      await assertEmpty(engine, lane);
      const { queued = 2, complete } = await engine.ledger.count({ pool });
      assert.deepEqual([queued, complete, await deferred({ pool })], [2, true, 1]);
      await engine.queue.settle(again.map((one) => end(one, clock.now())));
      assert.equal(
        await engine.ledger.hasten({ tenant: `t-${pool}` }),
        2,
        'the scheduled one keeps its time',
      );
      await engine.ledger.promote();
      await collect(engine, lane, 1);
      await collect(engine, other, 1);
      await assertEmpty(engine, lane);
    });

    test('recalls what waits for a site, up to a number, and nothing of another site', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const site = `mx.${lane.split(':')[0]}.example`;
      const messages = Array.from({ length: 6 }, () => mail(clock.now(), { lane }));
      await admit(engine, ...messages);
      const [first, second, third, tried, elsewhere, alone] = await collect(engine, lane, 6);
      const reason = { code: 'connect_failed', text: 'It is down.' };
      const until = clock.now() + 2 * HOUR;
      const back = { kind: 'release', until, reason } as const;
      await engine.queue.settle([
        ...[first, second, third].map((leased) => ({ ...back, leased: leased!, site })),
        { ...(defer(tried!, clock.now(), until) as Extract<Settlement, { kind: 'defer' }>), site },
        { ...back, leased: elsewhere!, site: `other.${site}` },
        { ...back, leased: alone! },
      ]);
      await clock.advance(HOUR);
      assert.deepEqual(await engine.ledger.recall(`no.${site}`, 10), { recalled: 0, more: false });
      assert.deepEqual(await engine.ledger.recall(site, 3), { recalled: 3, more: true });
      const recalledAt = clock.now();
      await engine.ledger.promote();
      const some = await collect(engine, lane, 3);
      assert.deepEqual(await engine.ledger.recall(site, 10), { recalled: 1, more: false });
      await engine.ledger.promote();
      const rest = await collect(engine, lane, 1);
      const items = [...some, ...rest].map(({ item }) => item);
      assert.deepEqual(
        items.map(({ messageId }) => messageId).sort(),
        [first, second, third, tried].map((leased) => leased!.item.messageId).sort(),
      );
      assert.deepEqual(
        items.map((item) => [item.site, item.recalled === recalledAt]),
        items.map(() => [undefined, true]),
      );
      assert.deepEqual(items.map(({ attempts }) => `${attempts}`).sort(), ['0', '0', '0', '1']);
      const sent = messages.find(({ record }) => record.id === items[0]!.messageId)!;
      assert.deepEqual(some[0]!.bytes, Buffer.from(sent.body));
      // Put back without a site, it is not recalled again; what waits for itself keeps its time.
      const [one, ...others] = [...some, ...rest];
      await engine.queue.settle([
        { ...back, leased: one! },
        ...others.map((leased) => end(leased, clock.now())),
      ]);
      assert.deepEqual(await engine.ledger.recall(site, 10), { recalled: 0, more: false });
      await clock.advance(HOUR + 1_000);
      await engine.ledger.promote();
      const late = await collect(engine, lane, 3);
      assert.deepEqual(
        late.map(({ item }) => `${item.messageId} ${item.recalled}`).sort(),
        [one, elsewhere, alone].map((leased) => `${leased!.item.messageId} undefined`).sort(),
      );
      await engine.queue.settle(late.map((leased) => end(leased, clock.now())));
      assert.deepEqual(await engine.ledger.recall(`other.${site}`, 10), { recalled: 0, more: false });
    });

    test('cancels deliveries that came back from the ledger', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const message = mail(clock.now(), { lane, due: clock.now() + 1_000 });
      await admit(engine, message);
      await clock.advance(2_000);
      await engine.ledger.promote();
      assert.deepEqual(await engine.ledger.cancel(message.record.id), [0]);
      await assertEmpty(engine, lane);
    });

    test('cancels nothing of an unknown message', async () => {
      assert.deepEqual(await under().engine.ledger.cancel('unknown'), []);
    });
  });
}
