import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { smtpPassword } from '../../../lib/control/smtp-password.ts';
import { KEYS, type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
before(async () => {
  server = await startPosternServer({ verifyIdentities: true });
});
after(() => server.close());

describe('the caller', () => {
  const ask = (authorization?: string) =>
    server.call('GET', '/messages/x', { headers: authorization === undefined ? {} : { authorization } });

  test('must send a bearer key', async () => {
    for (const header of [
      undefined,
      '',
      'Bearer',
      'Bearer x',
      'Bearer .y',
      'Basic QUtJQTp4',
      'Bearer a b.c',
    ]) {
      const { status, json, headers } = await ask(header);
      assert.deepEqual([status, json.error.code], [401, 'missing_authentication'], header);
      assert.equal(headers.get('www-authenticate'), 'Bearer');
      assert.match(json.error.action, /Postern key/);
    }
  });

  test('cannot find out whether a key exists', async () => {
    const { id, secret } = KEYS.user;
    const answers = [];
    for (const bearer of [
      `${id}.wrong`,
      `AKIANOBODY.${secret}`,
      `${id}.${secret}x`,
      `${id}.${secret.slice(1)}`,
    ]) {
      const { status, json } = await ask(`Bearer ${bearer}`);
      answers.push([status, { ...json.error, requestId: '' }]);
    }
    assert.equal(answers[0]![0], 401);
    for (const answer of answers) assert.deepEqual(answer, answers[0]);
  });

  test('may write the scheme in any case', async () => {
    const { id, secret } = KEYS.user;
    assert.equal((await ask(`bearer  ${id}.${secret}`)).status, 404);
  });

  test('is authenticated before the body is read', async () => {
    const { status } = await server.call('POST', '/messages', { body: '{ not json' });
    assert.equal(status, 401);
  });
});

test('unknown paths and methods are refused with 404', async () => {
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', '/nothing'],
    ['PUT', '/messages'],
    ['DELETE', '/messages'],
    ['DELETE', '/openapi.json'],
  ] as const) {
    const { status, json } = await server.call(method, path, { key: 'admin' });
    assert.deepEqual([status, json.error.code], [404, 'unknown_operation']);
    assert.match(json.error.message, /openapi\.json/);
  }
});

test('the document is served without a key', async () => {
  const { status, json } = await server.call('GET', '/openapi.json');
  assert.equal(status, 200);
  assert.equal(json.info.version, '0.0.0');
  assert.ok(json.paths['/messages'].post.requestBody.content['application/json'].examples.one.value.from);
});

describe('keys', () => {
  test('are made, used, listed without their secrets, and revoked', async () => {
    const made = await server.call('POST', '/keys', { key: 'admin', body: { tenant: 'shop', name: 'Shop' } });
    assert.equal(made.status, 201);
    const { id, secret, bearer } = made.json;
    assert.deepEqual(
      { ...made.json, createdAt: undefined },
      {
        id,
        secret,
        tenant: 'shop',
        admin: false,
        name: 'Shop',
        createdAt: undefined,
        bearer: `${id}.${secret}`,
        smtpPassword: smtpPassword(secret, 'us-east-1'),
      },
    );
    const use = () => server.call('GET', '/messages/x', { headers: { authorization: `Bearer ${bearer}` } });
    assert.equal((await use()).status, 404);
    const listed = await server.call('GET', '/keys?tenant=shop', { key: 'admin' });
    assert.deepEqual(
      listed.json.keys.map((key: { id: string }) => key.id),
      [id],
    );
    const all = await server.call('GET', '/keys', { key: 'admin' });
    assert.equal(all.json.keys.length, 4);
    assert.ok(!JSON.stringify(all.json).includes(secret));
    assert.equal((await server.call('DELETE', `/keys/${id}`, { key: 'admin' })).status, 204);
    assert.equal((await use()).status, 401);
    assert.equal((await server.call('DELETE', `/keys/${id}`, { key: 'admin' })).json.error.code, 'not_found');
  });

  test("are by default of the caller's tenant and for sending only", async () => {
    const { json } = await server.call('POST', '/keys', { key: 'admin' });
    assert.deepEqual([json.tenant, json.admin], ['default', false]);
    const admin = await server.call('POST', '/keys', { key: 'admin', body: { admin: true } });
    assert.equal(admin.json.admin, true);
  });

  test("need an administrator's key", async () => {
    for (const [method, path, body] of [
      ['POST', '/keys', {}],
      ['GET', '/keys', undefined],
      ['DELETE', '/keys/AKIAUSER', undefined],
      ['DELETE', '/keys/AKIANOBODY', undefined],
    ] as const) {
      const { status, json } = await server.call(method, path, { key: 'user', body });
      assert.deepEqual([status, json.error.code], [403, 'access_denied']);
    }
    assert.ok(await server.control.keys.find('AKIAUSER'));
  });

  test('are checked for names, tenants and roles', async () => {
    for (const [body, message] of [
      [{ tenant: 'a b' }, /^\/tenant must match/],
      [{ admin: 'yes' }, /^\/admin must be true or false/],
      [{ name: 'x'.repeat(257) }, /^\/name has 257/],
      [{ secret: 'mine' }, /^\/secret is not a member/],
    ] as const) {
      const { status, json } = await server.call('POST', '/keys', { key: 'admin', body });
      assert.equal(status, 400);
      assert.match(json.error.message, message);
    }
  });
});

describe('identities', () => {
  test('show their DNS records, and are proven by them', async () => {
    const made = await server.control.identities.create({ name: 'bücher.example', tenant: 'default' });
    const path = `/identities/${encodeURIComponent('bücher.example')}`;
    const { status, json } = await server.call('GET', `${path}/dns`, { key: 'user' });
    assert.equal(status, 200);
    assert.deepEqual(json, {
      name: 'xn--bcher-kva.example',
      type: 'DOMAIN',
      tenant: 'default',
      verified: false,
      dkimStatus: 'PENDING',
      records: made.dkim.records,
    });
    const pending = await server.call('POST', `${path}/check`, { key: 'admin' });
    assert.deepEqual([pending.json.verified, pending.json.dkimStatus], [false, 'PENDING']);
    server.txt.publish(made);
    const proven = await server.call('POST', `${path}/check`, { key: 'admin' });
    assert.deepEqual([proven.json.verified, proven.json.dkimStatus], [true, 'SUCCESS']);
    server.txt.failing = 'ETIMEOUT';
    const silent = await server.call('POST', `${path}/check`, { key: 'admin' });
    assert.deepEqual([silent.status, silent.json.error.code], [500, 'dns_failure']);
    server.txt.failing = undefined;
  });

  test('of another tenant are not found', async () => {
    await server.control.identities.create({ name: 'mine@example.org', tenant: 'default' });
    const path = `/identities/${encodeURIComponent('mine@example.org')}`;
    assert.equal((await server.call('GET', `${path}/dns`, { key: 'user' })).status, 200);
    assert.equal((await server.call('GET', `${path}/dns`, { key: 'other' })).status, 404);
    assert.equal((await server.call('GET', '/identities/none.example/dns', { key: 'other' })).status, 404);
    assert.equal((await server.call('POST', `${path}/check`, { key: 'other' })).status, 403);
    assert.equal((await server.call('POST', `${path}/check`, { key: 'user' })).status, 403);
    assert.equal((await server.call('POST', `${path}/check`, { key: 'admin' })).status, 200);
  });
});

test("the last administrator's key cannot be revoked", async () => {
  const admins = async () => (await server.control.keys.list()).filter((key) => key.admin);
  // Ids are drawn, so the key that calls may be anywhere in the list.
  for (const { id } of (await admins()).filter((key) => key.id !== 'AKIAADMIN')) {
    assert.equal((await server.call('DELETE', `/keys/${id}`, { key: 'admin' })).status, 204);
  }
  const [last] = await admins();
  const refused = await server.call('DELETE', `/keys/${last!.id}`, { key: 'admin' });
  assert.equal(refused.json.error.code, 'bad_request');
  assert.match(
    refused.json.error.message,
    /the last administrator's key without restrictions: create another one first/,
  );
  assert.equal((await admins()).length, 1);
});

test('an administrator creates an identity of a tenant', async () => {
  const body = { name: 'shop.example', tenant: 'shop' };
  const made = await server.call('POST', '/identities', { key: 'admin', body });
  assert.equal(made.status, 201);
  assert.deepEqual([made.json.tenant, made.json.type, made.json.verified], ['shop', 'DOMAIN', false]);
  assert.equal(made.json.records[0].type, 'TXT');
  assert.equal((await server.control.identities.find('shop.example'))?.tenant, 'shop');
  assert.equal((await server.call('POST', '/identities', { key: 'user', body })).status, 403);
  const again = await server.call('POST', '/identities', { key: 'admin', body });
  assert.equal(again.json.error.code, 'already_exists');
  const set = await server.call('POST', '/identities', {
    key: 'admin',
    body: { ...body, name: 'b.example', configurationSet: 'none' },
  });
  assert.equal(set.json.error.code, 'configuration_set_missing');
});

describe('what a page of the console is made of', () => {
  const call = (method: string, path: string, key: keyof typeof KEYS, body?: unknown) =>
    server.call(method, path, { key, body });

  test('a key is told its own tenant and rights', async () => {
    for (const name of ['admin', 'user', 'other'] as const) {
      const { id, tenant, admin } = KEYS[name];
      const { json } = await call('GET', '/keys/self', name);
      assert.deepEqual([json.id, json.tenant, json.admin, 'secret' in json], [id, tenant, admin, false]);
    }
  });

  test('keys are listed by pages, each once', async () => {
    const ids: string[] = [];
    for (let after = ''; ; ) {
      const { json } = await call('GET', `/keys?max=1${after && `&after=${after}`}`, 'admin');
      assert.equal(json.keys.length, 1);
      ids.push(json.keys[0].id);
      if (json.next === undefined) break;
      after = json.next;
    }
    const { json } = await call('GET', '/keys', 'admin');
    assert.deepEqual(
      ids,
      json.keys.map(({ id }: { id: string }) => id),
    );
    for (const max of ['0', '1001', 'x'])
      assert.equal((await call('GET', `/keys?max=${max}`, 'admin')).status, 400);
  });

  test('identities are listed by pages, to a tenant its own, and deleted by an administrator', async () => {
    for (const [name, tenant] of [
      ['a.listed.example', 'other'],
      ['b.listed.example', 'other'],
      ['c.listed.example', 'default'],
    ])
      assert.equal((await call('POST', '/identities', 'admin', { name, tenant })).status, 201);
    const named = async (path: string, key: keyof typeof KEYS) =>
      (await call('GET', path, key)).json.identities
        .map(({ name }: { name: string }) => name)
        .filter((name: string) => name.endsWith('.listed.example'));
    assert.deepEqual(await named('/identities', 'other'), ['a.listed.example', 'b.listed.example']);
    assert.equal((await named('/identities', 'admin')).length, 3);
    const first = await call('GET', '/identities?tenant=other&max=1', 'admin');
    assert.equal(first.json.next, 'a.listed.example');
    const second = await call('GET', '/identities?tenant=other&max=1&after=a.listed.example', 'admin');
    assert.deepEqual([second.json.identities[0].name, second.json.next], ['b.listed.example', undefined]);
    assert.equal((await call('GET', '/identities?tenant=default', 'other')).status, 403);

    assert.equal((await call('DELETE', '/identities/a.listed.example', 'other')).status, 403);
    const use = { kind: 'identity', name: 'a.listed.example' } as const;
    const { resources } = server.control.tenants;
    await resources.add({ ...use, tenant: 'default', owner: 'other', at: 0 });
    const refused = await call('DELETE', '/identities/a.listed.example', 'admin');
    assert.equal(refused.status, 400);
    assert.match(refused.json.error.message, /<a\.listed\.example> because it has tenant associations/);
    assert.ok((await named('/identities', 'other')).includes('a.listed.example'));
    await resources.remove('default', use);
    assert.equal((await call('DELETE', '/identities/a.listed.example', 'admin')).status, 204);
    assert.equal((await call('DELETE', '/identities/a.listed.example', 'admin')).status, 404);
    assert.deepEqual(await named('/identities', 'other'), ['b.listed.example']);
  });

  test('templates are kept by administrators, used and rendered by their tenant alone', async () => {
    const content = { subject: 'Order {{number}}', html: '<p>{{number}}</p>' };
    const put = await call('PUT', '/templates/order?tenant=other', 'admin', content);
    assert.deepEqual([put.json.tenant, put.json.subject], ['other', content.subject]);
    assert.equal((await call('PUT', '/templates/order', 'other', content)).status, 403);
    assert.deepEqual((await call('GET', '/templates', 'other')).json.templates[0].name, 'order');
    assert.equal((await call('GET', '/templates?tenant=other', 'user')).status, 403);
    assert.equal((await call('GET', '/templates/order', 'user')).status, 404);
    const rendered = await call('POST', '/templates/order/render', 'other', { data: { number: '7' } });
    assert.deepEqual(rendered.json, { subject: 'Order 7', html: '<p>7</p>' });
    const lacking = await call('POST', '/templates/order/render', 'other', {});
    assert.deepEqual([lacking.status, lacking.json.error.code], [400, 'rendering_failed']);
    // A broken one changes nothing.
    assert.equal(
      (await call('PUT', '/templates/order?tenant=other', 'admin', { text: '{{#if}' })).status,
      400,
    );
    assert.equal((await call('PUT', '/templates/order?tenant=other', 'admin', {})).status, 400);
    assert.equal((await call('PUT', '/templates/a%20b', 'admin', content)).status, 400);
    assert.deepEqual((await call('GET', '/templates/order', 'other')).json.html, content.html);
    assert.equal((await call('DELETE', '/templates/order?tenant=other', 'admin')).status, 204);
    assert.equal((await call('GET', '/templates/order', 'other')).status, 404);
  });
});
