/** From `POST /v1/messages` through the real pipeline into the real store, and back out by `GET`. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createAccept } from '../../lib/accept/accept.ts';
import { SendingMeter } from '../../lib/accept/limits.ts';
import { Contacts } from '../../lib/contacts/contacts.ts';
import type { Attempt } from '../../lib/engine/items.ts';
import { createReferences } from '../../lib/mail/message-reference.ts';
import { createReturnPaths } from '../../lib/mail/return-path.ts';
import { createSigner } from '../../lib/mail/signer.ts';
import { DAY } from '../../lib/time.ts';
import { seededRandom } from '../support/clock.ts';
import { type PosternServer, startPosternServer } from '../support/postern-server.ts';
import { LINKS, UNSUBSCRIBE } from '../support/tracking.ts';

const LANE = 'default:transactional:other';
const simple = { from: 'a@example.com', to: ['b@example.net'], subject: 'Hello', text: 'Hello.' };

let server: PosternServer;
const signer = createSigner();
before(async () => {
  server = await startPosternServer({
    accept: (engine, control, clock) =>
      createAccept({
        engine,
        control,
        contacts: new Contacts(engine.rows, clock),
        signer,
        returnPaths: createReturnPaths(Buffer.alloc(32, 3)),
        references: createReferences(Buffer.alloc(32, 3)),
        unsubscribe: UNSUBSCRIBE,
        tracking: { links: LINKS },
        meter: new SendingMeter({ rows: engine.rows, clock, alone: true }),
        clock,
        random: seededRandom(1),
        accountId: '123456789012',
        region: 'us-east-1',
        policy: {
          maxMessageBytes: 1024 * 1024,
          maxRecipients: 50,
          maxAge: 4 * DAY,
          maxSchedule: 30 * DAY,
          hasPool: (name) => name === 'default',
          group: () => 'other',
          forwardsFeedback: true,
          returnPathDomain: (fromDomain) => fromDomain,
        },
      }),
  });
  await server.control.identities.create({ name: 'example.com', tenant: 'default' });
});
after(async () => {
  await server.close();
  await signer.close();
});

const send = (body: unknown, headers: Record<string, string> = {}) =>
  server.call('POST', '/messages', { key: 'user', body, headers });
const on = (id: string, rest = '') => `/messages/${encodeURIComponent(id)}${rest}`;
const lease = async (max = 1) => server.engine.queue.lease({ lane: LANE, max, visibility: 60_000, wait: 0 });

function attempt(change: Partial<Attempt>): Attempt {
  return {
    at: server.clock.now(),
    duration: 12,
    ip: '192.0.2.25',
    mx: { host: 'mx.example.net', address: '198.51.100.1', port: 25 },
    tls: { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', verified: true },
    replies: [{ phase: 'rcpt', code: 451, text: '4.7.1 Later' }],
    state: 'deferred',
    reason: 'peer_temporary',
    text: '451 4.7.1 Later',
    ...change,
  };
}

test('a message shows its state and reason from acceptance to its end', async () => {
  const { json } = await send({ ...simple, tags: { order: '7' } });
  const { id } = json.messages[0];
  const queued = (await server.call('GET', on(id), { key: 'user' })).json;
  assert.equal(queued.id, id);
  assert.equal(id.length, 60);
  // As an older version answered it, as the Message-ID field has it, and as SDK wrappers complete it.
  for (const name of [`${id}@example.com`, `<${id}@example.com>`, `${id}@email.amazonses.com`]) {
    assert.equal((await server.call('GET', on(name), { key: 'user' })).json.id, id);
  }
  assert.deepEqual([queued.door, queued.keyId, queued.sourceIp], ['postern', 'AKIAUSER', '127.0.0.1']);
  assert.deepEqual([queued.from, queued.subject, queued.class], ['a@example.com', 'Hello', 'transactional']);
  assert.deepEqual(queued.tags.order, ['7']);
  assert.deepEqual(
    queued.deliveries.map((one: { recipient: string; state: string }) => [one.recipient, one.state]),
    [['b@example.net', 'queued']],
  );

  const [first] = await lease();
  assert.match(first!.bytes.toString('latin1'), /^DKIM-Signature: .*d=example\.com/s);
  const until = server.clock.now() + 300_000;
  await server.engine.queue.settle([{ kind: 'defer', leased: first!, until, attempt: attempt({ until }) }]);
  const [deferred] = (await server.call('GET', on(id), { key: 'user' })).json.deliveries;
  assert.deepEqual(
    [deferred.state, deferred.reason, deferred.text],
    ['deferred', 'peer_temporary', '451 4.7.1 Later'],
  );
  assert.equal(deferred.nextAttemptAt, new Date(until).toISOString());
  assert.match(deferred.action, /^Wait/);
  assert.deepEqual(deferred.attempts, [
    {
      at: new Date(server.clock.now()).toISOString(),
      durationMs: 12,
      sourceIp: '192.0.2.25',
      mx: { host: 'mx.example.net', address: '198.51.100.1', port: 25 },
      tls: { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', verified: true },
      replies: [{ phase: 'rcpt', code: 451, text: '4.7.1 Later' }],
      state: 'deferred',
      reason: 'peer_temporary',
      text: '451 4.7.1 Later',
      uncertain: false,
      nextAttemptAt: new Date(until).toISOString(),
    },
  ]);

  server.clock.advance(300_000);
  await server.engine.ledger.promote();
  const [second] = await lease();
  const done = attempt({ state: 'delivered', reason: 'delivered', text: '250 2.0.0 Ok', replies: [] });
  await server.engine.queue.settle([{ kind: 'end', leased: second!, state: 'delivered', attempt: done }]);
  const [delivered] = (await server.call('GET', on(id), { key: 'user' })).json.deliveries;
  assert.deepEqual([delivered.state, delivered.attempts.length], ['delivered', 2]);
  assert.equal(delivered.nextAttemptAt, undefined);

  const { events } = (await server.call('GET', on(id, '/events'), { key: 'user' })).json;
  assert.deepEqual(
    events.map((event: { eventType: string }) => event.eventType),
    ['Send', 'DeliveryDelay', 'Delivery'],
  );
  assert.equal(events[2].delivery.smtpResponse, '250 2.0.0 Ok');
});

test('waiting mail can be cancelled; the answer lists the rest', async () => {
  const sendAt = new Date(server.clock.now() + DAY).toISOString();
  const scheduled = await send({ ...simple, to: ['b@example.net', 'c@example.net'], sendAt });
  const { id } = scheduled.json.messages[0];
  const waiting = (await server.call('GET', on(id), { key: 'user' })).json.deliveries;
  assert.deepEqual([waiting[0].state, waiting[0].nextAttemptAt], ['deferred', sendAt]);
  const both = [{ recipient: 'b@example.net' }, { recipient: 'c@example.net' }];
  const first = await server.call('POST', on(id, '/cancel'), { key: 'user' });
  assert.deepEqual([first.status, first.json], [200, { id, cancelled: both, tooLate: [] }]);
  const again = await server.call('POST', on(id, '/cancel'), { key: 'user' });
  assert.deepEqual(again.json, first.json, 'a second call gets the same answer');

  const sent = await send(simple);
  const [leased] = await lease();
  const late = await server.call('POST', on(sent.json.messages[0].id, '/cancel'), { key: 'user' });
  assert.deepEqual(late.json.cancelled, []);
  assert.equal(late.json.tooLate[0].recipient, 'b@example.net');
  const done = attempt({ state: 'delivered', reason: 'delivered', text: '250 Ok' });
  await server.engine.queue.settle([{ kind: 'end', leased: leased!, state: 'delivered', attempt: done }]);
  const over = await server.call('POST', on(sent.json.messages[0].id, '/cancel'), { key: 'user' });
  assert.deepEqual(over.json.tooLate, [
    { recipient: 'b@example.net', state: 'delivered', reason: 'delivered', text: '250 Ok' },
  ]);
  assert.deepEqual(await lease(10), [], 'nothing that was cancelled is handed out');
});

test('the messages of a tenant are not found by another', async () => {
  const { json } = await send(simple);
  const { id } = json.messages[0];
  for (const [method, rest] of [
    ['GET', ''],
    ['GET', '/events'],
    ['POST', '/cancel'],
  ] as const) {
    const theirs = await server.call(method, on(id, rest), { key: 'other' });
    const none = await server.call(method, on('none@example.com', rest), { key: 'other' });
    assert.deepEqual([theirs.status, none.status], [404, 404]);
  }
  assert.equal((await lease()).length, 1, 'and it was not cancelled');
  assert.equal((await server.call('GET', on(id), { key: 'admin' })).status, 200);
});

test('a tenant cannot send as another', async () => {
  const body = { ...simple, from: 'x@sub.example.com' };
  const { status, json } = await server.call('POST', '/messages', { key: 'other', body });
  assert.deepEqual([status, json.error.code], [400, 'identity_not_verified']);
  const asked = await server.call('POST', '/messages', {
    key: 'other',
    body: { ...simple, tenant: 'default' },
  });
  assert.equal(asked.json.error.code, 'access_denied');
});

test('1,000 personal messages go in one call, and are sent once when it is repeated', async () => {
  const recipients = Array.from({ length: 1_000 }, (_, n) => ({
    address: `u${n}@example.net`,
    substitutions: { n },
  }));
  const body = {
    from: 'a@example.com',
    recipients,
    class: 'bulk',
    template: { subject: 'Number {{n}}', text: 'You are {{n}}.' },
  };
  const first = await send(body, { 'idempotency-key': 'all' });
  assert.equal(first.status, 202);
  assert.equal(first.json.messages.length, 1_000);
  const again = await send(body, { 'idempotency-key': 'all' });
  assert.deepEqual(again.json, first.json);
  const other = await send({ ...body, class: 'transactional' }, { 'idempotency-key': 'all' });
  assert.equal(other.status, 409);
  const bulk = (await server.engine.queue.lanes()).find((one) => one.lane === 'default:bulk:other');
  assert.equal(bulk?.ready, 1_000);
  const { subject } = (await server.call('GET', on(first.json.messages[7].id), { key: 'user' })).json;
  assert.equal(subject, 'Number 7');
});

test('limits of the pipeline are reported with the fields of the request', async () => {
  const ahead = (ms: number) => send({ ...simple, sendAt: new Date(server.clock.now() + ms).toISOString() });
  assert.equal((await ahead(30 * DAY)).status, 202);
  const far = await ahead(30 * DAY + 1);
  assert.deepEqual([far.status, far.json.error.message], [400, 'sendAt is more than 30 days ahead.']);
  const pool = await send({ ...simple, pool: 'none' });
  assert.match(pool.json.error.message, /pool <none> does not exist/);
  const header = await send({ ...simple, headers: [{ name: 'X-A', value: 'a\r\nBcc: x@example.net' }] });
  assert.equal(header.json.error.code, 'invalid_header');
});

test('the new key of a tenant sends over this API at once', async () => {
  const { json: key } = await server.call('POST', '/keys', { key: 'admin', body: { tenant: 'default' } });
  const headers = { authorization: `Bearer ${key.bearer}` };
  const sent = await server.call('POST', '/messages', { headers, body: simple });
  assert.equal(sent.status, 202);
  const { keyId } = (await server.call('GET', on(sent.json.messages[0].id), { headers })).json;
  assert.equal(keyId, key.id);
});

test('a suppressed recipient shows as such in its record and its events', async () => {
  const put = { key: 'user', body: { reason: 'COMPLAINT' } } as const;
  await server.call('PUT', '/suppressions/gone%40example.net', put);
  const { json } = await send({ ...simple, to: ['Gone@example.net'] });
  const { id } = json.messages[0];
  const [delivery] = (await server.call('GET', on(id), { key: 'user' })).json.deliveries;
  const text = 'Not sent: gone@example.net is on the suppression list since ';
  assert.deepEqual([delivery.state, delivery.reason], ['suppressed', 'suppressed']);
  assert.ok(delivery.text.startsWith(text), delivery.text);
  assert.match(delivery.action, /delete it from the suppression list/);
  const { events } = (await server.call('GET', on(id, '/events'), { key: 'user' })).json;
  const { bounce } = events.at(-1);
  assert.deepEqual([bounce.bounceType, bounce.bounceSubType], ['Permanent', 'OnAccountSuppressionList']);
  assert.ok(bounce.bouncedRecipients[0].diagnosticCode.startsWith(text));
});
