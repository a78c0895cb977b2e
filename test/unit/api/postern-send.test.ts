import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { PosternError } from '../../../lib/errors.ts';
import { DAY } from '../../../lib/time.ts';
import { type CallOptions, type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let server: PosternServer;
before(async () => {
  server = await startPosternServer();
});
after(() => server.close());
beforeEach(() => {
  server.accept.refuse = () => {};
  server.accept.failure = undefined;
});

const simple = { from: 'a@example.com', to: ['b@example.net'], subject: 'Hello', text: 'Hello.' };
const send = (body: unknown, options: CallOptions = {}) =>
  server.call('POST', '/messages', { key: 'user', body, ...options });

async function refused(body: unknown, message: RegExp, status = 400, code = 'bad_request') {
  const before = server.accept.submissions.length;
  const { status: actual, json } = await send(body);
  assert.deepEqual([actual, json.error?.code], [status, code], JSON.stringify(json));
  assert.match(json.error.message, message);
  assert.equal(server.accept.submissions.length, before, 'nothing was taken in');
}

test('a message lets its reader unsubscribe where its sender asks', async () => {
  await send({ ...simple, to: ['b@example.net'], unsubscribe: true });
  assert.deepEqual(server.accept.last.unsubscribe, {});
  await send({ ...simple, to: ['b@example.net'], unsubscribe: false });
  assert.equal(server.accept.last.unsubscribe, undefined);
  await refused({ ...simple, to: ['b@example.net'], unsubscribe: 'yes' }, /unsubscribe/);
});

test('one message goes to all recipients in to, cc and bcc', async () => {
  const { status, json } = await send({
    ...simple,
    to: ['Bob <b@example.net>'],
    cc: ['c@example.net'],
    bcc: ['d@example.net'],
    replyTo: ['r@example.com'],
    html: '<p>{{literal}}</p>',
    headers: [{ name: 'X-Order', value: '7' }],
    class: 'bulk',
    pool: 'vip',
    tags: { campaign: 'spring', 'ses:feedback-id-a': 'x' },
    campaign: 'spring',
    configurationSet: 'news',
    sendAt: '2026-02-01T00:00:00+01:00',
  });
  assert.equal(status, 202);
  const [{ id }] = json.messages;
  assert.deepEqual(json, {
    messages: ['Bob <b@example.net>', 'c@example.net', 'd@example.net'].map((recipient) => ({
      id,
      recipient,
    })),
    rejected: [],
  });
  assert.deepEqual(server.accept.last, {
    from: 'a@example.com',
    to: ['Bob <b@example.net>'],
    cc: ['c@example.net'],
    bcc: ['d@example.net'],
    replyTo: ['r@example.com'],
    content: {
      kind: 'simple',
      subject: 'Hello',
      text: 'Hello.',
      html: '<p>{{literal}}</p>',
      headers: [{ name: 'X-Order', value: '7' }],
      attachments: undefined,
    },
    class: 'bulk',
    pool: 'vip',
    tags: [
      { name: 'campaign', value: 'spring' },
      { name: 'ses:feedback-id-a', value: 'x' },
    ],
    campaign: 'spring',
    configurationSet: 'news',
    tenant: 'default',
    sendAt: Date.UTC(2026, 0, 31, 23),
  });
  const { door, caller } = server.accept.calls.at(-1)!;
  assert.equal(door, 'postern');
  assert.deepEqual(caller, { keyId: 'AKIAUSER', tenant: 'default', admin: false, sourceIp: '127.0.0.1' });
});

test('each of the recipients gets a message of its own', async () => {
  const before = server.accept.submissions.length;
  const { json } = await send({
    from: 'a@example.com',
    recipients: [
      { address: 'b@example.net', name: 'Bücher, "Bob"', substitutions: { first: 'Bob' } },
      { address: 'c@example.net' },
    ],
    template: { subject: 'Hello {{first}}', text: '{{shop}}' },
    substitutions: { first: 'friend', shop: 'Shop' },
  });
  assert.equal(json.messages.length, 2);
  assert.notEqual(json.messages[0].id, json.messages[1].id);
  const [first, second] = server.accept.submissions.slice(before);
  assert.match(first!.to[0]!, /^=\?utf-8\?.*<b@example\.net>$/i);
  assert.deepEqual(second!.to, ['c@example.net']);
  assert.deepEqual(first!.content.kind === 'template' && first!.content.data, { first: 'Bob', shop: 'Shop' });
  assert.deepEqual(second!.content.kind === 'template' && second!.content.data, {
    first: 'friend',
    shop: 'Shop',
  });
});

test('1,000 recipients are accepted, one more is refused', async () => {
  const recipients = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ address: `u${n}@example.net` }));
  const { to: _, ...rest } = simple;
  const { status, json } = await send({ ...rest, recipients: recipients(1_000) });
  assert.equal(status, 202);
  assert.equal(new Set(json.messages.map((one: { id: string }) => one.id)).size, 1_000);
  assert.equal(json.messages[999].recipient, 'u999@example.net');
  await refused(
    { ...rest, recipients: recipients(1_001) },
    /^\/recipients has 1001 items; it may have at most 1000/,
  );
  await refused({ ...rest, recipients: [] }, /^\/recipients must have at least 1 item/);
});

test('refused recipients do not stop the others', async () => {
  server.accept.refuse = (submission) => {
    if (submission.to[0] === 'no@example.net') throw new PosternError('rendering_failed', 'No name.');
  };
  const { to: _, ...rest } = simple;
  const addresses = [
    'not an address',
    'yes@example.net',
    'no@example.net',
    'a@b\r\nBcc: x@y.example',
    'also@example.net',
  ];
  const { status, json } = await send({ ...rest, recipients: addresses.map((address) => ({ address })) });
  assert.equal(status, 202);
  assert.deepEqual(
    json.messages.map((one: { recipient: string }) => one.recipient),
    ['yes@example.net', 'also@example.net'],
  );
  assert.deepEqual(
    json.rejected.map((one: { recipient: string; error: { code: string } }) => [
      one.recipient,
      one.error.code,
    ]),
    [
      ['not an address', 'invalid_address'],
      ['no@example.net', 'rendering_failed'],
      ['a@b\r\nBcc: x@y.example', 'invalid_address'],
    ],
  );
});

test('when no message is accepted, the call fails with the error of the first', async () => {
  server.accept.refuse = () => {
    throw new PosternError('identity_not_verified', 'Email address is not verified.');
  };
  await refused(simple, /not verified/, 400, 'identity_not_verified');
});

test('failures of the whole call keep their status, and server errors are logged', async () => {
  server.accept.failure = new PosternError('storage_full', 'The disk is full.');
  await refused(simple, /disk is full/, 503, 'storage_full');
  server.accept.failure = new TypeError('secret detail');
  await refused(simple, /^Something went wrong on our side/, 500, 'internal');
  const { event, fields } = server.log.at(-1)!;
  assert.equal(event, 'postern-api.failed');
  assert.match(String(fields?.error), /secret detail/);
});

test('a template is inline, or stored in the same tenant', async () => {
  const stored = { name: 'hello', subject: 'Hi {{x}}', text: 'T', createdAt: 0 };
  await server.control.templates.create({ ...stored, tenant: 'default' });
  await server.control.templates.create({ ...stored, name: 'theirs', tenant: 'other' });
  const { subject: _, text: __, ...rest } = simple;
  await send({ ...rest, template: 'hello', substitutions: { x: 1 } });
  assert.deepEqual(server.accept.last.content, {
    kind: 'template',
    name: 'hello',
    parts: { subject: 'Hi {{x}}', text: 'T', html: undefined },
    data: { x: 1 },
    headers: undefined,
    attachments: undefined,
  });
  await refused({ ...rest, template: 'theirs' }, /template theirs does not exist/, 404, 'template_missing');
  await refused({ ...rest, template: 'a/b' }, /^\/template must match/);
  await refused({ ...rest, template: { body: 'x' } }, /^\/template\/body is not a member/);
  await refused({ ...rest, template: 7 }, /^\/template must be a string or an object/);
});

test('attachments come as base64', async () => {
  const content = Buffer.from([0, 255, 13, 10]).toString('base64');
  const attachment = {
    fileName: 'a.bin',
    contentType: 'application/x',
    contentId: 'c',
    inline: true,
    content,
  };
  await send({ ...simple, attachments: [attachment] });
  const sent = server.accept.last.content;
  assert.deepEqual(sent.kind === 'simple' && sent.attachments, [
    { ...attachment, content: Buffer.from([0, 255, 13, 10]) },
  ]);
  for (const bad of ['AAA', 'AA=A', 'A A=', '!!!!', 'AAAA\n']) {
    await refused(
      { ...simple, attachments: [{ ...attachment, content: bad }] },
      /^\/attachments\/0\/content must be base64/,
    );
  }
  await refused({ ...simple, attachments: [{ content }] }, /^\/attachments\/0\/fileName is missing/);
});

test('contradictory requests are refused', async () => {
  const { to: _, ...nobody } = simple;
  const { text: __, ...nothing } = simple;
  await refused(nobody, /Name either \/recipients, or/);
  await refused({ ...simple, to: [] }, /Name either \/recipients, or/);
  await refused({ ...simple, recipients: [{ address: 'c@example.net' }] }, /Name either \/recipients, or/);
  await refused(nothing, /Give \/text, \/html, or both/);
  await refused({ ...simple, template: 'hello' }, /Give either \/template, or/);
  await refused({ from: 'a@example.com', to: ['b@example.net'] }, /Give either \/template, or/);
  await refused({ ...simple, substitutions: { a: 1 } }, /Substitutions need a \/template/);
  await refused(
    { ...nobody, recipients: [{ address: 'c@example.net', substitutions: {} }] },
    /Substitutions need/,
  );
});

test('a request is checked by its schema, and each problem is named with its path', async () => {
  await refused({}, /^\/from is missing/);
  await refused({ ...simple, form: 1 }, /^\/form is not a member of this request\.$/);
  await refused({ ...simple, to: 'b@example.net' }, /^\/to must be an array/);
  await refused(
    { ...simple, subject: 1, class: 'slow', pool: '' },
    /\/subject must be a string; \/class must be one of transactional, bulk; \/pool must match/,
  );
  await refused({ ...simple, subject: 'x'.repeat(4_001) }, /^\/subject has 4001 characters/);
  await refused({ ...simple, tags: { 'a b': 'x' } }, /^\/tags\/a b: the name must match/);
  await refused({ ...simple, tags: { a: 'x y' } }, /^\/tags\/a must match/);
  await refused({ ...simple, tags: { 'ses:source-ip': 'x' } }, /^\/tags\/ses:source-ip: the name/);
  await refused({ ...simple, sendAt: '2026-02-01' }, /^\/sendAt must be a time/);
  await refused(
    { ...simple, to: new Array(51).fill('b@example.net') },
    /^\/to has 51 items; it may have at most 50/,
  );
  await refused(
    { ...simple, headers: new Array(16).fill({ name: 'X-A', value: 'b' }) },
    /^\/headers has 16 items/,
  );
  await refused({ ...simple, from: null }, /^\/from must be a string/);
  assert.equal((await send({ ...simple, subject: 'x'.repeat(4_000) })).status, 202);
});

test('a body that is not a JSON object in UTF-8 is refused', async () => {
  await refused('{', /not valid JSON/, 400, 'malformed_request');
  await refused('[]', /must be a JSON object/, 400, 'malformed_request');
  await refused('null', /must be a JSON object/, 400, 'malformed_request');
  await refused('', /^\/from is missing/);
  const response = await fetch(`${server.url}/v1/messages`, {
    method: 'POST',
    headers: { authorization: 'Bearer AKIAUSER.user/secret+0123456789' },
    body: Buffer.concat([Buffer.from('{"from":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]),
  });
  assert.equal(response.status, 400);
  assert.match(await response.text(), /not valid UTF-8/);
});

test('a body is read up to its limit', async () => {
  const small = await startPosternServer({ limits: { messageBytes: 3 * 1024 } });
  try {
    // The cap is the message in base64 and 1 MiB for the rest of the JSON.
    const cap = 4 * 1024 + 1024 * 1024;
    const frame = JSON.stringify({ ...simple, text: '' }).length;
    const body = (size: number) => JSON.stringify({ ...simple, text: 'x'.repeat(size - frame) });
    const post = (text: string) => small.call('POST', '/messages', { key: 'user', body: text });
    assert.equal((await post(body(cap))).status, 202);
    const { status, json } = await post(body(cap + 1));
    assert.deepEqual([status, json.error.code], [413, 'too_large']);
  } finally {
    await small.close();
  }
});

test('an idempotency key gives the first answer again, for the same body only', async () => {
  const headers = { 'idempotency-key': 'order 7' };
  const first = await send(simple, { headers });
  const count = server.accept.submissions.length;
  const again = await send(simple, { headers });
  assert.deepEqual([again.status, again.json], [202, first.json]);
  assert.equal(server.accept.submissions.length, count);
  const other = await send({ ...simple, text: 'Other.' }, { headers });
  assert.deepEqual([other.status, other.json.error.code], [409, 'idempotency_conflict']);
  const theirs = await send(simple, { headers, key: 'admin' });
  assert.notEqual(theirs.json.messages[0].id, first.json.messages[0].id, 'another key has its own');
  const { idempotency } = server.accept.calls.at(-1)!;
  assert.equal(idempotency?.ttl, DAY);
});

test('an idempotency key has 1 to 256 printable characters', async () => {
  const status = async (key: string) => (await send(simple, { headers: { 'idempotency-key': key } })).status;
  assert.equal(await status('x'.repeat(256)), 202);
  assert.equal(await status('x'.repeat(257)), 400);
  assert.equal(await status(''), 400);
  assert.equal(await status('caf\u00e9'), 400);
});

test("only an administrator's key may send for another tenant", async () => {
  await refused({ ...simple, tenant: 'other' }, /\/tenant: the key AKIAUSER/, 403, 'access_denied');
  assert.equal((await send({ ...simple, tenant: 'default' })).status, 202);
  assert.equal((await send({ ...simple, tenant: 'other' }, { key: 'admin' })).status, 202);
  assert.equal(server.accept.last.tenant, 'other');
});
