import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import type { Context } from 'hono';
import { createTracking } from '../../lib/api/tracking.ts';
import { takeUnsubscribe } from '../../lib/contacts/unsubscriber.ts';
import type { Outcome } from '../../lib/engine/items.ts';
import type { RawRequest } from '../../lib/http/raw-request.ts';
import { sesEvents } from '../../lib/outcome/events.ts';
import { accepted, openTestAccept, raw, refusal, simple } from '../support/accept.ts';
import { TestClock } from '../support/clock.ts';
import { messageRecord } from '../support/outcomes.ts';
import { BASE, clicksIn, HOST, LINKS, MESSAGE, UNSUBSCRIBE } from '../support/tracking.ts';

const READER = { messageId: MESSAGE.messageId, tenant: 'default', address: 'ann@example.net' };
const LISTED = { ...READER, contactList: 'News', topic: 'Spring' };
const { links, addresses } = UNSUBSCRIBE;

describe('an unsubscribe link', () => {
  it('holds who leaves what, sealed', () => {
    for (const one of [READER, LISTED, { ...READER, address: 'jörg@exämple.net' }]) {
      const path = links.make(HOST, one);
      assert.deepEqual(links.read(HOST, path), one);
      assert.deepEqual(links.read(HOST.toUpperCase(), path), one);
      assert.equal(links.make(HOST, one), path, 'the same for the same content');
      const bytes = Buffer.from(path.slice('/t/u/'.length), 'base64url');
      assert.ok(!bytes.includes('ann@') && !bytes.includes('default'), 'no log on the way shows the reader');
    }
  });

  it('is invalid when one bit of it changed, when it is cut, and at another host', () => {
    const path = links.make(HOST, LISTED);
    const bytes = Buffer.from(path.slice('/t/u/'.length), 'base64url');
    for (let i = 0; i < bytes.length; i++) {
      const changed = Buffer.from(bytes);
      changed[i]! ^= 1;
      assert.equal(links.read(HOST, `/t/u/${changed.toString('base64url')}`), undefined, String(i));
    }
    for (const bad of [path.slice(0, -4), `${path}AAAA`, `${path}/`, '/t/u/', path.replace('/u/', '/o/')]) {
      assert.equal(links.read(HOST, bad), undefined, bad);
    }
    assert.equal(links.read('other.example', path), undefined);
  });
});

/** The endpoint, with what it reported. */
function endpoint(report?: (outcome: Outcome) => Promise<void>) {
  const reported: Outcome[] = [];
  const quiet = () => {};
  const app = createTracking({
    links: LINKS,
    unsubscribeLinks: links,
    report: report ?? (async (outcome) => void reported.push(outcome)),
    clock: new TestClock(),
    log: { info: quiet, warn: quiet, error: quiet },
  });
  const call = async (method: string, path: string, body = ''): Promise<Response> => {
    const headers: [string, string][] = [['host', HOST]];
    const incoming: RawRequest = {
      method,
      rawPath: path,
      rawQuery: '',
      headers,
      sourceIp: '192.0.2.7',
      body: Buffer.from(body),
    };
    return app.fetch(new Request(`${BASE}${path}`, { method }), { incoming } as Context['env']);
  };
  return { reported, call };
}

describe('the endpoint', () => {
  const path = links.make(HOST, LISTED);

  it('acts on a POST, as mail programs send it, and shows that it did', async () => {
    const { reported, call } = endpoint();
    const response = await call('POST', path, 'List-Unsubscribe=One-Click');
    assert.deepEqual([response.status, response.headers.get('location')], [200, null]);
    assert.match(await response.text(), /ann@example\.net is unsubscribed/);
    assert.deepEqual(
      reported.map(({ kind, messageId, tenant, detail }) => [kind, messageId, tenant, detail]),
      [
        [
          'subscription',
          MESSAGE.messageId,
          'default',
          { address: 'ann@example.net', contactList: 'News', topic: 'Spring' },
        ],
      ],
    );
  });

  it('shows a scanner, which follows links, a page that needs a click', async () => {
    const { reported, call } = endpoint();
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT']) await call(method, path);
    assert.deepEqual(reported, []);
    const response = await call('GET', path);
    const page = await response.text();
    assert.match(page, /<form method="post">/);
    assert.doesNotMatch(page, /<script|http-equiv/);
    assert.match(
      response.headers.get('content-security-policy')!,
      /default-src 'none'.*frame-ancestors 'none'/,
    );
    assert.equal((await call('PUT', path)).status, 405);
  });

  it('escapes the names that it shows', async () => {
    const { call } = endpoint();
    const hostile = links.make(HOST, { ...READER, address: '"<b>"@example.net', contactList: '<script>' });
    for (const method of ['GET', 'POST']) {
      assert.doesNotMatch(await (await call(method, hostile)).text(), /<b>|<script>/);
    }
  });

  it('refuses an altered link, whatever the method', async () => {
    const { reported, call } = endpoint();
    const altered = path.slice(0, -1) + (path.endsWith('A') ? 'B' : 'A');
    for (const method of ['GET', 'POST']) assert.ok((await call(method, altered)).status >= 404);
    assert.deepEqual(reported, []);
  });

  it('says yes only once it is durable', async () => {
    const { call } = endpoint(() => Promise.reject(new Error('away')));
    const response = await call('POST', path);
    assert.equal(response.status, 503);
    assert.ok(response.headers.get('retry-after'));
  });
});

describe('a message by which its reader can unsubscribe', () => {
  /** URL and mailbox of its List-Unsubscribe field. */
  function fieldsOf(text: string): { url: string; mailbox: string; text: string } {
    const header = text.slice(0, text.indexOf('\r\n\r\n')).replace(/\r\n[ \t]/g, ' ');
    const lines = header.split('\r\n').filter((line) => /^list-/i.test(line));
    const [, url, mailbox] = /^List-Unsubscribe: <(https:[^>]*)>, <mailto:([^?>]*)\?[^>]*>$/.exec(lines[0]!)!;
    assert.deepEqual(lines.slice(1), ['List-Unsubscribe-Post: List-Unsubscribe=One-Click']);
    return { url: url!, mailbox: mailbox!, text };
  }

  const html = '<p><a href="https://a.example/">a</a> <a href="{{amazonSESUnsubscribeUrl}}">leave</a></p>';
  const own = ['List-Unsubscribe: <mailto:own@example.com>', 'List-Unsubscribe-Post: x=y'];
  const contents: [string, Parameters<typeof simple>[0]][] = [
    [
      'simple',
      { content: { kind: 'simple', subject: 'x', text: 'Leave: {{amazonSESUnsubscribeUrl}}', html } },
    ],
    [
      'template',
      {
        content: {
          kind: 'template',
          parts: { subject: 'x', text: 'Leave: {{amazonSESUnsubscribeUrl}}', html },
          data: {},
        },
      },
    ],
  ];
  for (const [name, change] of contents) {
    it(`has a sealed link and a signed address, and the link where its text wants it: ${name}`, async () => {
      const t = await openTestAccept();
      const tracking = { clicks: true };
      const { messageId, admission, text } = await accepted(
        t,
        simple({ ...change, unsubscribe: {}, tracking }),
      );
      const { url, mailbox } = fieldsOf(text);
      const path = url.slice(BASE.length);
      const reader = { messageId, tenant: 'default', address: 'bob@gmail.com' };
      assert.deepEqual(links.read(HOST, path), reader);
      assert.equal(addresses.read(mailbox, t.clock.now()), messageId);
      assert.match(mailbox, /@example\.com$/);
      assert.deepEqual(admission.record.unsubscribe, {});
      const body = text.slice(text.indexOf('\r\n\r\n')).replaceAll('=\r\n', '').replaceAll('=3D', '=');
      assert.equal(body.split(url).length, 3, 'in both texts');
      assert.ok(body.includes(`href="${url}"`));
      assert.deepEqual(
        clicksIn(body).map(({ target }) => target),
        ['https://a.example/'],
      );
    });
  }

  it('has them in raw mail too, in place of its own', async () => {
    const t = await openTestAccept();
    const lines = ['From: ann@example.com', ...own, 'Content-Type: text/html', '', html];
    const { text } = await accepted(t, raw(lines, { unsubscribe: {} }));
    const { url } = fieldsOf(text);
    assert.ok(text.replaceAll('=\r\n', '').replaceAll('=3D', '=').includes(`href="${url}"`));
    const plain = ['From: ann@example.com', '', 'Leave: {{amazonSESUnsubscribeUrl}}'];
    const sent = (await accepted(t, raw(plain, { unsubscribe: {} }))).text;
    assert.ok(sent.replaceAll('=\r\n', '').includes(`Leave: ${fieldsOf(sent).url}`));
  });

  it('has no field and no link unless its sender asks', async () => {
    const t = await openTestAccept();
    const { text, admission } = await accepted(t, simple());
    assert.doesNotMatch(text, /^list-unsubscribe/im);
    assert.equal(admission.record.unsubscribe, undefined);
  });

  it('is refused with several recipients, and without a place for its link', async () => {
    const unsubscribe = {};
    const several = simple({ to: ['bob@gmail.com', 'eve@example.org'], unsubscribe });
    assert.match((await refusal(await openTestAccept(), several)).message, /one recipient, not 2/);
    const nowhere = await openTestAccept({}, undefined, { links: LINKS });
    assert.match((await refusal(nowhere, simple({ unsubscribe }))).message, /no tracking URL/);
  });
});

test('who unsubscribes is recorded once, and shown as an event of SES', async () => {
  const record = messageRecord();
  const recorded: Outcome[] = [];
  const records = { message: async () => record, reports: async () => recorded };
  const asked = (at: number, change = {}): Outcome => ({
    v: 1,
    messageId: record.id,
    n: 0,
    at,
    kind: 'subscription',
    tenant: '',
    detail: { address: 'user@example.com', ...change },
  });
  const { outcome: taken, recorded: before } = (await takeUnsubscribe({ records }, asked(5)))!;
  assert.equal(before, false);
  assert.equal(taken.tenant, record.tenant);
  recorded.push(taken);
  assert.equal(await takeUnsubscribe({ records }, asked(6)), undefined, 'a repeat');
  const again = { outcome: taken, recorded: true };
  assert.deepEqual(await takeUnsubscribe({ records }, asked(5)), again, 'the same request, brought again');
  const context = { region: 'us-east-1', accountId: '123456789012', hostname: 'mx.example.org' };
  const [event] = sesEvents(record, taken, context);
  assert.equal(event!.eventType, 'Subscription');
  assert.deepEqual((event as { subscription?: object }).subscription, {
    contactList: '',
    timestamp: '1970-01-01T00:00:00.005Z',
    source: record.source,
    newTopicPreferences: { unsubscribeAll: true, topicSubscriptionStatus: [] },
    oldTopicPreferences: { unsubscribeAll: false, topicSubscriptionStatus: [] },
  });

  // A list of this service: its contact changes even when the message is gone.
  const status = [{ topicName: 'Spring', subscriptionStatus: 'OptOut' as const }];
  const changes: unknown[] = [];
  const unsubscribe = async (leaving: object) => {
    changes.push(leaving);
    const preferences = { unsubscribeAll: false, topicSubscriptionStatus: status };
    return { before: { ...preferences, topicSubscriptionStatus: [] }, after: preferences };
  };
  const gone = { message: async () => undefined, reports: async () => [] };
  const listed = asked(7, { contactList: 'News', topic: 'Spring' });
  assert.equal(await takeUnsubscribe({ records: gone, unsubscribe }, listed), undefined);
  assert.equal(changes.length, 1);
  const whole = await takeUnsubscribe(
    { records: { ...gone, message: async () => record }, unsubscribe },
    listed,
  );
  const [shown] = sesEvents(record, whole!.outcome, context);
  assert.deepEqual(
    (shown as { subscription: { newTopicPreferences: object } }).subscription.newTopicPreferences,
    {
      unsubscribeAll: false,
      topicSubscriptionStatus: status,
    },
  );
});
