/** What restricts an access key: scopes, identities, networks and time, the same at every door. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as v1 from '@aws-sdk/client-ses';
import * as sdk from '@aws-sdk/client-sesv2';
import { callerOf } from '../../lib/accept/caller.ts';
import { checkedRestrictions, type KeyRestrictions, maySendAs } from '../../lib/control/key-scope.ts';
import { Callers } from '../../lib/submission/callers.ts';
import { openTestAccept, raw, simple } from '../support/accept.ts';
import { TestClock } from '../support/clock.ts';
import { failure, openTestControl } from '../support/control.ts';
import { type PosternServer, startPosternServer } from '../support/postern-server.ts';
import { type SesServer, startSesServer } from '../support/ses-server.ts';

const key = (restrictions: KeyRestrictions) => ({
  id: 'AKIAKEY',
  secret: 'x',
  tenant: 'shop',
  admin: false,
  createdAt: 0,
  ...restrictions,
});

describe('a key', () => {
  test('ends at its time, and is used from its networks', () => {
    assert.throws(
      () => callerOf({}, key({ expiresAt: 1_000 }), '192.0.2.1', 1_000),
      failure('unknown_key', /expired at 1970/),
    );
    callerOf({}, key({ expiresAt: 1_000 }), '192.0.2.1', 999);
    const networks = ['192.0.2.0/24', '2001:db8::1'];
    for (const ip of ['192.0.2.255', '::ffff:192.0.2.1', '2001:db8::1'])
      callerOf({}, key({ networks }), ip, 0);
    for (const ip of ['192.0.3.0', '2001:db8::2', 'nowhere', ''])
      assert.throws(
        () => callerOf({}, key({ networks }), ip, 0),
        failure('access_denied', /may not be used from/),
      );
  });

  test('sends as its identities and what is below them', () => {
    const from = (address: string) => ({ address, domain: address.split('@')[1]! });
    const identities = ['example.com', 'ann@example.net'];
    for (const address of ['a@example.com', 'a@mail.example.com', 'ann@example.net'])
      assert.equal(maySendAs(identities, from(address)), true, address);
    for (const address of ['bob@example.net', 'a@notexample.com', 'a@example.com.evil.example'])
      assert.equal(maySendAs(identities, from(address)), false, address);
    assert.equal(maySendAs(undefined, from('a@b.example')), true);
  });

  test('has restrictions that mean something', () => {
    for (const [given, message] of [
      [{ scopes: [] }, /scopes must have 1 to 50/],
      [{ networks: ['home'] }, /"home" is no address and no network/],
      [{ networks: Array.from({ length: 51 }, () => '10.0.0.0/8') }, /networks must have 1 to 50/],
      [{ identities: ['com'] }, /"com" is not below a top-level domain/],
      [{ expiresAt: 5 }, /in the past/],
    ] as const)
      assert.throws(() => checkedRestrictions(given, 5), { message });
  });

  test('of the pipeline sends as its identities alone, in every sender field', async () => {
    const t = await openTestAccept();
    await t.control.identities.create({ name: 'other.example', tenant: 'default' });
    const caller = {
      keyId: 'AKIAKEY',
      tenant: 'default',
      admin: false,
      sourceIp: '::1',
      identities: ['example.com'],
    };
    const send = async (submission: Parameters<typeof t.accept.submit>[0][number]) => {
      const [result] = await t.accept.submit([submission], { door: 'smtp', caller });
      return 'error' in result! ? result.error.code : 'accepted';
    };
    assert.equal(await send(simple()), 'accepted');
    assert.equal(await send(simple({ from: 'a@other.example' })), 'access_denied');
    assert.equal(
      await send(raw(['From: a@example.com', 'Sender: b@other.example', '', 'x'])),
      'access_denied',
    );
    assert.equal(
      await send({ ...raw(['From: a@example.com', '', 'x']), mailFrom: 'b@other.example' }),
      'access_denied',
    );
  });
});

describe('keys that are stored', () => {
  test('are restricted and freed, and only free ones count as administrators', async () => {
    const { control, clock } = await openTestControl();
    const { keys } = control;
    const limited = await keys.create({ tenant: 'a', admin: true, restrictions: { scopes: ['send'] } });
    assert.deepEqual(await keys.administrators(), []);
    const free = await keys.create({ tenant: 'a', admin: true });
    assert.deepEqual(await keys.administrators(), [free.id]);
    await keys.update(limited.id, { restrictions: {} });
    assert.equal((await keys.administrators()).length, 2);
    assert.equal((await keys.find(limited.id))!.scopes, undefined);
    const expiresAt = clock.now() + 1;
    assert.equal(
      (await keys.update(free.id, { restrictions: { expiresAt }, name: 'old' })).expiresAt,
      expiresAt,
    );
    assert.deepEqual(await keys.administrators(), [limited.id]);
    assert.equal((await keys.update(free.id, { limits: { perDay: 5 } })).name, 'old');
    await assert.rejects(keys.update('AKIANONE', {}), failure('not_found'));
  });
});

describe('SMTP', () => {
  test('refuses a key without the scope, from elsewhere or too late, at MAIL', async () => {
    const { control, clock } = await openTestControl();
    const made = await control.keys.create({ tenant: 'a', admin: false });
    const callers = new Callers(control, 'us-east-1', [], clock);
    const session = { user: { keyId: made.id }, remoteAddress: '192.0.2.1' } as never;
    assert.equal((await callers.of(session)).keyId, made.id);
    await control.keys.update(made.id, { restrictions: { scopes: ['read'] } });
    await assert.rejects(async () => callers.of(session), failure('access_denied', /this needs send/));
    await control.keys.update(made.id, { restrictions: { networks: ['10.0.0.0/8'] } });
    await assert.rejects(async () => callers.of(session), failure('access_denied', /from 192\.0\.2\.1/));
    await control.keys.update(made.id, { restrictions: { expiresAt: clock.now() + 10 } });
    await callers.of(session);
    clock.advance(10);
    await assert.rejects(async () => callers.of(session), failure('unknown_key', /expired/));
  });
});

describe('the SES APIs', () => {
  const clock = new TestClock(Date.now());
  let server: SesServer;
  before(async () => {
    server = await startSesServer({ clock });
  });
  after(() => server.close());

  const failureOf = (call: Promise<unknown>): Promise<string> =>
    call.then(
      () => 'none',
      (error: Error) => error.name,
    );
  const mail = {
    FromEmailAddress: 'a@example.com',
    Destination: { ToAddresses: ['b@example.net'] },
    Content: { Simple: { Subject: { Data: 's' }, Body: { Text: { Data: 't' } } } },
  };

  test('hold each scope, in both versions', async () => {
    const { id, secret } = await server.control.keys.create({ tenant: 'default', admin: true });
    const credentials = { accessKeyId: id, secretAccessKey: secret };
    const [client, old] = [server.client({ credentials }), server.clientV1({ credentials })];
    const calls = {
      send: () => client.send(new sdk.SendEmailCommand(mail)),
      read: () => client.send(new sdk.GetAccountCommand({})),
      manage: () =>
        client.send(new sdk.CreateEmailIdentityCommand({ EmailIdentity: `${Math.random()}.example` })),
      sendOld: () =>
        old.send(
          new v1.SendRawEmailCommand({ RawMessage: { Data: Buffer.from('From: a@example.com\r\n\r\nx') } }),
        ),
      readOld: () => old.send(new v1.GetSendQuotaCommand({})),
    };
    for (const scope of ['send', 'read', 'manage'] as const) {
      await server.control.keys.update(id, { restrictions: { scopes: [scope] } });
      for (const [name, make] of Object.entries(calls)) {
        const refusal = name.endsWith('Old') ? 'AccessDenied' : 'AccessDeniedException';
        assert.equal(await failureOf(make()), name.startsWith(scope) ? 'none' : refusal, `${scope} ${name}`);
      }
    }
    await server.control.keys.update(id, { restrictions: { networks: ['10.0.0.0/8'] } });
    assert.equal(await failureOf(calls.read()), 'AccessDeniedException');
    await server.control.keys.update(id, { restrictions: { expiresAt: clock.now() + 1_000 } });
    assert.equal(await failureOf(calls.read()), 'none');
    clock.advance(1_000);
    assert.equal(await failureOf(calls.read()), 'UnrecognizedClientException');
  });
});

describe('the Postern API', () => {
  let server: PosternServer;
  before(async () => {
    server = await startPosternServer();
  });
  after(() => server.close());
  const call = (method: string, path: string, body?: unknown) =>
    server.call(method, path, { key: 'admin', body });

  test('makes, changes and replaces keys with their restrictions', async () => {
    const restrictions = {
      scopes: ['send'],
      identities: ['Example.COM'],
      networks: ['192.0.2.0/24'],
      expiresAt: '2100-01-01T00:00:00Z',
    };
    const made = await call('POST', '/keys', { tenant: 'shop', ...restrictions, limits: { perDay: 10 } });
    assert.equal(made.status, 201);
    const { scopes, identities, networks, expiresAt, limits } = made.json;
    assert.deepEqual(
      [scopes, identities, networks, expiresAt, limits],
      [['send'], ['example.com'], ['192.0.2.0/24'], '2100-01-01T00:00:00.000Z', { perDay: 10 }],
    );
    const changed = await call('PUT', `/keys/${made.json.id}`, { restrictions: { scopes: ['read'] } });
    assert.deepEqual(
      [changed.status, changed.json.scopes, changed.json.networks, changed.json.limits],
      [200, ['read'], undefined, { perDay: 10 }],
    );
    const next = await call('POST', `/keys/${made.json.id}/rotate`, { hours: 2 });
    assert.equal(next.status, 201);
    assert.notEqual(next.json.id, made.json.id);
    assert.deepEqual(
      [next.json.tenant, next.json.scopes, next.json.limits, next.json.expiresAt],
      ['shop', ['read'], { perDay: 10 }, undefined],
    );
    const old = (await server.control.keys.find(made.json.id))!;
    assert.equal(old.expiresAt, server.clock.now() + 2 * 3_600_000);
    const rotate = () => call('POST', `/keys/${made.json.id}/rotate`);
    const twice = await rotate();
    assert.deepEqual([twice.status, twice.json.error.code], [409, 'key_replaced']);
    assert.match(twice.json.error.message, new RegExp(`by ${next.json.id}\\.`));
    const { keys } = (await call('GET', '/keys?tenant=shop')).json;
    assert.equal(keys.length, 2);
    assert.deepEqual(
      keys.map(({ successor }: { successor?: string }) => successor),
      keys.map(({ id }: { id: string }) => (id === made.json.id ? next.json.id : undefined)),
    );
    // With the successor revoked the key may be rotated again, and its next one does not end with the rotation.
    await call('DELETE', `/keys/${next.json.id}`);
    const both = await Promise.all([rotate(), rotate()]);
    assert.deepEqual(
      both.map(({ status }) => status).sort((a, b) => a - b),
      [201, 409],
    );
    assert.equal(both.find(({ status }) => status === 201)!.json.expiresAt, undefined);
    assert.equal((await call('GET', '/keys?tenant=shop')).json.keys.length, 2);
    for (const body of [
      { scopes: ['all'] },
      { networks: ['x'] },
      { expiresAt: 'soon' },
      { expiresAt: '1999-01-01T00:00:00Z' },
      { identities: [] },
    ])
      assert.equal((await call('POST', '/keys', body)).status, 400, JSON.stringify(body));
    for (const path of ['/keys/AKIANONE', '/keys/AKIANONE/rotate'])
      assert.equal((await call(path.endsWith('rotate') ? 'POST' : 'PUT', path, {})).status, 404);
  });

  test('keeps the last key that can undo everything, and a rotation passes it on', async () => {
    for (const restrictions of [
      { scopes: ['manage'] },
      { networks: ['127.0.0.1'] },
      { expiresAt: '2100-01-01T00:00:00Z' },
      { identities: ['a.example'] },
    ]) {
      const { status, json } = await call('PUT', '/keys/AKIAADMIN', { restrictions });
      assert.deepEqual([status, json.error.code], [400, 'bad_request'], JSON.stringify(restrictions));
      assert.match(json.error.message, /last administrator's key without restrictions/);
    }
    assert.equal((await call('DELETE', '/keys/AKIAADMIN')).status, 400);
    // A restricted administrator's key is none that could replace it.
    const { json } = await call('POST', '/keys', { admin: true, scopes: ['manage'] });
    assert.equal((await call('DELETE', '/keys/AKIAADMIN')).status, 400);
    await call('PUT', `/keys/${json.id}`, { restrictions: {} });
    assert.equal((await call('PUT', '/keys/AKIAADMIN', { restrictions: { scopes: ['read'] } })).status, 200);
    assert.equal((await call('GET', '/keys')).status, 200);
    assert.equal((await call('POST', '/keys', {})).status, 403);
    assert.equal((await call('GET', '/keys/self')).status, 200);
    await server.control.keys.update('AKIAADMIN', { restrictions: { scopes: ['send'] } });
    assert.equal((await call('GET', '/keys')).status, 403);
    assert.equal((await call('GET', '/keys/self')).status, 200);
    const body = { from: 'a@example.com', to: ['b@example.net'], subject: 's', text: 't' };
    assert.equal((await call('POST', '/messages', body)).status, 202);
  });
});
