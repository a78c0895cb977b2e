/** `/v1/batches`: the messages of a call and of a campaign, how far they are, and their stop. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Admission } from '../../../lib/engine/ports.ts';
import { recordsOf } from '../../../lib/outcome/apply-suppression.ts';
import { StatisticsRecorder } from '../../../lib/statistics/recorder.ts';
import { Tally } from '../../../lib/statistics/tally.ts';
import { HOUR, MINUTE } from '../../../lib/time.ts';
import { collect, defer, end, mail, newLane } from '../../contract/harness.ts';
import { outcome } from '../../support/outcomes.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

describe('batches', () => {
  let server: PosternServer;
  before(async () => {
    server = await startPosternServer();
  });
  after(() => server.close());

  const batch = (id: string, key: 'admin' | 'user' | 'other' = 'user', query = '') =>
    server.call('GET', `/batches/${id}${query}`, { key });
  const stop = (id: string, key: 'admin' | 'user' | 'other' = 'user') =>
    server.call('POST', `/batches/${id}/stop`, { key });

  /** Messages of one call in a lane of their own, and what they are changed to. */
  async function sent(
    count: number,
    change: (one: Admission) => void = () => {},
  ): Promise<{ lane: string; ids: string[] }> {
    const [lane, key] = [newLane(), newLane()];
    const messages = Array.from({ length: count }, (_, place) => {
      const one = mail(server.clock.now(), { tenant: 'default', lane, key, place });
      change(one);
      return one;
    });
    await server.engine.queue.admit(messages);
    return { lane, ids: messages.map(({ record }) => record.id) };
  }

  test('a call: how many are where, and when it will be done at this rate', async () => {
    const { lane, ids } = await sent(10);
    server.clock.advance(2 * MINUTE);
    const now = server.clock.now();
    const leased = await collect(server.engine, lane, 6);
    await server.engine.queue.settle([
      ...leased.slice(0, 3).map((one) => end(one, now)),
      end(leased[3]!, now, 'bounced'),
      defer(leased[4]!, now, now + HOUR),
    ]);
    const { json } = await batch(ids[7]!);
    const { since, doneAt, ...figures } = json;
    assert.deepEqual(figures, {
      id: ids[7],
      tenant: 'default',
      kind: 'call',
      messages: 10,
      accepted: 10,
      delivered: 3,
      bounced: 1,
      suppressed: 0,
      cancelled: 0,
      waiting: 6,
      deferred: 1,
      ratePerMinute: 2,
    });
    assert.equal(since, new Date(now - 2 * MINUTE).toISOString());
    assert.equal(doneAt, new Date(now + 3 * MINUTE).toISOString());
  });

  test('a call that is stopped sends nothing more but what is under way', async () => {
    const { lane, ids } = await sent(5);
    const [leased] = await collect(server.engine, lane, 1);
    assert.deepEqual((await stop(ids[0]!)).json, { id: ids[0], cancelled: 4, tooLate: 1 });
    await server.engine.queue.settle([end(leased!, server.clock.now())]);
    const { json } = await batch(ids[0]!);
    assert.deepEqual([json.delivered, json.cancelled, json.waiting, json.doneAt], [1, 4, 0, undefined]);
    assert.deepEqual(await server.engine.queue.lease({ lane, max: 9, visibility: 1, wait: 0 }), []);
  });

  test('a campaign: counted from its acceptance on, and stopped by a directive for the rest', async () => {
    const at = server.clock.now();
    const { lane, ids } = await sent(6, (one) => {
      one.record.campaign = 'spring';
      for (const item of one.deliveries) item.campaign = 'spring';
      const { id: messageId, tenant } = one.record;
      one.settled = [outcome('accepted', { messageId, tenant, at, n: undefined })];
    });
    const leased = await collect(server.engine, lane, 3);
    await server.engine.queue.settle([
      end(leased[0]!, at),
      end(leased[1]!, at, 'bounced'),
      defer(leased[2]!, at, at + HOUR),
    ]);
    await count();
    const { json } = await batch('campaign:spring');
    assert.deepEqual(
      [json.kind, json.accepted, json.delivered, json.bounced, json.waiting, json.deferred, json.stoppedBy],
      ['campaign', 6, 1, 1, 4, 1, undefined],
    );
    assert.ok(json.ratePerMinute > 0 && json.doneAt !== undefined);
    assert.equal((await batch('campaign:spring', 'other')).status, 404);
    const stopped = await stop('campaign:spring');
    assert.deepEqual([stopped.json.cancelled, stopped.json.tooLate], [4, 2]);
    const directive = server.control.directives.find(stopped.json.directive)!;
    assert.deepEqual(directive.match, { tenant: 'default', campaign: 'spring' });
    assert.equal(directive.action.kind, 'bounce');
    await count();
    const after = (await batch('campaign:spring')).json;
    assert.deepEqual([after.cancelled, after.waiting, after.stoppedBy], [4, 0, directive.id]);
    assert.equal((await batch(ids[0]!)).json.kind, 'call');
  });

  test('what is unknown or of another tenant is not found', async () => {
    const { ids } = await sent(2);
    for (const [id, key] of [
      [ids[0]!, 'other'],
      ['none', 'user'],
      ['campaign:autumn', 'user'],
    ] as const) {
      assert.deepEqual([id, (await batch(id, key)).status], [id, 404]);
    }
    assert.equal((await stop(ids[0]!, 'other')).status, 404);
    assert.equal((await batch('campaign:a b')).status, 400);
    assert.equal((await batch('campaign:spring', 'other', '?tenant=default')).status, 403);
    assert.equal((await batch(ids[0]!)).json.waiting, 2);
  });

  let counted = 0;
  /** Counts what the feed has, as its follower does. */
  async function count(): Promise<void> {
    const { records, rows } = server.engine;
    const page = await records.feed(counted, 1_000);
    const found = await recordsOf(records, page.outcomes);
    const tally = new Tally();
    for (const one of page.outcomes) tally.add(found.get(one.messageId)!, one);
    await new StatisticsRecorder({ rows, shards: 1 }).count(`to ${page.cursor}`, tally);
    counted = page.cursor;
  }
});
