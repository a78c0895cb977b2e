import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
before(async () => {
  server = await startPosternServer();
});
after(() => server.close());

const ANN = '/suppressions/Ann%40Example.net';

test('a key edits the list of its tenant', async () => {
  const at = new Date(server.clock.now()).toISOString();
  assert.equal((await server.call('GET', ANN, { key: 'user' })).status, 404);
  const put = await server.call('PUT', ANN, { key: 'user', body: { reason: 'COMPLAINT' } });
  const why = 'Put there with the key AKIAUSER.';
  const entry = { tenant: 'default', address: 'Ann@example.net', reason: 'COMPLAINT', since: at, at, why };
  assert.deepEqual([put.status, put.json], [200, entry]);
  assert.deepEqual(
    (await server.call('GET', '/suppressions/ann%40example.net', { key: 'user' })).json,
    entry,
  );
  assert.deepEqual((await server.call('GET', '/suppressions', { key: 'user' })).json, {
    suppressions: [entry],
  });
  assert.deepEqual((await server.call('GET', '/suppressions', { key: 'other' })).json, {
    suppressions: [],
  });
  assert.equal((await server.call('DELETE', ANN, { key: 'other' })).status, 404);
  assert.equal((await server.call('DELETE', ANN, { key: 'user' })).status, 204);
  const again = await server.call('DELETE', ANN, { key: 'user' });
  assert.deepEqual([again.status, again.json.error.code], [404, 'not_found']);
});

test('an administrator edits every list; no other key sees that of another tenant', async () => {
  const bob = '/suppressions/bob%40example.net?tenant=other';
  for (const [method, body] of [
    ['PUT', { reason: 'BOUNCE' }],
    ['GET', undefined],
    ['DELETE', undefined],
  ] as const) {
    const refused = await server.call(method, bob, { key: 'user', body });
    assert.deepEqual([refused.status, refused.json.error.code], [403, 'access_denied']);
  }
  assert.equal(
    (await server.call('PUT', bob, { key: 'admin', body: { reason: 'BOUNCE' } })).json.tenant,
    'other',
  );
  assert.equal((await server.call('GET', '/suppressions', { key: 'other' })).json.suppressions.length, 1);
  assert.equal((await server.call('DELETE', bob, { key: 'admin' })).status, 204);
});

test('a list is read in pages, by reason and by time', async () => {
  const start = server.clock.now();
  for (let n = 0; n < 5; n += 1) {
    const reason = n === 4 ? 'COMPLAINT' : 'BOUNCE';
    const entry = {
      tenant: 'default',
      address: `user${n}@example.net`,
      reason,
      at: start + n * 1000,
    } as const;
    await server.engine.suppressions.put({ ...entry, messageId: 'm@example.com', feedbackId: 'f' });
  }
  const list = async (query: string): Promise<[string[], string | undefined]> => {
    const { json } = await server.call('GET', `/suppressions?${query}`, { key: 'user' });
    return [json.suppressions.map(({ address }: { address: string }) => address), json.next];
  };
  const users = (...numbers: number[]) => numbers.map((n) => `user${n}@example.net`);
  const [first, next] = await list('max=3');
  assert.deepEqual(first, users(0, 1, 2));
  assert.deepEqual(await list(`max=3&after=${next}`), [users(3, 4), undefined]);
  assert.deepEqual(await list('reason=COMPLAINT'), [users(4), undefined]);
  const time = (n: number) => new Date(start + n * 1000).toISOString();
  assert.deepEqual(await list(`from=${time(1)}&before=${time(3)}`), [users(1, 2), undefined]);
});

test('invalid entries and parameters are refused with the reason', async () => {
  for (const [method, path, body, message] of [
    ['GET', '/suppressions?reason=SPITE', undefined, /reason: must be one of BOUNCE, COMPLAINT/],
    ['GET', '/suppressions?from=yesterday', undefined, /from: must be a time/],
    ['GET', '/suppressions?max=0', undefined, /max: must be a number from 1 to 1000/],
    ['GET', '/suppressions?max=1001', undefined, /max: must/],
    ['GET', '/suppressions?after=x', undefined, /token/],
    ['GET', '/suppressions?tenant=a%2Fb', undefined, /tenant: is not the name of a tenant/],
    ['GET', '/suppressions/nobody', undefined, /nobody/],
    ['PUT', ANN, { reason: 'SPITE' }, /\/reason must be one of BOUNCE, COMPLAINT/],
    ['PUT', ANN, {}, /\/reason is missing/],
    ['PUT', '/suppressions/bounce%40simulator.amazonses.com', { reason: 'BOUNCE' }, /mailbox simulator/],
  ] as const) {
    const { status, json } = await server.call(method, path, { key: 'user', body });
    assert.equal(status, 400, path);
    assert.match(json.error.message, message);
  }
});

test('what an import of the wrong file listed is taken back, and nothing else', async () => {
  const { suppressions } = server.engine;
  const list = async () =>
    (await suppressions.list({ tenant: 'other', max: 1_000 })).map(({ address }) => address).sort();
  const put = (address: string, more: object = {}) =>
    suppressions.put({ tenant: 'other', address, reason: 'BOUNCE', at: server.clock.now(), ...more });
  server.clock.advance(1_000);
  await put('before@example.net');
  server.clock.advance(1_000);
  const from = new Date(server.clock.now()).toISOString();
  const rows = Array.from({ length: 250 }, (_, n) => `user${n}@example.net,BOUNCE`).join('\n');
  await server.call('POST', '/suppressions/import?format=csv', {
    key: 'other',
    body: `address,reason\n${rows}\nbefore@example.net,BOUNCE\n`,
    headers: { 'content-type': 'text/csv' },
  });
  await put('bounced@example.net', { messageId: 'm', why: 'smtp; 550 5.1.1 User unknown' });
  server.clock.advance(1_000);
  const before = new Date(server.clock.now()).toISOString();
  await put('after@example.net');
  const undo = (query: string) =>
    server.call('DELETE', `/suppressions?from=${from}&before=${before}${query}`, { key: 'other' });
  const found = { removed: 250, kept: 2, more: false };
  assert.deepEqual((await undo('&preview=true')).json, found);
  assert.equal((await list()).length, 253);
  assert.equal((await undo('&reason=COMPLAINT')).json.removed, 0);
  assert.deepEqual((await undo('')).json, found);
  assert.deepEqual(await list(), ['after@example.net', 'before@example.net', 'bounced@example.net']);
  const open = await server.call('DELETE', `/suppressions?from=${from}`, { key: 'other' });
  assert.equal(open.status, 400);
  assert.equal((await undo('&tenant=default')).status, 403);
});
