/** Tenants by the Postern API: made, seen, stopped and deleted. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { pauseId } from '../../../lib/control/tenants.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
before(async () => {
  server = await startPosternServer();
});
after(() => server.close());

const call = (method: string, path: string, body?: unknown, key: 'admin' | 'user' | 'other' = 'admin') =>
  server.call(method, path, { key, body });

describe('tenants', () => {
  test('are set up in two calls: a key and an identity that name one', async () => {
    const key = await call('POST', '/keys', { tenant: 'shop', name: 'shop' });
    const identity = await call('POST', '/identities', { name: 'shop.example', tenant: 'shop' });
    assert.deepEqual([key.status, identity.status], [201, 201]);
    const { status, json } = await call('GET', '/tenants/shop');
    assert.deepEqual(
      [status, json.name, json.sending, json.reputationPolicy],
      [200, 'shop', 'ENABLED', 'standard'],
    );
    assert.equal(json.arn, `arn:aws:ses:us-east-1:123456789012:tenant/shop/${json.id}`);
  });

  test('are made by name, once', async () => {
    const { status, json } = await call('POST', '/tenants', { name: 'press', reputationPolicy: 'strict' });
    assert.deepEqual([status, json.name, json.reputationPolicy], [201, 'press', 'strict']);
    const again = await call('POST', '/tenants', { name: 'press' });
    assert.deepEqual([again.status, again.json.error.code], [400, 'already_exists']);
    for (const body of [
      {},
      { name: '' },
      { name: 'a b' },
      { name: 'x'.repeat(65) },
      { name: 'a', more: 1 },
      { name: 'a', reputationPolicy: 'mild' },
    ])
      assert.equal((await call('POST', '/tenants', body)).status, 400, JSON.stringify(body));
  });

  test('are listed in pages; a key of a tenant sees its own', async () => {
    const names = (json: { tenants: { name: string }[] }) => json.tenants.map(({ name }) => name);
    const first = await call('GET', '/tenants?max=2');
    assert.deepEqual([names(first.json), first.json.next], [['default', 'other'], 'other']);
    const second = await call('GET', `/tenants?max=2&after=${first.json.next}`);
    assert.deepEqual([names(second.json), second.json.next], [['press', 'shop'], undefined]);
    assert.deepEqual(names((await call('GET', '/tenants', undefined, 'other')).json), ['other']);
    assert.equal((await call('GET', '/tenants/other', undefined, 'other')).status, 200);
    const foreign = await call('GET', '/tenants/shop', undefined, 'other');
    const absent = await call('GET', '/tenants/none', undefined, 'other');
    assert.deepEqual([foreign.status, absent.status], [404, 404]);
    assert.equal((await call('GET', '/tenants?max=1001')).status, 400);
  });

  test('are changed by administrators alone', async () => {
    for (const [method, path, body] of [
      ['POST', '/tenants', { name: 'mine' }],
      ['PUT', '/tenants/other', { sending: 'ENABLED' }],
      ['DELETE', '/tenants/other', undefined],
    ] as const) {
      const { status, json } = await call(method, path, body, 'other');
      assert.deepEqual([status, json.error.code], [403, 'access_denied'], `${method} ${path}`);
    }
  });

  test('are stopped with a cause, and resumed', async () => {
    const cause = 'Sends to a bought list.';
    const stopped = (await call('PUT', '/tenants/shop', { sending: 'DISABLED', cause })).json;
    assert.deepEqual(
      [stopped.sending, stopped.ordered.status, stopped.ordered.cause],
      ['DISABLED', 'DISABLED', cause],
    );
    const { directives } = (await call('GET', '/directives')).json;
    assert.deepEqual(
      directives.map((one: { match: object }) => one.match),
      [{ tenant: 'shop' }],
    );
    const resumed = (await call('PUT', '/tenants/shop', { sending: 'ENABLED' })).json;
    assert.equal(resumed.sending, 'ENABLED');
    assert.deepEqual((await call('GET', '/directives')).json.directives, []);
    const { status, json } = await call('PUT', '/tenants/shop', { cause });
    assert.deepEqual([status, json.error.message.includes('/sending')], [400, true]);
    assert.equal((await call('PUT', '/tenants/none', { sending: 'DISABLED' })).status, 404);
  });

  test('that are paused for their rates say so, until they are reinstated', async () => {
    await server.control.directives.impose({
      id: pauseId('shop'),
      match: { tenant: 'shop' },
      action: { kind: 'suspend' },
      reason: 'Paused: 15 %.',
      until: server.clock.now() + 60_000,
      origin: { rule: 'reputation', reply: '15 %' },
    });
    const paused = (await call('GET', '/tenants/shop')).json;
    assert.deepEqual(
      [paused.sending, paused.ordered.status, paused.rated.status, paused.rated.cause],
      ['DISABLED', 'ENABLED', 'DISABLED', 'Paused: 15 %.'],
    );
    const reinstated = (
      await call('PUT', '/tenants/shop', { sending: 'REINSTATED', reputationPolicy: 'none' })
    ).json;
    assert.deepEqual(
      [reinstated.sending, reinstated.rated.status, reinstated.reputationPolicy],
      ['REINSTATED', 'ENABLED', 'none'],
    );
  });

  test('are deleted when they own nothing, with their suppression list', async () => {
    const refused = await call('DELETE', '/tenants/shop');
    assert.equal(refused.status, 400);
    assert.match(refused.json.error.message, /has keys, identities of its own: delete them first/);
    const { keys } = (await call('GET', '/keys?tenant=shop')).json;
    for (const { id } of keys) await call('DELETE', `/keys/${id}`);
    await server.control.identities.delete('shop.example');
    await server.control.configurationSets.create({
      name: 'set',
      tenant: 'shop',
      delivery: { tlsPolicy: 'OPTIONAL' },
      sendingEnabled: true,
      reputationMetricsEnabled: true,
      createdAt: 0,
    });
    assert.match((await call('DELETE', '/tenants/shop')).json.error.message, /configuration sets/);
    await server.control.configurationSets.delete('set', 'shop');
    const entry = { tenant: 'shop', reason: 'BOUNCE' } as const;
    const at = server.clock.now();
    await Promise.all(
      Array.from({ length: 5_001 }, (_, n) =>
        server.engine.suppressions.put({ ...entry, address: `a${n}@example.net`, at }),
      ),
    );
    const long = await call('DELETE', '/tenants/shop');
    assert.deepEqual([long.status, long.json.error.code], [429, 'throttled']);
    assert.equal((await call('DELETE', '/tenants/shop')).status, 204);
    assert.deepEqual(await server.engine.suppressions.list({ tenant: 'shop', max: 1 }), []);
    assert.equal((await call('GET', '/tenants/shop')).status, 404);
    assert.equal((await call('DELETE', '/tenants/shop')).status, 404);
    const { json } = await call('DELETE', '/tenants/default');
    assert.match(json.error.message, /account's own/);
  });
});

describe('limits', () => {
  test('are set of a tenant and of the account, shown with what was sent, and removed', async () => {
    const made = await call('POST', '/tenants', { name: 'limited', limits: { perDay: 10 } });
    assert.deepEqual([made.status, made.json.limits, made.json.sentToday], [201, { perDay: 10 }, 0]);
    const limits = { perSecond: 0.5, recipients: 5, messageBytes: 2_048 };
    const changed = await call('PUT', '/tenants/limited', { limits });
    assert.deepEqual([changed.json.limits, changed.json.sentToday], [limits, undefined]);
    assert.deepEqual(
      (await call('PUT', '/tenants/limited', { reputationPolicy: 'none' })).json.limits,
      limits,
    );
    assert.deepEqual((await call('PUT', '/tenants/limited', { limits: {} })).json.limits, {});
    for (const wrong of [
      { perDay: 0 },
      { perDay: 1.5 },
      { perSecond: '1' },
      { recipients: 1_001 },
      { more: 1 },
    ])
      assert.equal(
        (await call('PUT', '/tenants/limited', { limits: wrong })).status,
        400,
        JSON.stringify(wrong),
      );
    assert.deepEqual((await call('GET', '/account')).json, { sendingEnabled: true, limits: {} });
    const account = await call('PUT', '/account', { limits: { perDay: 100 }, sendingEnabled: false });
    assert.deepEqual(account.json, { sendingEnabled: false, limits: { perDay: 100 }, sentToday: 0 });
    await call('PUT', '/account', { limits: {}, sendingEnabled: true });
    for (const [method, body] of [
      ['GET', undefined],
      ['PUT', {}],
    ] as const)
      assert.equal((await call(method, '/account', body, 'other')).status, 403);
  });
});
