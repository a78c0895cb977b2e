import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseMessage } from '../../lib/mail/message.ts';
import { takeSesHeaders } from '../../lib/mail/ses-headers.ts';

const fieldsOf = (...lines: string[]) => parseMessage(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)).fields;

describe('X-SES headers', () => {
  it('are read and removed', () => {
    const taken = takeSesHeaders(
      fieldsOf(
        'From: a@b.example',
        'X-SES-CONFIGURATION-SET: promotions',
        'x-ses-message-tags: campaign=autumn, type=news,',
        'X-SES-MESSAGE-TAGS: ses:feedback-id-a=shop',
        'X-SES-TENANT: acme',
        'X-SES-SOURCE-ARN: arn:1',
        'X-SES-FROM-ARN: arn:2',
        'X-SES-RETURN-PATH-ARN: arn:3',
        'X-SES-LIST-MANAGEMENT-OPTIONS: weekly; topic=sports',
        'X-SES-Unheard-Of: x',
        'Subject: x',
      ),
    );
    assert.deepEqual(taken, {
      fields: fieldsOf('From: a@b.example', 'Subject: x'),
      configurationSet: 'promotions',
      tags: [
        { name: 'campaign', value: 'autumn' },
        { name: 'type', value: 'news' },
        { name: 'ses:feedback-id-a', value: 'shop' },
      ],
      tenant: 'acme',
      sourceArn: 'arn:1',
      fromArn: 'arn:2',
      returnPathArn: 'arn:3',
      unsubscribe: { contactList: 'weekly', topic: 'sports' },
    });
  });

  it('may be absent', () => {
    const fields = fieldsOf('From: a@b.example', 'X-Session: 1');
    assert.deepEqual(takeSesHeaders(fields), { fields, tags: [] });
    assert.equal(takeSesHeaders(fields).fields, fields);
  });

  it('take Bcc and Return-Path with them', () => {
    const fields = fieldsOf(
      'Bcc: x@y.example',
      'From: a@b.example',
      'Return-Path: <c@d.example>',
      'Resent-Bcc: z@y.example',
    );
    assert.deepEqual(takeSesHeaders(fields), { fields: fieldsOf('From: a@b.example'), tags: [] });
  });

  it('may be empty, without effect', () => {
    assert.deepEqual(takeSesHeaders(fieldsOf('X-SES-TENANT:', 'X-SES-MESSAGE-TAGS: , ')), {
      fields: [],
      tags: [],
    });
  });

  it('name the list in both forms', () => {
    const forms = ['contactListName=weekly; topicName=sports', 'weekly;topic=sports'];
    for (const form of forms) {
      const { unsubscribe } = takeSesHeaders(fieldsOf(`X-SES-LIST-MANAGEMENT-OPTIONS: ${form}`));
      assert.deepEqual(unsubscribe, { contactList: 'weekly', topic: 'sports' });
    }
    const { unsubscribe } = takeSesHeaders(fieldsOf('X-SES-LIST-MANAGEMENT-OPTIONS: weekly'));
    assert.deepEqual(unsubscribe, { contactList: 'weekly' });
  });

  const bad = [
    ['X-SES-TENANT: a', 'X-SES-TENANT: b'],
    ['X-SES-MESSAGE-TAGS: novalue'],
    ['X-SES-MESSAGE-TAGS: a=b c'],
    ['X-SES-MESSAGE-TAGS: a='],
    ['X-SES-MESSAGE-TAGS: =b'],
    ['X-SES-MESSAGE-TAGS: ses:other=b'],
    [`X-SES-MESSAGE-TAGS: a=${'b'.repeat(257)}`],
    ['X-SES-LIST-MANAGEMENT-OPTIONS: a; b=c'],
    ['X-SES-LIST-MANAGEMENT-OPTIONS: a; topic=b; c'],
    ['X-SES-LIST-MANAGEMENT-OPTIONS: ;topic=b'],
  ];
  for (const lines of bad) {
    it(`are refused as ${lines.join(' and ').slice(0, 60)}`, () => {
      assert.throws(() => takeSesHeaders(fieldsOf(...lines)), { code: 'invalid_header' });
    });
  }
});
