import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Context } from 'hono';
import { createTracking } from '../../lib/api/tracking.ts';
import type { Outcome } from '../../lib/engine/items.ts';
import type { RawRequest } from '../../lib/http/raw-request.ts';
import { acceptedAtOf } from '../../lib/mail/message-id.ts';
import { DAY } from '../../lib/time.ts';
import { type FindBlocked, readBlockedLinks } from '../../lib/tracking/blocked-links.ts';
import { TestClock } from '../support/clock.ts';
import { HOST, LINKS, MESSAGE, UNSUBSCRIBE } from '../support/tracking.ts';

const CLICK = LINKS.click(HOST, MESSAGE, 3, 'https://a.example/?x=1#y', 'product:book');
const OPEN = LINKS.open(HOST, MESSAGE);

interface Endpoint {
  get(path: string, change?: Partial<RawRequest> & { head?: Record<string, string> }): Promise<Response>;
  clock: TestClock;
  reported: Outcome[];
  logged: string[];
  unreported(): number;
}

function open(report?: (outcome: Outcome) => Promise<void>, blocked?: FindBlocked): Endpoint {
  const clock = new TestClock(acceptedAtOf(MESSAGE.messageId) + 1000);
  const reported: Outcome[] = [];
  const logged: string[] = [];
  let unreported = 0;
  const note = (event: string): void => void logged.push(event);
  const app = createTracking({
    links: LINKS,
    unsubscribeLinks: UNSUBSCRIBE.links,
    blocked: () => blocked,
    report: report ?? (async (outcome) => void reported.push(outcome)),
    clock,
    log: { info: note, warn: note, error: note },
    onUnreported: () => void unreported++,
  });
  return {
    clock,
    reported,
    logged,
    unreported: () => unreported,
    async get(path, { head = {}, ...change } = {}) {
      const incoming: RawRequest = {
        method: 'GET',
        rawPath: path,
        rawQuery: '',
        headers: Object.entries({ host: HOST, 'user-agent': 'Reader/1.0', ...head }),
        sourceIp: '192.0.2.7',
        body: Buffer.alloc(0),
        ...change,
      };
      const url = URL.canParse(`https://${HOST}${path}`) ? `https://${HOST}${path}` : `https://${HOST}/`;
      return app.fetch(new Request(url, { method: incoming.method }), { incoming } as Context['env']);
    },
  };
}

describe('tracking', () => {
  test('leads nowhere when the link is switched off, and reports the click all the same', async () => {
    const find = readBlockedLinks({ blocked: [{ domain: 'a.example', reason: 'Phishing.' }] }, 'links');
    const { get, reported } = open(undefined, find);
    const response = await get(CLICK);
    assert.deepEqual([response.status, response.headers.get('location')], [410, null]);
    const page = await response.text();
    assert.match(page, /switched off .*\n\nPhishing\.\n$/);
    assert.doesNotMatch(page, /a\.example/);
    assert.deepEqual(
      reported.map(({ kind }) => kind),
      ['click'],
    );
    assert.equal((await get(OPEN)).status, 200);
  });

  test('redirects a click to its target and reports it', async () => {
    const { get, reported, clock } = open();
    const response = await get(CLICK);
    assert.deepEqual([response.status, await response.text()], [302, '']);
    assert.equal(response.headers.get('location'), 'https://a.example/?x=1#y');
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.deepEqual(reported, [
      {
        v: 1,
        ...MESSAGE,
        at: clock.now(),
        kind: 'click',
        tenant: '',
        detail: {
          ipAddress: '192.0.2.7',
          userAgent: 'Reader/1.0',
          link: 'https://a.example/?x=1#y',
          place: 3,
          linkTags: { product: ['book'] },
        },
      },
    ]);
  });

  test('answers an open with one transparent pixel', async () => {
    const { get, reported } = open();
    const response = await get(OPEN);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'image/gif');
    assert.equal(response.headers.get('cache-control'), 'no-store');
    const bytes = Buffer.from(await response.arrayBuffer());
    assert.deepEqual([bytes.length, bytes.toString('latin1', 0, 6)], [42, 'GIF89a']);
    assert.deepEqual(
      reported.map(({ kind, detail }) => [kind, detail]),
      [['open', { ipAddress: '192.0.2.7', userAgent: 'Reader/1.0' }]],
    );
  });

  test('answers HEAD like GET, and reports nothing', async () => {
    const { get, reported } = open();
    const [click, image] = await Promise.all([get(CLICK, { method: 'HEAD' }), get(OPEN, { method: 'HEAD' })]);
    assert.equal(click.headers.get('location'), 'https://a.example/?x=1#y');
    assert.equal(image.headers.get('content-type'), 'image/gif');
    assert.equal(await image.text(), '');
    assert.deepEqual(reported, []);
  });

  test('redirects nowhere without a valid token, and shows nothing of the request', async () => {
    const { get, reported } = open();
    const evil = Buffer.from('https://evil.example/').toString('base64url');
    const token = CLICK.split('/')[3]!;
    for (const path of [
      '/t/',
      '/t/c/',
      '/t/o/<script>alert(1)</script>',
      `/t/c/${evil}`,
      `/t/c/${token}/${evil}`,
      `/t/c/${token}`,
      `${CLICK}/`,
      `${CLICK}x`,
      `/t/c/${'A'.repeat(52)}/${evil}`,
      `/t/c/${token}/${'A'.repeat(50_000)}`,
      CLICK.replace('/c/', '/o/'),
      CLICK.replace('/t/c/', '/t//c/'),
      CLICK.replace('/t/c/', '/t/%63/'),
    ]) {
      const response = await get(path);
      assert.equal(response.status, 404, path.slice(0, 80));
      assert.equal(response.headers.get('location'), null);
      assert.equal(response.headers.get('content-type'), 'text/plain; charset=utf-8');
      assert.equal(await response.text(), 'This link is not valid.\n');
    }
    assert.deepEqual(reported, []);
  });

  test('redirects nowhere on another host name', async () => {
    const { get } = open();
    assert.equal((await get(CLICK, { head: { host: 'click.example.net' } })).status, 404);
    assert.equal((await get(CLICK, { head: { host: '' } })).status, 404);
    assert.equal((await get(CLICK, { head: { host: `${HOST.toUpperCase()}:8443` } })).status, 302);
    const proxied = { host: '127.0.0.1:8025', 'x-forwarded-host': `${HOST}, inner.example` };
    assert.equal((await get(CLICK, { head: proxied })).status, 302);
  });

  test('answers no other method', async () => {
    const { get, reported } = open();
    const response = await get(CLICK, { method: 'POST' });
    assert.deepEqual([response.status, response.headers.get('allow')], [405, 'GET, HEAD']);
    assert.deepEqual(reported, []);
  });

  test('redirects when the report fails, and logs the failure', async () => {
    const { get, logged, unreported } = open(() => Promise.reject(new Error('away')));
    assert.equal((await get(CLICK)).status, 302);
    assert.equal((await get(OPEN)).status, 200);
    assert.deepEqual(logged, ['open or click not reported', 'open or click not reported']);
    assert.equal(unreported(), 2);
  });

  test('redirects when the report takes too long, and logs it once', async () => {
    let fail: (error: Error) => void = () => {};
    const { get, clock, logged, unreported } = open(() => new Promise((_, reject) => (fail = reject)));
    const answering = get(CLICK);
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(2_000);
    assert.equal((await answering).status, 302);
    fail(new Error('away'));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([logged.length, unreported()], [1, 1]);
  });

  test('redirects for years, and collects opens and clicks for 60 days', async () => {
    const { get, clock, reported } = open();
    clock.advance(60 * DAY - 2_000);
    await get(CLICK);
    assert.equal(reported.length, 1);
    clock.advance(2_000);
    assert.equal((await get(CLICK)).status, 302);
    clock.advance(3_650 * DAY);
    assert.equal((await get(OPEN)).status, 200);
    assert.equal(reported.length, 1);
  });

  test('trusts the forwarded address of a proxy on a private address only', async () => {
    const { get, reported } = open();
    const head = { 'x-forwarded-for': '203.0.113.1, 198.51.100.2' };
    for (const sourceIp of ['127.0.0.1', '::ffff:10.1.2.3', '192.0.2.7', ''])
      await get(OPEN, { head, sourceIp });
    await get(OPEN, { head: { 'x-forwarded-for': '<b>' }, sourceIp: '127.0.0.1' });
    // As the octets EF BF BF and ED A0 80 come: one character of Latin-1 each.
    await get(OPEN, {
      head: { 'user-agent': `\u00ef\u00bf\u00bf\u00ed\u00a0\u0080\u001b${'x'.repeat(5_000)}` },
    });
    assert.deepEqual(
      reported.map(({ detail }) => detail?.ipAddress),
      ['198.51.100.2', '198.51.100.2', '192.0.2.7', '', '127.0.0.1', '192.0.2.7'],
    );
    assert.equal((reported.at(-1)!.detail!.userAgent as string).length, 1_000);
    assert.match(reported.at(-1)!.detail!.userAgent as string, /^\ufffd+x+$/, 'and is clean text');
  });
});
