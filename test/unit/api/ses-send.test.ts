import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  BadRequestException,
  NotFoundException,
  SendEmailCommand,
  type SendEmailCommandInput,
} from '@aws-sdk/client-sesv2';
import { type SesServer, send, startSesServer, USER } from '../../support/ses-server.ts';

let server: SesServer;
before(async () => {
  server = await startSesServer();
  const content = { subject: 'Hi {{name}}', text: 'Dear {{name}}', html: '<p>{{name}}</p>', createdAt: 1 };
  await server.control.templates.create({ ...content, name: 'welcome', tenant: 'default' });
  await server.control.templates.create({ ...content, name: 'other', tenant: 'tenant-2' });
});
after(() => server.close());

const BASE = {
  FromEmailAddress: 'Sender <sender@example.com>',
  Destination: { ToAddresses: ['to@example.net'] },
  Content: { Simple: { Subject: { Data: 'Hi' }, Body: { Text: { Data: 'text' } } } },
} satisfies SendEmailCommandInput;

function sendEmail(input: Partial<SendEmailCommandInput>) {
  return server.client().send(new SendEmailCommand({ ...BASE, ...input }));
}

describe('SendEmail', () => {
  test('sends simple content with every member', async () => {
    const { MessageId } = await sendEmail({
      Destination: {
        ToAddresses: ['a@example.net'],
        CcAddresses: ['b@example.net'],
        BccAddresses: ['c@example.net'],
      },
      ReplyToAddresses: ['reply@example.com'],
      FeedbackForwardingEmailAddress: 'bounces@example.com',
      ConfigurationSetName: 'set-1',
      EmailTags: [
        { Name: 'campaign', Value: 'spring_2026' },
        { Name: 'ses:feedback-id-a', Value: 'a' },
      ],
      Content: {
        Simple: {
          Subject: { Data: 'Grüße 📧', Charset: 'UTF-8' },
          Body: { Text: { Data: 'text' }, Html: { Data: '<p>html</p>' } },
          Headers: [{ Name: 'X-Note', Value: 'a' }],
          Attachments: [
            { FileName: 'a.txt', RawContent: Buffer.from([0, 255, 10]), ContentDisposition: 'ATTACHMENT' },
            {
              FileName: 'logo.png',
              RawContent: Buffer.from('png'),
              ContentType: 'image/png',
              ContentId: 'logo',
              ContentDescription: 'The logo',
              ContentDisposition: 'INLINE',
              ContentTransferEncoding: 'BASE64',
            },
          ],
        },
      },
    });
    assert.match(MessageId!, /^0100-/);
    assert.deepEqual(server.accept.last, {
      from: 'Sender <sender@example.com>',
      to: ['a@example.net'],
      cc: ['b@example.net'],
      bcc: ['c@example.net'],
      replyTo: ['reply@example.com'],
      configurationSet: 'set-1',
      tracking: undefined,
      tenant: 'default',
      feedbackTo: 'bounces@example.com',
      tags: [
        { name: 'campaign', value: 'spring_2026' },
        { name: 'ses:feedback-id-a', value: 'a' },
      ],
      content: {
        kind: 'simple',
        subject: 'Grüße 📧',
        text: 'text',
        html: '<p>html</p>',
        headers: [{ name: 'X-Note', value: 'a' }],
        attachments: [
          {
            fileName: 'a.txt',
            contentType: undefined,
            contentId: undefined,
            description: undefined,
            inline: false,
            content: Buffer.from([0, 255, 10]),
          },
          {
            fileName: 'logo.png',
            contentType: 'image/png',
            contentId: 'logo',
            description: 'The logo',
            inline: true,
            content: Buffer.from('png'),
          },
        ],
      },
    });
    assert.deepEqual(server.accept.calls.at(-1)!.caller, {
      keyId: 'AKIAPOSTERNADMIN0001',
      tenant: 'default',
      admin: true,
      sourceIp: '127.0.0.1',
    });
    assert.equal(server.accept.calls.at(-1)!.door, 'ses-v2');
  });

  test('sends raw content byte for byte, without From and Destination', async () => {
    const bytes = Buffer.from('From: a@example.com\r\n\r\n\u0000\xff', 'latin1');
    await server.client().send(new SendEmailCommand({ Content: { Raw: { Data: bytes } } }));
    const { from, to, cc, bcc, content } = server.accept.last;
    assert.deepEqual(
      { from, to, cc, bcc, content },
      {
        from: undefined,
        to: [],
        cc: [],
        bcc: [],
        content: { kind: 'raw', bytes },
      },
    );
  });

  const stored = { subject: 'Hi {{name}}', text: 'Dear {{name}}', html: '<p>{{name}}</p>' };
  const templates: [string, object, object][] = [
    ['by name', { TemplateName: 'welcome' }, { name: 'welcome', parts: stored }],
    [
      'by ARN',
      { TemplateArn: 'arn:aws:ses:us-east-1:123456789012:template/welcome' },
      { name: 'welcome', parts: stored },
    ],
    [
      'given whole',
      { TemplateContent: { Subject: 's', Html: 'h' } },
      { parts: { subject: 's', text: undefined, html: 'h' } },
    ],
  ];
  for (const [how, source, expected] of templates) {
    test(`a template ${how}`, async () => {
      await sendEmail({
        Content: {
          Template: { ...source, TemplateData: '{"name":"Ann"}', Headers: [{ Name: 'X-Note', Value: 'a' }] },
        },
      });
      assert.deepEqual(server.accept.last.content, {
        kind: 'template',
        ...expected,
        data: { name: 'Ann' },
        headers: [{ name: 'X-Note', value: 'a' }],
        attachments: undefined,
      });
    });
  }

  test('a template without data has empty data', async () => {
    await sendEmail({ Content: { Template: { TemplateName: 'welcome' } } });
    assert.deepEqual((server.accept.last.content as { data: unknown }).data, {});
  });

  test('unknown members are ignored', async () => {
    const reply = await send(server, {
      body: JSON.stringify({ ...BASE, Source: 'x', __proto__x: 1, Content: { ...BASE.Content, Odd: [1] } }),
    });
    assert.equal(reply.status, 200);
    assert.equal('Source' in server.accept.last, false);
  });

  test('null is the same as absent', async () => {
    const reply = await send(server, {
      body: JSON.stringify({ ...BASE, EmailTags: null, Content: { ...BASE.Content, Raw: null } }),
    });
    assert.equal(reply.status, 200);
  });
});

describe('the tenant of a message', () => {
  test('is that of the key, or for an administrator any other', async () => {
    await sendEmail({ TenantName: 'tenant-2', Content: { Template: { TemplateName: 'other' } } });
    assert.equal(server.accept.last.tenant, 'tenant-2');
    const user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
    await user.send(new SendEmailCommand(BASE));
    assert.equal(server.accept.last.tenant, 'tenant-2');
    assert.equal(server.accept.calls.at(-1)!.caller.admin, false);
  });

  test('is left to the header of raw content, unless the call names one', async () => {
    const Content = { Raw: { Data: Buffer.from('From: a@example.com\r\nX-SES-TENANT: tenant-2\r\n\r\nHi') } };
    await sendEmail({ Content });
    assert.equal(server.accept.last.tenant, undefined);
    await sendEmail({ Content, TenantName: 'tenant-2' });
    assert.equal(server.accept.last.tenant, 'tenant-2');
  });

  test('is refused to the key of another tenant', async () => {
    const user = server.client({ credentials: { accessKeyId: USER.id, secretAccessKey: USER.secret } });
    await assert.rejects(user.send(new SendEmailCommand({ ...BASE, TenantName: 'default' })), {
      name: 'AccessDeniedException',
      message: /is not authorized to perform ses:SendEmail on tenant default/,
    });
  });

  test('is the only one whose templates can be used', async () => {
    await assert.rejects(sendEmail({ Content: { Template: { TemplateName: 'other' } } }), (error) => {
      assert.ok(error instanceof NotFoundException);
      assert.equal(error.message, 'Template other does not exist.');
      return true;
    });
  });
});

describe('limits of SendEmail', () => {
  const simple = BASE.Content.Simple;
  const many = (n: number): string[] => Array.from({ length: n }, (_, i) => `r${i}@example.net`);
  const headers = (n: number) => Array.from({ length: n }, (_, i) => ({ Name: `X-${i}`, Value: 'v' }));
  const withHeader = (Name: string, Value: string) => ({
    Content: { Simple: { ...simple, Headers: [{ Name, Value }] } },
  });
  const tag = (Name: string, Value: string) => ({ EmailTags: [{ Name, Value }] });
  const data = (length: number) => ({
    Content: {
      Template: { TemplateName: 'welcome', TemplateData: JSON.stringify({ a: 'x'.repeat(length - 8) }) },
    },
  });

  const good: [string, Partial<SendEmailCommandInput>][] = [
    [
      '50 recipients',
      { Destination: { ToAddresses: many(20), CcAddresses: many(20), BccAddresses: many(10) } },
    ],
    ['15 headers', { Content: { Simple: { ...simple, Headers: headers(15) } } }],
    ['a header name of 126', withHeader('X'.repeat(126), 'v')],
    ['a header value of 995', withHeader('X', 'v'.repeat(995))],
    ['a tag of 255', tag('a'.repeat(255), 'b'.repeat(255))],
    ['template data of 262144', data(262_144)],
  ];
  for (const [name, input] of good) {
    test(`${name} are accepted`, async () => {
      await sendEmail(input);
    });
  }

  const bad: [string, Partial<SendEmailCommandInput>, RegExp][] = [
    [
      '51 recipients',
      { Destination: { ToAddresses: many(20), CcAddresses: many(20), BccAddresses: many(11) } },
      /^Recipient count exceeds 50\.$/,
    ],
    [
      '16 headers',
      { Content: { Simple: { ...simple, Headers: headers(16) } } },
      /^1 validation error detected: Value at 'content\.simple\.headers' failed to satisfy constraint: Member must have length less than or equal to 15$/,
    ],
    ['a header name of 127', withHeader('X'.repeat(127), 'v'), /'content\.simple\.headers\.1\.member\.name'/],
    ['a header value of 996', withHeader('X', 'v'.repeat(996)), /less than or equal to 995/],
    ['name and value of 997', withHeader('XX', 'v'.repeat(995)), /longer than 996/],
    ['a line break in a header', withHeader('X', 'a\r\nBcc: b@example.net'), /regular expression pattern/],
    ['a colon in a header name', withHeader('X:', 'a'), /regular expression pattern/],
    ['a tag name of 256', tag('a'.repeat(256), 'b'), /^Tag name cannot exceed 255 characters\.$/],
    ['a tag value of 256', tag('a', 'b'.repeat(256)), /^Tag value cannot exceed 255 characters\.$/],
    ['a tag without a name', tag('', 'b'), /^The tag name must be specified\.$/],
    ['a tag without a value', tag('a', ''), /^The tag value must be specified\.$/],
    [
      'a tag with a space',
      tag('a b', 'b'),
      /^Invalid tag name <a b>: only alphanumeric ASCII characters, '_', {2}'-' are allowed\.$/,
    ],
    ['a tag of the system', tag('ses:other', 'b'), /^Invalid tag name <ses:other>: /],
    [
      'a tag value with a colon',
      tag('a', 'x:y'),
      /^Invalid tag value <x:y>: only alphanumeric ASCII characters, '_', {2}'-' , '\.', '@' are allowed\.$/,
    ],
    ['template data of 262145', data(262_145), /less than or equal to 262144/],
    [
      'template data that is no JSON',
      { Content: { Template: { TemplateName: 'welcome', TemplateData: '{a' } } },
      /not valid JSON/,
    ],
    [
      'template data that is a list',
      { Content: { Template: { TemplateName: 'welcome', TemplateData: '[]' } } },
      /must be a JSON object/,
    ],
    ['no content', { Content: {} }, /exactly one of Simple, Raw and Template/],
    [
      'two contents',
      { Content: { ...BASE.Content, Raw: { Data: Buffer.from('x') } } },
      /exactly one of Simple, Raw and Template/,
    ],
    ['an empty body', { Content: { Simple: { ...simple, Body: {} } } }, /Text part, an Html part/],
    ['no template', { Content: { Template: { TemplateData: '{}' } } }, /exactly one of TemplateName/],
    [
      'an ARN of something else',
      { Content: { Template: { TemplateArn: 'arn:aws:s3:::bucket' } } },
      /not the ARN of a template/,
    ],
    [
      'a word that is none of the enumeration',
      { ConfigurationOverrides: { Tracking: { OpenTrackingEnabled: 'YES' as 'ENABLED' } } },
      /'configurationOverrides\.tracking\.openTrackingEnabled' .*enum value set: \[DISABLED, ENABLED\]/,
    ],
    [
      'several failures',
      { Content: { Simple: { ...simple, Headers: [{ Name: 'a b', Value: 'ü' }] } } },
      /^2 validation errors detected: Value at '.*\.headers\.1\.member\.name' .*; Value at '.*\.member\.value' /,
    ],
  ];
  for (const [name, input, message] of bad) {
    test(`${name} are refused`, async () => {
      const before = server.accept.submissions.length;
      await assert.rejects(sendEmail(input), (error) => {
        assert.ok(error instanceof BadRequestException, String(error));
        assert.match(error.message, message);
        return true;
      });
      assert.equal(server.accept.submissions.length, before);
    });
  }

  test('list management names the list, and the topic, that its reader leaves', async () => {
    for (const [ListManagementOptions, unsubscribe] of [
      [{ ContactListName: 'news' }, { contactList: 'news', topic: undefined }],
      [
        { ContactListName: 'news', TopicName: 'tips' },
        { contactList: 'news', topic: 'tips' },
      ],
    ] as const) {
      await sendEmail({ ListManagementOptions });
      assert.deepEqual(server.accept.submissions.at(-1)!.unsubscribe, unsubscribe);
    }
  });

  test('tracking options of the call override the configuration set', async () => {
    for (const [Tracking, tracking] of [
      [{ OpenTrackingEnabled: 'ENABLED' }, { opens: true, clicks: undefined }],
      [
        { OpenTrackingEnabled: 'DISABLED', ClickTrackingEnabled: 'ENABLED' },
        { opens: false, clicks: true },
      ],
    ] as const) {
      await sendEmail({ ConfigurationOverrides: { Tracking } });
      assert.deepEqual(server.accept.last?.tracking, tracking);
    }
  });

  test('a missing required member is named', async () => {
    const { status, headers: replied, json } = await send(server, { body: '{}' });
    assert.equal(status, 400);
    assert.equal(replied['x-amzn-errortype'], 'BadRequestException');
    assert.deepEqual(json, {
      __type: 'BadRequestException',
      message:
        "1 validation error detected: Value at 'content' failed to satisfy constraint: Member must not be null",
    });
  });

  test('a multi-region endpoint is refused', async () => {
    const { json } = await send(server, { body: JSON.stringify({ ...BASE, EndpointId: 'abc.def' }) });
    assert.match(json.message as string, /^EndpointId is not supported/);
  });

  test('null in a list is refused', async () => {
    const { status, json } = await send(server, {
      body: JSON.stringify({ ...BASE, ReplyToAddresses: [null] }),
    });
    assert.equal(status, 400);
    assert.match(json.message as string, /'replyToAddresses' .*: \[Member must not be null\]/);
  });

  const malformed: [string, string | Buffer, RegExp][] = [
    ['invalid JSON', '{"Content":', /not valid JSON/],
    ['JSON that is no object', '[]', /must be a JSON object/],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), /not valid UTF-8/],
    ['invalid base64', '{"Content":{"Raw":{"Data":"a*=="}}}', /'content\.raw\.data' must be valid base64/],
    ['base64 cut short', '{"Content":{"Raw":{"Data":"abc"}}}', /'content\.raw\.data' must be valid base64/],
    ['a number for a string', '{"FromEmailAddress":1}', /^NUMBER_VALUE can not be converted to a String$/],
    ['a string for a list', '{"ReplyToAddresses":"a"}', /^Expected list or null$/],
    ['a list for a structure', '{"Content":[]}', /^Start of list found where not expected$/],
  ];
  for (const [name, body, message] of malformed) {
    test(`${name} cannot be read`, async () => {
      const reply = await send(server, { body });
      assert.equal(reply.status, 400);
      assert.equal(reply.headers['x-amzn-errortype'], 'SerializationException');
      assert.match(reply.json.message as string, message);
    });
  }
});
