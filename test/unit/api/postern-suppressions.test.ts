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
