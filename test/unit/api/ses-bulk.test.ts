import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  BadRequestException,
  type BulkEmailEntry,
  NotFoundException,
  SendBulkEmailCommand,
  type SendBulkEmailCommandInput,
} from '@aws-sdk/client-sesv2';
import { type ErrorCode, PosternError } from '../../../lib/errors.ts';
import { type SesServer, startSesServer } from '../../support/ses-server.ts';

let server: SesServer;
before(async () => {
  server = await startSesServer();
  await server.control.templates.create({
    name: 'welcome',
    tenant: 'default',
    subject: 'Hi {{user.name}}',
    text: '{{user.city}}',
    createdAt: 1,
  });
});
after(() => server.close());

const to = (name: string): BulkEmailEntry => ({ Destination: { ToAddresses: [`${name}@example.net`] } });

function bulk(entries: BulkEmailEntry[], change: Partial<SendBulkEmailCommandInput> = {}) {
  return server.client().send(
    new SendBulkEmailCommand({
      FromEmailAddress: 'sender@example.com',
      ReplyToAddresses: ['reply@example.com'],
      ConfigurationSetName: 'set-1',
      DefaultEmailTags: [
        { Name: 'a', Value: '1' },
        { Name: 'b', Value: '2' },
      ],
      DefaultContent: {
        Template: {
          TemplateName: 'welcome',
          TemplateData: '{"user":{"name":"friend","city":"Basel"},"list":[1,2]}',
          Headers: [
            { Name: 'X-One', Value: '1' },
            { Name: 'X-Two', Value: '2' },
          ],
        },
      },
      BulkEmailEntries: entries,
      ...change,
    }),
  );
}

test('each entry is a message of its own, with its replacements over the defaults', async () => {
  const { BulkEmailEntryResults: results } = await bulk([
    to('a'),
    {
      ...to('b'),
      ReplacementTags: [{ Name: 'b', Value: '3' }],
      ReplacementHeaders: [{ Name: 'x-two', Value: '4' }],
      ReplacementEmailContent: {
        ReplacementTemplate: { ReplacementTemplateData: '{"user":{"name":"Bea"},"list":[3]}' },
      },
    },
  ]);
  assert.deepEqual(
    results!.map(({ Status }) => Status),
    ['SUCCESS', 'SUCCESS'],
  );
  const [first, second] = server.accept.submissions.slice(-2);
  assert.deepEqual([results![0]!.MessageId, results![1]!.MessageId], ['0100-1-000000', '0100-2-000000']);
  const parts = { subject: 'Hi {{user.name}}', text: '{{user.city}}', html: undefined };
  assert.deepEqual(first, {
    from: 'sender@example.com',
    to: ['a@example.net'],
    cc: [],
    bcc: [],
    replyTo: ['reply@example.com'],
    configurationSet: 'set-1',
    tracking: undefined,
    tenant: 'default',
    tags: [
      { name: 'a', value: '1' },
      { name: 'b', value: '2' },
    ],
    content: {
      kind: 'template',
      name: 'welcome',
      parts,
      data: { user: { name: 'friend', city: 'Basel' }, list: [1, 2] },
      headers: [
        { name: 'X-One', value: '1' },
        { name: 'X-Two', value: '2' },
      ],
      attachments: undefined,
    },
  });
  assert.deepEqual(second!.tags, [
    { name: 'a', value: '1' },
    { name: 'b', value: '3' },
  ]);
  assert.deepEqual(JSON.parse(JSON.stringify(second!.content)), {
    kind: 'template',
    name: 'welcome',
    parts: { subject: parts.subject, text: parts.text },
    data: { user: { name: 'Bea', city: 'Basel' }, list: [3] },
    headers: [
      { name: 'X-One', value: '1' },
      { name: 'x-two', value: '4' },
    ],
  });
});

test('a failed entry has its error in its place, and the others are sent', async () => {
  const before = server.accept.submissions.length;
  const { BulkEmailEntryResults: results } = await bulk([
    to('a'),
    {
      ...to('b'),
      ReplacementEmailContent: { ReplacementTemplate: { ReplacementTemplateData: 'nonsense' } },
    },
    { Destination: { ToAddresses: Array.from({ length: 51 }, (_, i) => `r${i}@example.net`) } },
    to('c'),
  ]);
  assert.deepEqual(
    results!.map(({ Status, Error: error }) => [Status, error]),
    [
      ['SUCCESS', undefined],
      ['INVALID_PARAMETER', 'The template data is not valid JSON.'],
      ['INVALID_PARAMETER', 'Recipient count exceeds 50.'],
      ['SUCCESS', undefined],
    ],
  );
  assert.equal(server.accept.submissions.length, before + 2);
});

const statuses: [ErrorCode, string][] = [
  ['message_rejected', 'MESSAGE_REJECTED'],
  ['configuration_set_missing', 'CONFIGURATION_SET_NOT_FOUND'],
  ['pool_missing', 'INVALID_SENDING_POOL_NAME'],
  ['throttled', 'ACCOUNT_THROTTLED'],
  ['sending_paused', 'CONFIGURATION_SET_SENDING_PAUSED'],
  ['invalid_address', 'INVALID_PARAMETER'],
  ['storage_unavailable', 'TRANSIENT_FAILURE'],
  ['internal', 'TRANSIENT_FAILURE'],
];
for (const [code, status] of statuses) {
  test(`${code} is the status ${status}`, async () => {
    server.accept.refuse = () => {
      throw new PosternError(code, 'Why.');
    };
    const { BulkEmailEntryResults: results } = await bulk([to('a')]);
    server.accept.refuse = () => {};
    assert.deepEqual(results, [{ Status: status, Error: 'Why.' }]);
  });
}

test('a sender that may not send fails the whole call, and so does no sender', async () => {
  server.accept.refuse = () => {
    throw new PosternError('identity_not_verified', 'Email address is not verified.');
  };
  await assert.rejects(bulk([to('a'), to('b')]), {
    name: 'MessageRejected',
    message: 'Email address is not verified.',
  });
  server.accept.refuse = () => {};
  await assert.rejects(bulk([to('a')], { FromEmailAddress: undefined }), {
    name: 'BadRequestException',
    message: 'Source cannot be empty',
  });
});

test('a paused account has a status of its own', async () => {
  await server.control.account.setSendingEnabled(false);
  server.accept.refuse = () => {
    throw new PosternError('sending_paused', 'Why.');
  };
  const { BulkEmailEntryResults: results } = await bulk([to('a')]);
  server.accept.refuse = () => {};
  await server.control.account.setSendingEnabled(true);
  assert.equal(results![0]!.Status, 'ACCOUNT_SENDING_PAUSED');
});

test('50 entries are accepted; none, 51, and an unknown template are refused', async () => {
  const entries = Array.from({ length: 51 }, (_, i) => to(`r${i}`));
  assert.equal((await bulk(entries.slice(1))).BulkEmailEntryResults!.length, 50);
  await assert.rejects(bulk(entries), (error) => {
    assert.ok(error instanceof BadRequestException);
    assert.match(error.message, /'bulkEmailEntries' .*length less than or equal to 50/);
    return true;
  });
  await assert.rejects(bulk([]), BadRequestException);
  await assert.rejects(
    bulk([to('a')], { DefaultContent: { Template: { TemplateName: 'nothing', TemplateData: '{}' } } }),
    NotFoundException,
  );
  await assert.rejects(bulk([to('a')], { DefaultContent: {} }), /'defaultContent\.template'/);
});
