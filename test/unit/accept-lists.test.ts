/** Mail to a contact list: who left it gets nothing, who is not on it joins it, and one reader gets a link. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { sesEvents } from '../../lib/outcome/events.ts';
import { accepted, openTestAccept, raw, refusal, simple, type TestAccept } from '../support/accept.ts';
import { BASE, HOST, UNSUBSCRIBE } from '../support/tracking.ts';

let t: TestAccept;
beforeEach(async () => {
  t = await openTestAccept();
  await t.lists.create({
    tenant: 'default',
    name: 'news',
    topics: [
      { name: 'tips', displayName: 'Tips', defaultStatus: 'OPT_IN' },
      { name: 'offers', displayName: 'Offers', defaultStatus: 'OPT_OUT' },
    ],
  });
  const add = (name: string, input: object) =>
    t.contacts.create('default', 'news', `${name}@example.net`, input);
  await add('gone', { unsubscribeAll: true });
  await add('notips', { preferences: [{ topic: 'tips', status: 'OPT_OUT' }] });
  await add('offers', { preferences: [{ topic: 'offers', status: 'OPT_IN' }] });
});

const EVERYBODY = ['gone', 'notips', 'offers', 'new'].map((name) => `${name}@example.net`);
/** Names of those whom the message is sent to. */
async function sentTo(topic?: string): Promise<string> {
  const { admission } = await accepted(
    t,
    simple({ to: EVERYBODY, unsubscribe: { contactList: 'news', topic } }),
  );
  return admission.deliveries.map(({ recipient }) => recipient.split('@')[0]).join(' ');
}

describe('mail to a contact list', () => {
  test('goes to who has not left it, by the rules that SES was seen to have', async () => {
    assert.equal(await sentTo(), 'notips offers new');
    assert.equal(await sentTo('tips'), 'offers new');
    assert.equal(await sentTo('offers'), 'offers');
    const joined = (await t.contacts.get('default', 'news', 'new@example.net')).contact;
    assert.deepEqual([joined.unsubscribeAll, joined.topics], [false, {}]);
    // Other mail has nothing to do with the list.
    const { admission } = await accepted(t, simple({ to: EVERYBODY }));
    assert.equal(admission.deliveries.length, 4);
  });

  test('bounces for the others, as SES reports it', async () => {
    const { admission } = await accepted(
      t,
      simple({ to: ['gone@example.net'], unsubscribe: { contactList: 'news', topic: 'tips' } }),
    );
    assert.deepEqual([admission.deliveries, admission.body.byteLength], [[], 0]);
    const [outcome] = admission.settled!;
    assert.deepEqual([outcome!.attempt!.state, outcome!.attempt!.reason], ['suppressed', 'unsubscribed']);
    const context = { region: 'us-east-1', accountId: '123456789012', hostname: 'mail.example.com' };
    const [event] = sesEvents(admission.record, outcome!, context);
    assert.ok('bounce' in event!);
    assert.deepEqual(
      [
        event.bounce.bounceType,
        event.bounce.bounceSubType,
        event.bounce.bouncedRecipients[0]!.diagnosticCode,
      ],
      [
        'Permanent',
        'UnsubscribedRecipient',
        'Not sent: gone@example.net is not subscribed to the list news.',
      ],
    );
  });

  test('is kept from the suppressed as well', async () => {
    await t.suppressions.put({ tenant: 'default', address: 'offers@example.net', reason: 'BOUNCE', at: 1 });
    assert.equal(await sentTo(), 'notips new');
    const { settled } = t.queue.admissions.at(-1)!;
    assert.deepEqual(
      settled!.map(({ attempt }) => attempt!.reason),
      ['unsubscribed', 'suppressed'],
    );
  });

  test('has fields and a link of its one reader, in place of the sender’s', async () => {
    const unsubscribe = { contactList: 'news', topic: 'tips' };
    const text = 'Leave: {{amazonSESUnsubscribeUrl}}\n';
    const headers = [{ name: 'List-Unsubscribe', value: '<https://own.example/>' }];
    const one = await accepted(
      t,
      simple({
        to: ['new@example.net'],
        unsubscribe,
        content: { kind: 'simple', subject: 'x', text, headers },
      }),
    );
    const [, path] = new RegExp(`Leave: ${BASE}(/t/u/[\\w-]+)`).exec(one.text.replace(/=\r\n/g, ''))!;
    assert.deepEqual(UNSUBSCRIBE.links.read(HOST, path!), {
      messageId: one.messageId,
      tenant: 'default',
      address: 'new@example.net',
      ...unsubscribe,
    });
    assert.equal(one.text.match(/^List-Unsubscribe:/gm)!.length, 1);
    assert.match(one.text, /^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r$/m);
    assert.deepEqual(one.admission.record.unsubscribe, unsubscribe);
    // As in SES, mail to several has no link: it would be everybody's.
    const two = await accepted(
      t,
      simple({
        to: ['new@example.net', 'b@example.net'],
        unsubscribe,
        content: { kind: 'simple', subject: 'x', text },
      }),
    );
    assert.match(two.text, /Leave: \{\{amazonSESUnsubscribeUrl\}\}/);
    assert.doesNotMatch(two.text, /^List-Unsubscribe/m);
    const data = { name: 'Ann' };
    const parts = { subject: 'x', text: 'Dear {{name}}, leave: {{amazonSESUnsubscribeUrl}}' };
    const template = await accepted(
      t,
      simple({ to: ['new@example.net'], unsubscribe, content: { kind: 'template', parts, data } }),
    );
    assert.match(
      template.text.replace(/=\r\n/g, ''),
      /Dear Ann, leave: https:\/\/click\.example\.com\/t\/u\//,
    );
  });

  test('is named by X-SES-LIST-MANAGEMENT-OPTIONS in raw mail, which does not travel', async () => {
    for (const value of ['news; topic=tips', 'contactListName=news;topicName=tips']) {
      const lines = [
        'From: ann@example.com',
        'To: new@example.net',
        'Subject: x',
        `X-Ses-List-Management-Options: ${value}`,
        '',
        'Leave: {{amazonSESUnsubscribeUrl}}',
      ];
      const { text, admission } = await accepted(t, raw(lines, { to: ['new@example.net'] }));
      assert.deepEqual(admission.record.unsubscribe, { contactList: 'news', topic: 'tips' });
      assert.doesNotMatch(text, /X-SES/i);
      assert.match(text, /^List-Unsubscribe: </m);
      assert.match(text.replace(/=\r\n/g, ''), /Leave: https:\/\/click\.example\.com\/t\/u\//);
    }
  });

  test('is refused when the list or the topic does not exist', async () => {
    const none = await refusal(t, simple({ unsubscribe: { contactList: 'none' } }));
    assert.deepEqual([none.code, none.message], ['not_found', "List with name: none doesn't exist."]);
    const chess = await refusal(t, simple({ unsubscribe: { contactList: 'news', topic: 'chess' } }));
    assert.deepEqual([chess.code, chess.message], ['bad_request', "List: news doesn't contain Topic: chess"]);
  });
});
