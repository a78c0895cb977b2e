import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import type { Submission } from '../../lib/accept/types.ts';
import { accepted, CALLER, openTestAccept, raw, refusal, simple } from '../support/accept.ts';
import { failure } from '../support/control.ts';

test('a message becomes a record, signed bytes and one item for each recipient', async () => {
  const t = await openTestAccept();
  const { messageId, admission, text } = await accepted(
    t,
    simple({
      to: ['bob@gmail.com'],
      cc: ['Eve <eve@example.org>'],
      bcc: ['bob@gmail.com', 'dan@example.net'],
    }),
  );
  const { record, deliveries } = admission;
  assert.match(messageId, /^0100[0-9a-f]{12}-[0-9a-f-]{36}-000000$/);
  assert.equal(record.id, messageId);
  assert.match(text, new RegExp(`\r\nMessage-ID: <${messageId}@example.com>\r\n`));
  assert.equal(record.commonHeaders.messageId, `<${messageId}@example.com>`);
  assert.deepEqual(record.recipients, ['bob@gmail.com', 'eve@example.org', 'dan@example.net']);
  assert.deepEqual(
    deliveries.map((item) => [item.n, item.lane, item.recipient]),
    [
      [0, 'default:transactional:google', 'bob@gmail.com'],
      [1, 'default:transactional:other', 'eve@example.org'],
      [2, 'default:transactional:other', 'dan@example.net'],
    ],
  );
  assert.equal(new Set(deliveries.map((item) => item.mailFrom)).size, 3);
  for (const item of deliveries) {
    assert.deepEqual(t.returnPaths.read(item.mailFrom, t.clock.now()), { messageId: record.id, n: item.n });
  }
  assert.ok(!/bcc|dan@example\.net/i.test(text), 'a blind copy is not shown');
  assert.equal(record.size, admission.body.length);
});

test('mail of a campaign is counted from its acceptance on, other mail only where a destination asks', async () => {
  const t = await openTestAccept();
  const { admission } = await accepted(t, simple({ campaign: 'spring' }));
  assert.deepEqual(
    admission.settled!.map(({ kind, n }) => [kind, n]),
    [['accepted', undefined]],
  );
  assert.deepEqual((await accepted(t, simple())).admission.settled, []);
});

test('the record names the lane where it differs from the provider data', async () => {
  const learnt = await openTestAccept({
    group: (domain) => (/^(gmail\.com|company\.example)$/.test(domain) ? 'google' : 'other'),
  });
  const mixed = simple({ to: ['bob@gmail.com', 'eve@company.example', 'dan@example.net'] });
  const { admission } = await accepted(learnt, mixed);
  assert.deepEqual(admission.record.groups, { 1: 'google' });
  assert.equal(admission.deliveries[1]!.lane, 'default:transactional:google');
  const { record } = (await accepted(learnt, simple())).admission;
  assert.equal(record.groups, undefined, 'and takes no room else');
});

test('the stored message has a valid signature', async () => {
  const t = await openTestAccept();
  const { admission } = await accepted(t, simple());
  const identity = (await t.control.identities.find('example.com'))!;
  const result = await dkimVerify(Buffer.from(admission.body), {
    resolver: async (name: string) => {
      const record = identity.dkim.records.find((candidate) => candidate.name === name);
      if (!record) throw Object.assign(new Error('none'), { code: 'ENOTFOUND' });
      return [[record.value]];
    },
    // The clock of the test stands in the past.
    curTime: new Date(t.clock.now()),
  });
  assert.equal(result.results.length, identity.dkim.records.length);
  for (const signature of result.results) assert.equal(signature.status.result, 'pass');
});

test('raw content: X-SES fields are removed, Message-ID and Date are set, line ends are made clean', async () => {
  const t = await openTestAccept();
  await t.control.configurationSets.create({
    name: 'news',
    tenant: 'default',
    delivery: { tlsPolicy: 'REQUIRE', pool: 'vip', maxDeliverySeconds: 300 },
    sendingEnabled: true,
    reputationMetricsEnabled: false,
    createdAt: 0,
  });
  const { admission, text, messageId } = await accepted(
    t,
    raw([
      'From: Ann <ann@example.com>',
      'To: bob@gmail.com',
      'Bcc: secret@example.org',
      'X-SES-CONFIGURATION-SET: news',
      'X-SES-MESSAGE-TAGS: campaign=spring',
      'Message-ID: <mine@example.com>',
      'Date: Thu, 1 Jan 1970 00:00:00 +0000',
      'Subject: Hi',
      '',
      'a bare\nline feed',
    ]),
  );
  assert.ok(!/X-SES|Bcc|mine@example|1970/i.test(text));
  assert.ok(text.includes(`Message-ID: <${messageId}@example.com>`));
  assert.ok(text.endsWith('a bare\r\nline feed\r\n'));
  const [item] = admission.deliveries;
  assert.equal(item!.lane, 'vip:transactional:google');
  assert.equal(item!.requireTls, true);
  assert.equal(item!.expiresAt, t.clock.now() + 300_000);
  assert.deepEqual(admission.record.tags.campaign, ['spring']);
  assert.equal(admission.record.campaign, 'spring', 'which is what directives know it by');
  assert.equal(admission.deliveries[0]!.campaign, 'spring');
  assert.deepEqual(admission.record.tags['ses:configuration-set'], ['news']);
});

test('raw content without a destination goes to its To, Cc and Bcc', async () => {
  const t = await openTestAccept();
  const lines = [
    'From: ann@example.com',
    'To: A <a@example.org>, b@example.org',
    'Bcc: c@example.org',
    '',
    'Hi',
    '',
  ];
  const { admission } = await accepted(t, raw(lines, { to: [] }));
  assert.deepEqual(admission.record.recipients, ['a@example.org', 'b@example.org', 'c@example.org']);
});

const REFUSED: [what: string, submission: Submission, code: string, says: RegExp][] = [
  [
    'an unverified From, in the words of SES',
    simple({ from: 'x@other.example' }),
    'identity_not_verified',
    /^Email address is not verified\. The following identities failed the check in region US-EAST-1: x@other\.example$/,
  ],
  [
    'an unverified MAIL FROM',
    simple({ mailFrom: 'x@other.example' }),
    'identity_not_verified',
    /x@other\.example/,
  ],
  [
    'a header From that differs from the checked one',
    raw(['From: boss@bank.example', '', 'Hi'], { from: 'ann@example.com' }),
    'identity_not_verified',
    /boss@bank\.example/,
  ],
  ['raw content without From', raw(['To: bob@gmail.com', '', 'Hi']), 'bad_request', /'From'/],
  [
    'two From fields',
    raw(['From: ann@example.com', 'From: x@y.example', '', 'Hi']),
    'message_rejected',
    /one From field/,
  ],
  [
    'two addresses in From',
    raw(['From: ann@example.com, x@y.example', '', 'Hi']),
    'message_rejected',
    /one From field/,
  ],
  ['no recipient', simple({ to: [] }), 'message_rejected', /at least one recipient/],
  [
    '51 recipients',
    simple({ to: Array.from({ length: 51 }, (_, i) => `u${i}@example.org`) }),
    'too_many_recipients',
    /51/,
  ],
  [
    'a line break in an address',
    simple({ to: ['bob@gmail.com\r\nRCPT TO:<eve@example.org>'] }),
    'invalid_address',
    /./,
  ],
  [
    'an unknown configuration set',
    simple({ configurationSet: 'x' }),
    'configuration_set_missing',
    /<x> does not exist/,
  ],
  ['an unknown pool', simple({ pool: 'x' }), 'pool_missing', /<x> does not exist/],
  ['a schedule too far ahead', simple({ sendAt: Date.UTC(2026, 0, 31) + 1 }), 'bad_request', /30 days/],
  ['another tenant', simple({ tenant: 'other' }), 'access_denied', /"other"/],
  [
    'a mail loop',
    raw(['From: ann@example.com', ...Array.from({ length: 51 }, () => 'Received: by x; now'), '', 'Hi']),
    'message_rejected',
    /loop/,
  ],
];

for (const [what, submission, code, says] of REFUSED) {
  test(`refused: ${what}`, async () => {
    const error = await refusal(await openTestAccept(), submission);
    assert.equal(error.code, code);
    assert.match(error.message, says);
  });
}

test('50 recipients and 30 days ahead are within the limits', async () => {
  const t = await openTestAccept();
  const { admission } = await accepted(
    t,
    simple({ to: Array.from({ length: 50 }, (_, i) => `u${i}@example.org`), sendAt: Date.UTC(2026, 0, 31) }),
  );
  assert.equal(admission.deliveries.length, 50);
  assert.equal(admission.deliveries[0]!.due, Date.UTC(2026, 0, 31));
  assert.equal(admission.deliveries[0]!.reason?.code, 'scheduled');
});

test('a message of the size limit is accepted, one byte more is not', async () => {
  const probe = await openTestAccept();
  const lines = (length: number) => ['From: ann@example.com', 'Subject: Hi', '', 'x'.repeat(length)];
  const { admission } = await accepted(probe, raw(lines(100)));
  const exact = await openTestAccept({ maxMessageBytes: admission.body.length });
  await accepted(exact, raw(lines(100)));
  const t = await openTestAccept({ maxMessageBytes: admission.body.length });
  assert.equal((await refusal(t, raw(lines(101)))).code, 'message_rejected');
});

test('a paused account or set sends nothing', async () => {
  const t = await openTestAccept();
  await t.control.account.setSendingEnabled(false);
  assert.equal((await refusal(t, simple())).code, 'sending_paused');
});

test('a rendering failure is accepted and recorded, once as an event, and sends nothing', async () => {
  const t = await openTestAccept();
  const { messageId, admission } = await accepted(
    t,
    simple({
      to: ['a@example.org', 'b@example.org'],
      content: { kind: 'template', name: 'welcome', parts: { subject: 'Hi {{name}}', text: 'x' }, data: {} },
    }),
  );
  assert.ok(messageId);
  assert.equal(admission.deliveries.length, 0);
  assert.deepEqual(
    admission.settled?.map((outcome) => [outcome.n, outcome.attempt?.state, outcome.detail]),
    [
      [
        0,
        'cancelled',
        { templateName: 'welcome', errorMessage: "Attribute 'name' is not present in the rendering data." },
      ],
      [1, 'cancelled', undefined],
    ],
  );
});

test('each message of a batch is accepted or refused by itself, and the accepted ones are stored together', async () => {
  const t = await openTestAccept();
  const results = await t.accept.submit(
    [simple(), simple({ from: 'x@other.example' }), simple({ to: ['c@example.org'] })],
    {
      door: 'ses-v2',
      caller: CALLER,
      idempotency: { key: 'k', digest: 'd', ttl: 1000 },
    },
  );
  assert.deepEqual(
    results.map((result) => 'error' in result),
    [false, true, false],
  );
  assert.equal(t.queue.admissions.length, 2);
  assert.equal(t.queue.claims.length, 1);
  assert.equal(t.queue.claims[0]!.key, 'AKIATEST/k');

  // A repeat gives the first answer with its refusals, even when the configuration has changed since.
  await t.control.identities.delete('example.com');
  const again = await t.accept.submit([simple(), simple(), simple()], {
    door: 'ses-v2',
    caller: CALLER,
    idempotency: { key: 'k', digest: 'd', ttl: 1000 },
  });
  assert.deepEqual(again[0], results[0]);
  assert.ok('error' in again[1]! && again[1].error.code === 'identity_not_verified');
  assert.deepEqual(again[2], results[2]);
  assert.equal(t.queue.admissions.length, 2);
  await assert.rejects(
    t.accept.submit([simple()], {
      door: 'ses-v2',
      caller: CALLER,
      idempotency: { key: 'k', digest: 'another', ttl: 1000 },
    }),
    failure('idempotency_conflict'),
  );
});

test('the second of two simultaneous equal calls gets the answer of the first', async () => {
  const t = await openTestAccept();
  const response = JSON.stringify([{ messageId: 'first@example.com' }]);
  t.queue.next = () => ({ kind: 'repeated', response });
  const options = { door: 'ses-v2', caller: CALLER, idempotency: { key: 'k', digest: 'd', ttl: 1 } } as const;
  assert.deepEqual(await t.accept.submit([simple()], options), [{ messageId: 'first@example.com' }]);
});

test('a key used for another request, and a store that is unavailable, refuse the whole call', async () => {
  const t = await openTestAccept();
  t.queue.next = () => ({ kind: 'conflict' });
  const options = { door: 'ses-v2', caller: CALLER, idempotency: { key: 'k', digest: 'd', ttl: 1 } } as const;
  await assert.rejects(t.accept.submit([simple()], options), failure('idempotency_conflict'));
});
