/** Operator actions at run time, over real requests and the real store. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CONFIG_KINDS, type ConfigKind } from '../../lib/control/config-kinds.ts';
import { openDirectives } from '../../lib/control/directives.ts';
import { readNumber, readObject } from '../../lib/document.ts';
import type { Policy } from '../../lib/policy/open.ts';
import { HOUR } from '../../lib/time.ts';
import { admit, assertEmpty, collect, defer, mail, newLane } from '../contract/harness.ts';
import { KEYS, type PosternServer, startPosternServer } from '../support/postern-server.ts';

const RATE: ConfigKind = {
  name: 'rate',
  read: (value) =>
    readNumber(readObject(value, 'rate', ['perSecond']).perSecond, 'rate.perSecond', { min: 1, max: 9 }),
};
const policy: Pick<Policy, 'state'> = {
  state: () => ({
    file: '/etc/postern.policy.ts',
    loadedAt: Date.UTC(2026, 0, 1),
    loads: 1,
    refused: { at: Date.UTC(2026, 0, 2), message: 'Expression expected (line 2)' },
    restarts: 0,
    skipped: 0,
    hooks: [
      {
        name: 'onRoute',
        calls: 2,
        reused: 1,
        failures: 1,
        overruns: 0,
        meanMicroseconds: 1.5,
        lastFailure: { at: Date.UTC(2026, 0, 1), message: 'Broken' },
      },
    ],
  }),
};

let server: PosternServer;
before(async () => {
  server = await startPosternServer({ kinds: [RATE, ...CONFIG_KINDS], policy });
});
after(() => server.close());

/** A match without members. */
const ALL = {};

type Key = keyof typeof KEYS;
const order = (match: object, more: object = {}) => ({
  match,
  action: { kind: 'suspend' },
  reason: 'A test',
  ...more,
});
const create = (key: Key, body: unknown) => server.call('POST', '/directives', { key, body });
const remove = (key: Key, id: string) =>
  server.call('DELETE', `/directives/${encodeURIComponent(id)}`, { key });
const list = async (key: Key, query = ''): Promise<{ id: string }[]> =>
  (await server.call('GET', `/directives${query}`, { key })).json.directives;

async function removeAll(): Promise<void> {
  for (const { id } of await list('admin')) assert.equal((await remove('admin', id)).status, 204);
}

describe('directives', () => {
  test('are given, listed, applied, stored and ended', async () => {
    const until = new Date(server.clock.now() + 60_000).toISOString();
    const { status, json } = await create(
      'admin',
      order({ tenant: 'default', provider: 'Google' }, { until }),
    );
    assert.equal(status, 201);
    assert.deepEqual(json, {
      id: json.id,
      match: { tenant: 'default', provider: 'google' },
      action: { kind: 'suspend' },
      reason: 'A test',
      at: new Date(server.clock.now()).toISOString(),
      until,
      origin: { operator: KEYS.admin.id },
      waiting: { deferred: 0, queued: 0, complete: true },
    });
    const { waiting: _, ...listed } = json;
    assert.deepEqual(await list('admin'), [listed]);
    const facts = { tenant: 'default', provider: 'google' };
    assert.equal(server.control.directives.match(facts, server.clock.now()).by?.id, json.id);
    const { config } = server.engine;
    const restarted = await openDirectives({ config, clock: server.clock });
    assert.equal(restarted.match(facts, server.clock.now()).action, 'suspend');
    assert.equal((await remove('admin', json.id)).status, 204);
    assert.equal((await remove('admin', json.id)).status, 404);
    assert.deepEqual(await list('admin'), []);
    await new Promise((resolve) => setImmediate(resolve));
    await config.get('directive', json.id);
    assert.equal(restarted.match(facts, server.clock.now()).action, 'none', 'on the other node too');
    await restarted.close();
  });

  test('are filtered by what they name, do, and come from', async () => {
    const now = server.clock.now();
    await create('admin', order({ tenant: 'a', ip: '192.0.2.1' }));
    await create(
      'admin',
      order({ tenant: 'b' }, { action: { kind: 'limit', limits: { messagesPerSecond: 0.5 } } }),
    );
    server.control.directives.raise([
      {
        id: 'google.rate/suspend/192.0.2.1 mx.example',
        match: { ip: '192.0.2.1', site: 'mx.example' },
        action: { kind: 'suspend' },
        reason: 'Too fast',
        until: now + 60_000,
        origin: { rule: 'google.rate', reply: '421 4.7.28 Slow down' },
      },
    ]);
    const count = async (query: string) => (await list('admin', query)).length;
    assert.deepEqual(
      [
        await count(''),
        await count('?ip=192.0.2.1'),
        await count('?ip=192.0.2.1&tenant=a'),
        await count('?tenant=c'),
      ],
      [3, 2, 1, 0],
    );
    assert.deepEqual([await count('?action=limit'), await count('?rule=google.rate')], [1, 1]);
    const [raised] = (await server.call('GET', '/directives?rule=google.rate', { key: 'admin' })).json
      .directives;
    assert.deepEqual(raised.origin, { rule: 'google.rate', reply: '421 4.7.28 Slow down' });
    assert.equal((await remove('admin', raised.id)).status, 204, 'an id with slashes and blanks');
    await removeAll();
  });

  test('that are invalid are refused with path and reason', async () => {
    const past = new Date(server.clock.now()).toISOString();
    for (const [body, message] of [
      [order({ tennant: 'a' }), /^\/match\/tennant is not a member/],
      [order(ALL, { until: past, all: true }), /^until: is over already/],
      [order(ALL, { until: 'tomorrow' }), /^\/until must be a time/],
      [order(ALL, { action: { kind: 'pause' } }), /^\/action\/kind must be one of/],
      [order(ALL, { action: { kind: 'bounce' }, all: true }), /^match: is empty/],
      [order(ALL), /^\/match is empty, which is all mail of every tenant: .* "all": true\.$/],
      [order(ALL, { all: false }), /^\/match is empty/],
      [order({ tenant: 'a' }, { all: true }), /^\/all is true and \/match names some mail/],
      [order({ pool: 'a' }, { action: { kind: 'reroute', pool: 'a' } }), /^action\.pool: is a, the pool/],
      [
        order(ALL, { action: { kind: 'reroute', pool: 'nowhere' }, all: true }),
        /^action\.pool: there is no pool "nowhere"; there are default/,
      ],
      [
        order(ALL, { action: { kind: 'limit', limits: { connections: 0 } }, all: true }),
        /^action\.limits\.connections: 0 is out/,
      ],
      [{ match: {}, action: { kind: 'suspend' } }, /^\/reason is missing/],
    ] as const) {
      const { status, json } = await create('admin', body);
      assert.deepEqual([status, json.error.code], [400, 'bad_request']);
      assert.match(json.error.message, message);
    }
    assert.deepEqual(await list('admin'), []);
  });

  test('of a tenant are for its own mail', async () => {
    for (const body of [
      order(ALL),
      order({ tenant: 'other' }),
      order({ tenant: 'default' }, { action: { kind: 'reroute', pool: 'b' } }),
    ]) {
      const { status, json } = await create('user', body);
      assert.deepEqual([status, json.error.code], [403, 'access_denied']);
    }
    const { json: own } = await create('user', order({ tenant: 'default', campaign: 'spring' }));
    assert.deepEqual(own.origin, { operator: KEYS.user.id, tenant: 'default' });
    assert.deepEqual([(await list('user')).length, (await list('other')).length], [1, 0]);
    assert.equal((await remove('other', own.id)).status, 404);
    assert.equal((await remove('user', own.id)).status, 204);
  });

  test('answer how much waiting mail they match, and act on deferred mail at once', async () => {
    const { engine, clock } = server;
    const lane = newLane();
    const pool = lane.split(':')[0]!;
    const messages = ['a@one.example', 'b@two.example'].map((recipient) =>
      mail(clock.now(), { lane, tenant: 'other', recipients: [recipient] }),
    );
    const ready = mail(clock.now(), { lane: newLane(), tenant: 'other' });
    await admit(engine, ...messages, ready);
    for (const leased of await collect(engine, lane, 2)) {
      await engine.queue.settle([defer(leased, clock.now(), clock.now() + HOUR)]);
    }
    const waitingOf = async (match: object, more?: object) =>
      (await create('admin', order(match, more))).json.waiting;
    assert.deepEqual(await waitingOf({ tenant: 'other' }), { deferred: 2, queued: 1, complete: true });
    assert.deepEqual(await waitingOf({ pool, provider: 'gmail' }), {
      deferred: 0,
      queued: 0,
      complete: true,
    });
    const narrow = await waitingOf({ tenant: 'other', ip: '192.0.2.1' });
    assert.match(narrow.note, /not known by ip: more may be counted/);
    await assertEmpty(engine, lane);
    const bounced = await waitingOf({ domain: 'one.example' }, { action: { kind: 'bounce' } });
    assert.deepEqual(bounced, { deferred: 1, queued: 0, complete: true, hastened: 1 });
    await engine.ledger.promote();
    const [leased] = await collect(engine, lane, 1);
    assert.equal(leased!.item.recipient, 'a@one.example');

    const retry = (key: Key, body: object) => server.call('POST', '/deliveries/retry', { key, body });
    assert.equal((await retry('user', { match: { tenant: 'other' } })).json.error.code, 'access_denied');
    assert.match((await retry('admin', { match: {} })).json.error.message, /"all": true/);
    assert.deepEqual((await retry('other', { match: { tenant: 'other' } })).json, { hastened: 1 });
    await engine.ledger.promote();
    const [again] = await collect(engine, lane, 1);
    assert.deepEqual([again!.item.recipient, again!.item.attempts], ['b@two.example', 1]);
    assert.deepEqual((await retry('admin', { match: {}, all: true })).json, { hastened: 0 });
    await removeAll();
  });

  test('that stop a tenant cannot be ended or replaced by it', async () => {
    const { json: stop } = await create('admin', order({ tenant: 'default' }));
    const denied = await remove('user', stop.id);
    assert.deepEqual([denied.status, denied.json.error.code], [403, 'access_denied']);
    const [seen] = (await server.call('GET', '/directives', { key: 'user' })).json.directives;
    assert.deepEqual(seen.origin, { operator: 'administrator' });
    const until = new Date(server.clock.now() + 1).toISOString();
    const { json: theirs } = await create('user', order({ tenant: 'default' }, { until }));
    assert.notEqual(theirs.id, stop.id);
    server.clock.advance(1);
    assert.equal(server.control.directives.match({ tenant: 'default' }, server.clock.now()).by?.id, stop.id);
    await removeAll();
  });
});

describe('configuration documents', () => {
  const on = '/config/rate/default';
  const put = (perSecond: number, headers: Record<string, string> = {}) =>
    server.call('PUT', on, { key: 'admin', body: { perSecond }, headers });

  test('are stored, read, changed from the version that was read, and rolled back', async () => {
    const first = await put(1, { 'if-match': '"0"' });
    assert.deepEqual(
      [first.status, first.headers.get('etag'), first.json.value],
      [200, '"1"', { perSecond: 1 }],
    );
    assert.equal((await put(2, { 'if-match': '"1"' })).json.version, 2);
    const late = await put(3, { 'if-match': '"1"' });
    assert.deepEqual([late.status, late.json.error.code], [409, 'config_conflict']);
    const read = await server.call('GET', on, { key: 'admin' });
    assert.deepEqual(
      [read.headers.get('etag'), read.json.value, read.json.by],
      ['"2"', { perSecond: 2 }, KEYS.admin.id],
    );
    const { json: back } = await server.call('POST', `${on}/rollback`, { key: 'admin' });
    assert.deepEqual([back.version, back.value], [3, { perSecond: 1 }]);
    assert.deepEqual(server.control.documents.running('rate').get('default'), { perSecond: 1 });
    const named = await server.call('POST', `${on}/rollback`, { key: 'admin', body: { version: 2 } });
    assert.deepEqual(named.json.value, { perSecond: 2 });
    const { versions } = (await server.call('GET', `${on}/history`, { key: 'admin' })).json;
    assert.deepEqual(
      versions.map((one: { version: number; value: object }) => [one.version, one.value]),
      [2, 1, 2, 1].map((perSecond, n) => [4 - n, { perSecond }]),
    );
    const gone = await server.call('DELETE', on, { key: 'admin', headers: { 'if-match': '"4"' } });
    assert.deepEqual([gone.json.removed, gone.json.version], [true, 5]);
    const { documents } = (await server.call('GET', '/config/rate', { key: 'admin' })).json;
    assert.deepEqual([documents.length, documents[0].removed], [1, true]);
    assert.equal((await put(4)).json.version, 6);
  });

  test('that are invalid are refused with path and reason, and the running ones stay', async () => {
    await put(5);
    for (const [body, message] of [
      [{ perSecond: 10 }, /^rate\/default is refused\. rate\.perSecond: 10 is out of bounds/],
      [{ perMinute: 1 }, /rate\.perMinute: is unknown; the members are perSecond/],
    ] as const) {
      const { status, json } = await server.call('PUT', on, { key: 'admin', body });
      assert.deepEqual([status, json.error.code], [400, 'bad_request']);
      assert.match(json.error.message, message);
    }
    for (const [method, path, headers] of [
      ['PUT', '/config/none/default', {}],
      ['GET', '/config/none', {}],
      ['GET', '/config/rate/none', {}],
      ['GET', '/config/rate/none/history', {}],
      ['POST', '/config/rate/none/rollback', {}],
      ['DELETE', '/config/rate/none', {}],
    ] as const) {
      const body = method === 'PUT' ? {} : undefined;
      const { status } = await server.call(method, path, { key: 'admin', body, headers });
      assert.equal(status, 404, `${method} ${path}`);
    }
    for (const tag of ['3', '*', 'W/"3"', '"x"', '"01"']) {
      const { status, json } = await put(6, { 'if-match': tag });
      assert.deepEqual([status, json.error.message], [400, 'If-Match is a version in quotes, as "3".']);
    }
    assert.deepEqual(server.control.documents.running('rate').get('default'), { perSecond: 5 });
  });

  test("need an administrator's key", async () => {
    for (const [method, path] of [
      ['GET', '/config/rate'],
      ['GET', on],
      ['PUT', on],
      ['DELETE', on],
      ['GET', `${on}/history`],
      ['POST', `${on}/rollback`],
      ['GET', '/policy'],
    ] as const) {
      const body = method === 'PUT' ? { perSecond: 1 } : undefined;
      const { status, json } = await server.call(method, path, { key: 'user', body });
      assert.deepEqual([status, json.error.code], [403, 'access_denied'], `${method} ${path}`);
    }
  });
});

test('the state of the policy shows the running version, refusals with their reason, and hooks', async () => {
  const { status, json } = await server.call('GET', '/policy', { key: 'admin' });
  assert.equal(status, 200);
  assert.deepEqual(json.refused, { at: '2026-01-02T00:00:00.000Z', message: 'Expression expected (line 2)' });
  assert.deepEqual(json.hooks[0].lastFailure, { at: '2026-01-01T00:00:00.000Z', message: 'Broken' });
});
