import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { DAY } from '../../../lib/time.ts';
import { WarmupBook } from '../../../lib/warmup/book.ts';
import { checkpointName } from '../../../lib/warmup/checkpoint.ts';
import { daysName, type WarmupDay, withDays } from '../../../lib/warmup/history.ts';
import { readPlan } from '../../../lib/warmup/plan.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
afterEach(() => server.close());

describe('the warm-up of addresses', () => {
  const [A, B] = ['203.0.113.1', '203.0.113.2'];

  test('is shown from storage: the budget at each provider, and why it was held', async () => {
    server = await startPosternServer({ installed: { ips: [A, B], pools: { news: [A] } } });
    const plan = { schedule: [{ days: 3, messages: 100 }] };
    const put = await server.call('PUT', '/config/warmup/default', { key: 'admin', body: { [A]: plan } });
    assert.equal(put.status, 200);
    const warm = { ip: B, pools: [], warm: true, percentage: 100, providers: [] };
    const empty = await server.call('GET', '/warmup', { key: 'admin' });
    assert.deepEqual(empty.json.ips, [
      { ip: A, pools: ['news'], warm: false, percentage: 0, providers: [] },
      warm,
    ]);

    const node = new WarmupBook();
    node.setPlan(A, readPlan(plan, A));
    node.restore(A, undefined);
    const now = server.clock.now();
    node.room(A, 'google', now);
    node.outcome(A, 'google', 'delivered', now, 97);
    node.outcome(A, 'google', 'bounced', now, 3);
    await server.engine.leases.saveCheckpoint(checkpointName(A), node.checkpoint(A));
    const one = await server.call('GET', `/warmup?ip=${A}`, { key: 'admin' });
    const counts = { delivered: 97, bounced: 3, complained: 0, deferred: 0, blocked: 0 };
    const google = { provider: 'google', warm: false, day: 1, days: 3, budget: 100, sent: 5, counts };
    assert.deepEqual(one.json.ips[0].providers, [
      { ...google, steppedBack: false, ahead: [100, 100, 100], past: [] },
    ]);
    const all = await server.call('GET', '/warmup', { key: 'admin' });
    assert.deepEqual(all.json.ips[0].providers, [{ ...google, steppedBack: false }], 'in short');
    const day = { day: 20_000, budget: 100, sent: 99, counts, verdict: 'held', cause: '3.0 % bounced' };
    await server.engine.leases.saveCheckpoint(
      daysName(A),
      withDays(undefined, { google: [day as WarmupDay] }),
    );
    const past = await server.call('GET', `/warmup?ip=${A}`, { key: 'admin' });
    const { day: _, ...shown } = day;
    assert.deepEqual(past.json.ips[0].providers[0].past, [{ at: '2024-10-04T00:00:00.000Z', ...shown }]);
    server.clock.advance(DAY);
    const next = await server.call('GET', `/warmup?ip=${A}`, { key: 'admin' });
    assert.equal(next.json.ips[0].providers[0].cause, '3.0 % bounced');
    assert.equal(next.json.ips[0].providers[0].day, 1);
  });

  test('of an address with an unreadable state is shown as unreadable', async () => {
    server = await startPosternServer({ installed: { ips: [], pools: {} } });
    await server.control.documents.put('warmup', 'default', { [A]: {} }, { by: 'test' });
    await server.engine.leases.saveCheckpoint(checkpointName(A), { v: 1 });
    const { json } = await server.call('GET', '/warmup', { key: 'admin' });
    assert.match(json.ips[0].problem, /The checkpoint warmup:203\.0\.113\.1 is not a warm-up state/);
  });

  test('is for administrators, and for known addresses only', async () => {
    server = await startPosternServer();
    assert.equal((await server.call('GET', '/warmup', { key: 'user' })).status, 403);
    assert.equal((await server.call('GET', '/warmup?ip=192.0.2.1', { key: 'admin' })).status, 404);
  });
});
