import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { HeldPath, MailInHand } from '../../../lib/shaping/held-mail.ts';
import { mail } from '../../contract/harness.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
let held: MailInHand = { mail: [], paths: [] };
let asked = 0;

before(async () => {
  server = await startPosternServer({
    held: () => held,
    laneRest: (lane) =>
      lane === 'news:bulk:yahoo'
        ? { code: 'suspended', text: 'Suspended: spring campaign.', until: server.clock.now() + 30_000 }
        : undefined,
  });
  const put = (lane: string, tenant: string, count: number, due = 0) =>
    server.engine.queue.admit(
      Array.from({ length: count }, () => mail(server.clock.now(), { lane, tenant, due })),
    );
  await put('default:transactional:google', 'default', 3);
  await put('news:bulk:google', 'other', 5);
  await put('news:bulk:google', 'other', 2, server.clock.now() + 60_000);
  server.clock.advance(5_000);
  await put('news:bulk:yahoo', 'default', 7);
});
after(() => server.close());

const get = async (query: string, key: 'admin' | 'user' | 'other' = 'admin') =>
  (await server.call('GET', `/queues${query}`, { key })).json;

function path(more: Partial<HeldPath>): HeldPath {
  return {
    provider: 'google',
    site: 'mx.google.test',
    ip: '192.0.2.1',
    pool: 'news',
    connections: 4,
    rate: 9.5,
    limit: 10,
    why() {
      asked += 1;
      const text = 'The limit is 10/s (messageRate, limits.default).';
      const binding = { limit: 'messageRate', word: 'messageRate', value: '10/s', origin: 'limits.default' };
      return {
        binding: { ...binding, wait: 80, code: 'site_limit', text } as never,
        nextAt: server.clock.now() + 80,
      };
    },
    ...more,
  };
}

function heldMail(one: Partial<MailInHand['mail'][number]>): MailInHand['mail'][number] {
  const { now } = server.clock;
  return {
    tenant: 'other',
    pool: 'news',
    class: 'bulk',
    group: 'google',
    waiting: 1,
    underWay: 0,
    oldest: now.call(server.clock),
    ...one,
  };
}

describe('what waits', () => {
  test('shows lanes, the ledger and what is in hand in rows, with the limit that binds', async () => {
    const google = path({});
    held = {
      mail: [
        heldMail({ path: google, waiting: 40, underWay: 4, oldest: server.clock.now() - 60_000 }),
        heldMail({ waiting: 0, underWay: 2 }),
      ],
      paths: [google, path({ provider: 'office365', site: 'mx.office.test', ip: '192.0.2.2', rate: 1 })],
    };
    const { rows, total, ledger, notes, next } = await get('?by=provider,pool,ip');
    const row = (provider: string, pool: string, ip?: string) =>
      rows.find(
        (one: Record<string, string>) => one.provider === provider && one.pool === pool && one.ip === ip,
      );
    assert.deepEqual(row('google', 'news', '192.0.2.1'), {
      provider: 'google',
      pool: 'news',
      ip: '192.0.2.1',
      ready: 0,
      inHand: 44,
      later: 0,
      oldest: new Date(server.clock.now() - 60_000).toISOString(),
      connections: 4,
      ratePerSecond: 9.5,
      limitPerSecond: 10,
      binding: {
        limit: 'messageRate',
        value: '10/s',
        origin: 'limits.default',
        text: 'The limit is 10/s (messageRate, limits.default).',
        deliveries: 40,
      },
      nextAt: new Date(server.clock.now() + 80).toISOString(),
    });
    const lane = row('google', 'news');
    assert.deepEqual([lane.ready, lane.inHand, lane.later], [5, 2, 2]);
    const rest = row('yahoo', 'news');
    assert.deepEqual([rest.binding.limit, rest.binding.deliveries], ['lane', 7]);
    assert.match(rest.binding.text, /spring campaign/);
    const idle = row('microsoft', 'news', '192.0.2.2');
    assert.deepEqual([idle.inHand, idle.ratePerSecond], [0, 1]);
    assert.deepEqual(total, { ready: 15, inHand: 46, later: 2 });
    assert.equal(ledger.count, 2);
    assert.deepEqual([notes, next], [[], undefined]);
  });

  test('sorts, filters and pages, and looks at the limits of shown rows alone', async () => {
    const paths = Array.from({ length: 20 }, (_, i) => path({ ip: `192.0.2.${i}`, rate: i, limit: 100 }));
    held = { mail: paths.map((one, i) => heldMail({ path: one, waiting: i + 1 })), paths };
    asked = 0;
    const first = await get('?by=ip&sort=rate&max=3');
    assert.deepEqual(
      first.rows.map(({ ip }: { ip: string }) => ip),
      ['192.0.2.19', '192.0.2.18', '192.0.2.17'],
    );
    assert.equal(asked, 3);
    const second = await get(`?by=ip&sort=rate&max=3&after=${first.next}`);
    assert.equal(second.rows[0].ip, '192.0.2.16');
    const oldest = await get('?by=tenant&sort=oldest&class=transactional');
    assert.deepEqual(
      oldest.rows.map(({ tenant }: { tenant: string }) => tenant),
      ['default'],
    );
    assert.equal((await get('?provider=gmail&pool=default')).total.ready, 3);
    assert.equal((await get('?by=pool&ip=192.0.2.7')).total.inHand, 8);
  });

  test('shows a tenant its own mail, without what it would tell of others', async () => {
    const google = path({});
    held = {
      mail: [heldMail({ path: google, waiting: 9 }), heldMail({ tenant: 'default' })],
      paths: [google],
    };
    const mine = await get('?by=provider', 'other');
    assert.deepEqual(mine.total, { ready: 5, inHand: 9, later: 2 });
    const [row] = mine.rows;
    assert.deepEqual([row.connections, row.ratePerSecond, mine.ledger], [undefined, undefined, undefined]);
    assert.equal(row.binding.limit, 'messageRate');
    const refused = await server.call('GET', '/queues?tenant=default', { key: 'other' });
    assert.equal(refused.status, 403);
  });

  test('refuses what it does not know by name', async () => {
    for (const query of [
      'by=colour',
      'by=ip,ip',
      'sort=name',
      'max=0',
      'max=5000',
      'after=x',
      'provider=gogle',
    ]) {
      const { status, json } = await server.call('GET', `/queues?${query}`, { key: 'admin' });
      assert.equal(status, 400, query);
      assert.ok(json.error.message.startsWith(query.split('=')[0]!), json.error.message);
    }
  });
});

test('a process that sends no mail says what it cannot see', async () => {
  const api = await startPosternServer();
  try {
    await api.engine.queue.admit([mail(api.clock.now())]);
    await api.engine.queue.lease({ lane: 'default:bulk:other', max: 1, visibility: 1_000, wait: 0 });
    const { json } = await api.call('GET', '/queues', { key: 'admin' });
    assert.deepEqual(json.total, { ready: 0, inHand: 1, later: 0 });
    assert.match(json.notes[0], /is with the node that has it/);
  } finally {
    await api.close();
  }
});

describe('what a match touches', () => {
  const count = (body: object, key: 'admin' | 'other' = 'admin') =>
    server.call('POST', '/deliveries/count', { key, body });

  test('is counted without a change, as a directive would count it', async () => {
    const google = path({});
    held = { mail: [heldMail({ path: google, waiting: 9, underWay: 2 })], paths: [google] };
    const before = server.control.directives.list();
    const { json } = await count({ match: { tenant: 'other' } });
    assert.deepEqual(json, { deferred: 0, queued: 5, complete: true });
    assert.deepEqual((await count({ match: { pool: 'news', provider: 'yahoo' } })).json.queued, 7);
    assert.equal((await count({ match: {}, all: true })).json.queued, 15);
    const byIp = (await count({ match: { ip: '192.0.2.1' } })).json;
    assert.equal(byIp.inHand, 11);
    assert.match(byIp.note, /not known by ip/);
    assert.deepEqual(server.control.directives.list(), before);
  });

  test('must be named, and be its own for a tenant', async () => {
    assert.equal((await count({ match: {} })).status, 400);
    assert.equal((await count({ match: { pool: 'news' } }, 'other')).status, 403);
    assert.equal((await count({ match: { tenant: 'other' } }, 'other')).json.queued, 5);
  });
});
