import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { leaseOf } from '../../../lib/egress/source-leases.ts';
import { StatisticsRecorder } from '../../../lib/statistics/recorder.ts';
import { Tally } from '../../../lib/statistics/tally.ts';
import { attempt, messageRecord, outcome } from '../../support/outcomes.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
before(async () => {
  server = await startPosternServer({
    installed: { ips: ['192.0.2.1', '192.0.2.2'], pools: { news: ['192.0.2.2'] } },
    sources: () => [
      { ip: '192.0.2.1', ehloName: 'mta1.example', usable: true, trouble: '', connections: 7 },
      {
        ip: '192.0.2.2',
        ehloName: 'mta2.example',
        usable: false,
        trouble: 'Another node holds the lease of 192.0.2.2.',
        connections: 0,
      },
    ],
  });
});
after(() => server.close());

const get = async (query = '') => (await server.call('GET', `/ips${query}`, { key: 'admin' })).json;

test('each address shows its pools, who sends from it, what stops it, and its mail of today', async () => {
  const { control, engine, clock } = server;
  const tally = new Tally();
  for (const state of ['delivered', 'delivered', 'deferred'] as const) {
    const tried = attempt({ ip: '192.0.2.1', state });
    tally.add(messageRecord({}), outcome('attempt', { at: clock.now(), attempt: tried }));
  }
  await new StatisticsRecorder({ rows: engine.rows, shards: 1 }).count('batch', tally);
  await engine.leases.acquire(leaseOf('192.0.2.2'), 'node-b', 10_000);
  await control.documents.put('warmup', 'default', { '192.0.2.2': {} }, { by: 'AKIAADMIN' });
  const order = (match: object, kind = 'suspend') =>
    control.directives.order(
      { match, action: { kind }, reason: 'Blocked at Yahoo' },
      { operator: 'AKIAADMIN' },
    );
  const { id } = await order({ ip: '192.0.2.2', provider: 'yahoo' });
  await order({ ip: '192.0.2.1' }, 'bounce');
  await order({ tenant: 'shop' });
  assert.deepEqual(await get(), {
    ips: [
      {
        ip: '192.0.2.1',
        pools: [],
        ehloName: 'mta1.example',
        connections: 7,
        paused: [],
        warm: true,
        percentage: 100,
        today: { sent: 2, delivered: 2, deferred: 1 },
      },
      {
        ip: '192.0.2.2',
        pools: ['news'],
        node: 'node-b',
        ehloName: 'mta2.example',
        connections: 0,
        trouble: 'Another node holds the lease of 192.0.2.2.',
        paused: [{ directive: id, reason: 'Blocked at Yahoo', narrower: true }],
        warm: false,
        percentage: 0,
        today: {},
      },
    ],
  });
});

test('addresses are filtered and paged; a tenant sees none', async () => {
  assert.deepEqual(
    (await get('?pool=news')).ips.map(({ ip }: { ip: string }) => ip),
    ['192.0.2.2'],
  );
  const { ips, next } = await get('?max=1');
  assert.deepEqual([ips.length, next], [1, '192.0.2.1']);
  assert.equal((await get(`?max=1&after=${next}`)).ips[0].ip, '192.0.2.2');
  assert.equal((await server.call('GET', '/ips?ip=203.0.113.9', { key: 'admin' })).status, 404);
  assert.equal((await server.call('GET', '/ips', { key: 'user' })).status, 403);
});

test('a process without a store of its own makes no backup, and says what does', async () => {
  const refused = await server.call('POST', '/backups', { key: 'admin' });
  assert.deepEqual([refused.status, refused.json.error.code], [400, 'unsupported_operation']);
  assert.match(refused.json.error.message, /point-in-time recovery/);
  assert.equal((await server.call('GET', '/backups', { key: 'user' })).status, 403);
});
