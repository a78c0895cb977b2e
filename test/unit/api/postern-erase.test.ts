/** Everything known of one address, erased. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ERASED } from '../../../lib/engine/erased.ts';
import { attempt, messageRecord, outcome } from '../../support/outcomes.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
before(async () => {
  server = await startPosternServer();
});
after(() => server.close());

const erase = (body: object, query = '') =>
  server.call('POST', `/addresses/erase${query}`, { key: 'user', body });
const address = 'ann@example.net';

async function know(tenant = 'default', count = 3): Promise<void> {
  const { engine, clock } = server;
  await engine.suppressions.put({
    tenant,
    address,
    reason: 'COMPLAINT',
    at: clock.now(),
    messageId: 'm',
    why: 'x',
  });
  const refused = attempt({ state: 'bounced', reason: 'peer_permanent', text: `550 <${address}> unknown` });
  await engine.queue.admit(
    Array.from({ length: count }, (_, n) => {
      const record = messageRecord({
        id: `${tenant} ${clock.now()} ${n}`,
        tenant,
        recipients: [n % 2 ? 'Ann@example.net' : address],
      });
      const settled = [
        outcome('attempt', { messageId: record.id, tenant, at: clock.now(), attempt: refused }),
      ];
      return { record, body: Buffer.alloc(0), deliveries: [], settled };
    }),
  );
}

test('goes from lists, contacts, messages, attempts and failures; a repeat finds nothing', async () => {
  await know('default', 1_203);
  await know('other');
  const put = (path: string) => server.call('PUT', path, { key: 'user', body: {} });
  await put('/contact-lists/news');
  await put('/contact-lists/news/contacts/Ann%40example.net');
  await put('/contact-lists/news/contacts/joann%40example.net');
  const rows = `ann@example.net,SPITE\njoann@example.net,SPITE\n"Ann Lee" ann@example.net\n`;
  const { id } = (await server.call('POST', '/suppressions/import', { key: 'user', body: rows })).json;

  const first = await erase({ address: ' Ann@EXAMPLE.net ' });
  assert.equal(first.status, 200);
  assert.deepEqual(first.json, {
    address: 'Ann@example.net',
    suppressions: 1,
    contacts: 1,
    importFailures: 2,
    messages: { erased: 1_203, outcomes: 1_203, underWay: 0 },
  });
  const stored = JSON.stringify([
    await server.engine.records.feed(0, 5_000),
    await server.engine.suppressions.list({ tenant: 'default', max: 10 }),
    (await server.call('GET', '/contact-lists/news/contacts', { key: 'user' })).json,
    (await server.call('GET', `/imports/${id}/failures`, { key: 'user' })).json,
  ]).replaceAll('joann@example.net', '');
  assert.equal(
    stored.match(/ann(?: lee|@example\.net)/gi)!.length,
    3,
    'only those of the other tenant are left',
  );
  assert.ok(stored.includes(ERASED));
  const nothing = {
    suppressions: 0,
    contacts: 0,
    importFailures: 0,
    messages: { erased: 0, outcomes: 0, underWay: 0 },
  };
  assert.deepEqual((await erase({ address })).json, { address, ...nothing });
});

test('keeps of the suppression what keeps mail away, if that is wanted', async () => {
  server.clock.advance(1);
  await know('default', 0);
  const kept = (await erase({ address, keepSuppression: true })).json;
  assert.equal(kept.suppressions, 1);
  const [entry] = await server.engine.suppressions.find([{ tenant: 'default', address }]);
  assert.deepEqual([entry!.reason, entry!.messageId], ['COMPLAINT', undefined]);
  assert.match(entry!.why!, /^Kept when all else was erased\. Ordered with the key AKIAUSER\.$/);
  assert.equal((await erase({ address, keepSuppression: true })).json.suppressions, 0);
});

test("is ordered for the key's own tenant, and must be an address", async () => {
  for (const [body, query, status, message] of [
    [{ address }, '?tenant=other', 403, /another tenant/],
    [{ address: 'nobody' }, '', 400, /nobody/],
    [{ address: '' }, '', 400, /\/address must have at least 1 character/],
    [{ address, all: true }, '', 400, /\/all is not a member/],
  ] as const) {
    const { status: got, json } = await erase(body, query);
    assert.equal(got, status);
    assert.match(json.error.message, message);
  }
});
