/** Contract of records, the outcome feed, and bodies. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { ERASED } from '../../lib/engine/erased.ts';
import type { Outcome } from '../../lib/engine/items.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { DAY } from '../../lib/time.ts';
import {
  admit,
  attempt,
  type ContractOptions,
  collect,
  type EngineUnderTest,
  end,
  mail,
  newLane,
  newTenant,
} from './harness.ts';

/** Reads the feed to its end. */
async function readFeed(engine: Engine, after: number): Promise<{ cursor: number; outcomes: Outcome[] }> {
  const outcomes: Outcome[] = [];
  let cursor = after;
  for (;;) {
    const page = await engine.records.feed(cursor, 3);
    assert.ok(page.outcomes.length <= 3);
    if (page.outcomes.length === 0) return { cursor, outcomes };
    assert.notEqual(page.cursor, cursor);
    outcomes.push(...page.outcomes);
    cursor = page.cursor;
  }
}

export function recordsContract(under: () => EngineUnderTest, options: ContractOptions): void {
  describe('records', () => {
    test('shows the messages of a call, asked for by any of them', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const [one, other] = [newLane(), newLane()];
      const call = (key: string, count: number) =>
        Array.from({ length: count }, (_, place) => mail(clock.now(), { lane, key, place }));
      const [first, second] = [call(one, 3), call(other, 2)];
      await admit(engine, ...first);
      await admit(engine, ...second);
      const ids = first.map(({ record }) => record.id);
      for (const id of ids) {
        const found = await engine.records.call(id);
        assert.deepEqual(found.map((record) => record.id).toSorted(), ids.toSorted());
      }
      assert.equal((await engine.records.call(second[1]!.record.id)).length, 2);
      assert.deepEqual(await engine.records.call(mail(clock.now()).record.id), []);
      for (const { item } of await collect(engine, lane, 5)) assert.ok(item);
    });

    test('take an address out of what has ended, and out of nothing else', async (t) => {
      const { engine, clock } = under();
      const tenant = newTenant();
      const [lane, waiting] = [newLane(), newLane()];
      const recipients = ['Ann@example.net', 'joann@example.net'];
      const ended = mail(clock.now(), { lane, tenant, recipients });
      ended.record.commonHeaders.to = ['Ann Lee <ann@example.net>', 'joann@example.net'];
      ended.record.headers = {
        fields: [
          ['To', 'Ann Lee <ann@example.net>'],
          ['X', 'y'],
        ],
        truncated: false,
      };
      const underWay = mail(clock.now(), { lane: waiting, tenant, recipients: ['ann@example.net'] });
      const [others, stranger] = [newLane(), newTenant()];
      const other = mail(clock.now(), { lane: others, tenant: stranger, recipients: ['ann@example.net'] });
      await admit(engine, ended, underWay, other);
      const leased = [...(await collect(engine, lane, 2)), ...(await collect(engine, others, 1))];
      const text = '550 5.1.1 <ANN@example.net>: no such user; ask joann@example.net';
      await engine.queue.settle(
        leased.map((one) => ({
          ...end(one, clock.now(), 'bounced'),
          attempt: attempt(clock.now(), 'bounced', { text }),
        })),
      );
      const erase = async () => {
        const sum = { messages: 0, outcomes: 0, underWay: 0 };
        for (let after: number | undefined = 0; after !== undefined; ) {
          const step = await engine.records.anonymise('ann@EXAMPLE.net', tenant, after);
          if (!step) return undefined;
          sum.messages += step.messages;
          sum.outcomes += step.outcomes;
          sum.underWay += step.underWay;
          after = step.next;
        }
        return sum;
      };
      const erased = await erase();
      if (!erased) return t.skip('this engine cannot search its records');
      assert.deepEqual(erased, { messages: 1, outcomes: 2, underWay: 1 });
      const record = (await engine.records.message(ended.record.id))!;
      assert.deepEqual(record.recipients, [ERASED, 'joann@example.net']);
      assert.deepEqual(record.commonHeaders.to, [ERASED, 'joann@example.net']);
      assert.deepEqual(record.headers!.fields, [
        ['To', ERASED],
        ['X', 'y'],
      ]);
      for (const { attempts, state } of await engine.records.deliveries(ended.record.id))
        assert.deepEqual(
          [state, attempts[0]!.text],
          ['bounced', `550 5.1.1 <${ERASED}>: no such user; ask joann@example.net`],
        );
      assert.deepEqual((await engine.records.message(underWay.record.id))!.recipients, ['ann@example.net']);
      assert.deepEqual((await engine.records.message(other.record.id))!.recipients, ['ann@example.net']);
      assert.deepEqual(await erase(), { messages: 0, outcomes: 0, underWay: 1 });
      const [last] = await collect(engine, waiting, 1);
      await engine.queue.settle([end(last!, clock.now())]);
      assert.deepEqual(await erase(), { messages: 1, outcomes: 0, underWay: 0 });
      assert.deepEqual(await erase(), { messages: 0, outcomes: 0, underWay: 0 });
    });

    test('shows each delivery in its state', async () => {
      const { engine, clock } = under();
      const lanes = [newLane(), newLane(), newLane()];
      const recipients = ['a@example.net', 'b@example.net', 'c@example.net', 'd@example.net'];
      const message = mail(clock.now(), { recipients });
      message.deliveries.splice(3);
      message.deliveries.forEach((item, n) => {
        item.lane = lanes[n]!;
      });
      message.settled = [
        {
          v: 1,
          messageId: message.record.id,
          n: 3,
          at: clock.now(),
          kind: 'attempt',
          tenant: 'tenant',
          attempt: attempt(clock.now(), 'suppressed', { reason: 'suppressed' }),
        },
      ];
      await admit(engine, message);
      const [first] = await collect(engine, lanes[0]!, 1);
      await engine.queue.settle([end(first!, clock.now(), 'bounced')]);
      await collect(engine, lanes[1]!, 1);
      const records = await engine.records.deliveries(message.record.id);
      assert.deepEqual(
        records.map((record) => record.recipient),
        recipients,
      );
      assert.deepEqual(
        [records[0]!.state, records[2]!.state, records[3]!.state],
        ['bounced', 'queued', 'suppressed'],
      );
      // An engine need not write a record for each lease.
      assert.ok(['attempting', 'queued'].includes(records[1]!.state));
      assert.equal(records[0]!.reason, 'peer_permanent');
      for (const record of records) assert.ok(record.text.length > 0, 'every state has a reason to read');
      assert.equal(await engine.records.state(message.record.id, 0), 'bounced');
      assert.equal(await engine.records.state(message.record.id, 3), 'suppressed');
    });

    test('has no record of a message that was never admitted', async () => {
      const { engine } = under();
      assert.equal(await engine.records.message('unknown'), undefined);
      assert.deepEqual(await engine.records.deliveries('unknown'), []);
      assert.equal(await engine.records.state('unknown', 0), undefined);
    });

    test('refuses a state that does not end a delivery', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      await admit(engine, mail(clock.now(), { lane }));
      const [leased] = await collect(engine, lane, 1);
      await assert.rejects(engine.queue.settle([end(leased!, clock.now(), 'queued')]), { code: 'internal' });
      await engine.queue.settle([end(leased!, clock.now())]);
    });

    test('a later bounce report changes delivered to bounced; a complaint changes no state', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const message = mail(clock.now(), { lane });
      const { id } = message.record;
      await admit(engine, message);
      const [leased] = await collect(engine, lane, 1);
      await engine.queue.settle([end(leased!, clock.now())]);
      const report = { v: 1, messageId: id, n: 0, at: clock.now(), tenant: 'tenant', detail: {} };
      await engine.records.append([{ ...report, kind: 'complaint' }]);
      assert.equal(await engine.records.state(id, 0), 'delivered');
      await engine.records.append([{ ...report, kind: 'bounce' }]);
      assert.equal(await engine.records.state(id, 0), 'bounced');
      await engine.records.append([{ ...report, kind: 'bounce' }]);
      assert.equal((await engine.records.deliveries(id))[0]!.state, 'bounced');
    });

    test('the feed returns every outcome once and goes on from a cursor', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const { cursor } = await readFeed(engine, 0);
      const messages = Array.from({ length: 5 }, () => mail(clock.now(), { lane }));
      await admit(engine, ...messages);
      const items = await collect(engine, lane, 5);
      await engine.queue.settle(items.slice(0, 3).map((leased) => end(leased, clock.now())));
      const first = await readFeed(engine, cursor);
      await engine.queue.settle(items.slice(3).map((leased) => end(leased, clock.now())));
      const second = await readFeed(engine, first.cursor);
      const fed = [...first.outcomes, ...second.outcomes];
      assert.deepEqual(
        fed.map((outcome) => outcome.messageId).sort(),
        messages.map((one) => one.record.id).sort(),
      );
      assert.equal(fed[0]!.kind, 'attempt');
      assert.equal(fed[0]!.attempt!.state, 'delivered');
      assert.deepEqual(await engine.records.feed(second.cursor, 10), {
        cursor: second.cursor,
        outcomes: [],
        places: [],
      });
    });

    test('the feed returns the position of each outcome, the last of which is the cursor', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const { cursor } = await readFeed(engine, 0);
      await admit(engine, ...Array.from({ length: 3 }, () => mail(clock.now(), { lane })));
      const items = await collect(engine, lane, 3);
      await engine.queue.settle(items.map((leased) => end(leased, clock.now())));
      const page = await engine.records.feed(cursor, 10);
      assert.equal(page.outcomes.length, 3);
      assert.equal(page.places.length, 3);
      assert.ok(page.places.every((place, i) => place > (page.places[i - 1] ?? cursor)));
      assert.equal(page.places.at(-1), page.cursor);
      assert.equal(await engine.records.feedEnd(), page.cursor);
      await readFeed(engine, page.cursor);
    });

    test('prunes only old messages whose deliveries have all ended', {
      skip: options.recordsExpire ? 'records expire by themselves' : false,
    }, async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const done = mail(clock.now(), { lane });
      const open = mail(clock.now(), { lane: newLane() });
      await admit(engine, done, open);
      await engine.queue.settle((await collect(engine, lane, 1)).map((leased) => end(leased, clock.now())));
      await clock.advance(30 * DAY);
      const fresh = mail(clock.now(), { lane });
      await admit(engine, fresh);
      await engine.queue.settle((await collect(engine, lane, 1)).map((leased) => end(leased, clock.now())));
      while ((await engine.records.prune(clock.now() - DAY, 100)) > 0);
      assert.equal(await engine.records.message(done.record.id), undefined);
      assert.deepEqual(await engine.records.deliveries(done.record.id), []);
      assert.deepEqual(await engine.records.message(open.record.id), open.record);
      assert.deepEqual(await engine.records.message(fresh.record.id), fresh.record);
    });
  });

  describe('reports', () => {
    const report = (messageId: string, kind: Outcome['kind'], at: number): Outcome => ({
      v: 1,
      messageId,
      ...(kind !== 'open' && { n: 0 }),
      at,
      kind,
      tenant: 'tenant',
      detail: { ipAddress: '192.0.2.1', userAgent: 'x' },
    });

    test('are shown with their message, oldest first; only a bounce changes a state', async () => {
      const { engine, clock } = under();
      const lane = newLane();
      const message = mail(clock.now(), { lane });
      const other = mail(clock.now(), { lane });
      await admit(engine, message, other);
      for (const leased of await collect(engine, lane, 2)) {
        await engine.queue.settle([end(leased, clock.now(), 'delivered')]);
      }
      const { id } = message.record;
      const now = clock.now();
      const reports = (['open', 'click', 'complaint', 'open'] as const).map((kind, i) =>
        report(id, kind, now + i),
      );
      await engine.records.append(reports.slice(0, 3));
      await engine.records.append(reports.slice(3));
      assert.deepEqual(await engine.records.reports(id), reports);
      assert.deepEqual(await engine.records.reports(other.record.id), []);
      assert.equal(await engine.records.state(id, 0), 'delivered');
      assert.equal((await engine.records.deliveries(id))[0]!.attempts.length, 1);
      const bounce = { ...report(id, 'bounce', now + 9), detail: { text: 'gone' } };
      await engine.records.append([bounce]);
      assert.deepEqual((await engine.records.reports(id)).at(-1), bounce);
      assert.equal(await engine.records.state(id, 0), 'bounced');
    });

    test('of opens are shown up to 1,000, and not for a pruned message', async () => {
      const { engine, clock } = under();
      const message = mail(clock.now(), {});
      await admit(engine, message);
      const { id } = message.record;
      const now = clock.now();
      for (let i = 0; i < 11; i++) {
        await engine.records.append(
          Array.from({ length: 100 }, (_, n) => report(id, 'open', now + 100 * i + n)),
        );
      }
      const shown = await engine.records.reports(id);
      assert.deepEqual([shown.length, shown.at(-1)?.at], [1000, now + 999]);
      await engine.records.append([report('gone', 'open', now)]);
      assert.deepEqual(await engine.records.reports('gone'), []);
      const complaint = report(id, 'complaint', now + 2000);
      await engine.records.append([complaint]);
      assert.deepEqual((await engine.records.reports(id)).at(-1), complaint, 'no number of opens hides it');
    });
  });

  describe('bodies', () => {
    test('keeps bytes by id, replaces and deletes them', async () => {
      const { bodies } = under().engine;
      const id = randomUUID();
      const expiresAt = under().clock.now() + 60_000;
      assert.equal(await bodies.get(id), undefined);
      await bodies.put(id, Buffer.from([0, 1, 255]), expiresAt);
      assert.deepEqual(await bodies.get(id), Buffer.from([0, 1, 255]));
      await bodies.put(id, new Uint8Array(0), expiresAt);
      assert.deepEqual(await bodies.get(id), Buffer.alloc(0));
      await bodies.delete(id);
      assert.equal(await bodies.get(id), undefined);
      await bodies.delete(id);
    });

    test('prunes expired bodies', async () => {
      const { engine, clock } = under();
      const [expired, kept] = [randomUUID(), randomUUID()];
      await engine.bodies.put(expired, Buffer.from('x'), clock.now() + 1_000);
      await engine.bodies.put(kept, Buffer.from('y'), clock.now() + 60_000);
      await clock.advance(1_500);
      while ((await engine.bodies.prune(clock.now(), 100)) > 0);
      assert.equal(await engine.bodies.get(expired), undefined);
      assert.deepEqual(await engine.bodies.get(kept), Buffer.from('y'));
    });
  });
}
