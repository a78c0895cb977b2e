/** Opens and clicks, as accept decides and writes them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import type { Submission } from '../../lib/accept/types.ts';
import { accepted, openTestAccept, raw, refusal, simple, type TestAccept } from '../support/accept.ts';
import { clicksIn, HOST, imagesIn, LINKS, untracked } from '../support/tracking.ts';

const HTML = '<body><a href="https://a.example/?x=1&amp;y=2">a</a><a href="http://b.example/">b</a></body>';
const html = (change: Partial<Submission> = {}): Submission =>
  simple({
    content: { kind: 'simple', subject: 'Hello', text: 'https://a.example/', html: HTML },
    ...change,
  });

async function trackingSet(t: TestAccept, tracking: { customRedirectDomain?: string; httpsPolicy?: string }) {
  await t.control.configurationSets.create({
    name: 'tracked',
    tenant: 'default',
    delivery: { tlsPolicy: 'OPTIONAL' },
    sendingEnabled: true,
    reputationMetricsEnabled: false,
    tracking,
    createdAt: t.clock.now(),
  });
}

/** The content of quoted-printable. */
const unquoted = (text: string): string => text.replaceAll('=\r\n', '').replaceAll('=3D', '=');

test('opens and clicks are tracked when the configuration set has options for it, and the signature covers it', async () => {
  const t = await openTestAccept();
  await trackingSet(t, {});
  const { admission, text } = await accepted(t, html({ configurationSet: 'tracked' }));
  const { id } = admission.record;
  const body = unquoted(text);
  assert.deepEqual(
    clicksIn(body).map(({ messageId, n, target }) => [messageId, n, target]),
    [
      [id, 0, 'https://a.example/?x=1&y=2'],
      [id, 0, 'http://b.example/'],
    ],
  );
  assert.deepEqual(LINKS.read(HOST, imagesIn(body)[0]!), { kind: 'open', messageId: id, n: 0 });
  assert.match(body, /\r\n\r\nhttps:\/\/a\.example\/\r\n/, 'plain text is as it was');
  const { dkim } = (await t.control.identities.find('example.com'))!;
  const { results } = await dkimVerify(Buffer.from(admission.body), {
    resolver: async (name: string) => [[dkim.records.find((record) => record.name === name)!.value]],
    curTime: new Date(t.clock.now()),
  });
  assert.deepEqual(
    results.map((result) => result.status.result),
    ['pass'],
  );
});

test('the options of a call override those of its configuration set', async () => {
  const t = await openTestAccept();
  await trackingSet(t, {});
  const counts = async (change: Partial<Submission>): Promise<number[]> => {
    const body = unquoted((await accepted(t, html(change))).text);
    return [clicksIn(body).length, imagesIn(body).length];
  };
  const configurationSet = 'tracked';
  assert.deepEqual(await counts({}), [0, 0]);
  assert.deepEqual(await counts({ configurationSet }), [2, 1]);
  assert.deepEqual(await counts({ configurationSet, tracking: { opens: false } }), [2, 0]);
  assert.deepEqual(await counts({ configurationSet, tracking: { clicks: false } }), [0, 1]);
  assert.deepEqual(await counts({ configurationSet, tracking: { opens: false, clicks: false } }), [0, 0]);
  assert.deepEqual(await counts({ tracking: { clicks: true } }), [2, 0]);
});

test('an open of a message to several recipients names no recipient', async () => {
  const t = await openTestAccept();
  await trackingSet(t, {});
  const { admission, text } = await accepted(
    t,
    html({ configurationSet: 'tracked', to: ['a@example.net', 'b@example.net'] }),
  );
  const body = unquoted(text);
  assert.deepEqual(LINKS.read(HOST, imagesIn(body)[0]!), { kind: 'open', messageId: admission.record.id });
  assert.equal(clicksIn(body)[0]!.n, undefined);
});

test('links keep or change their scheme by HttpsPolicy', async () => {
  for (const [httpsPolicy, ...schemes] of [
    [undefined, 'https', 'http', 'http'],
    ['OPTIONAL', 'https', 'http', 'http'],
    ['REQUIRE_OPEN_ONLY', 'https', 'http', 'https'],
    ['REQUIRE', 'https', 'https', 'https'],
  ] as const) {
    const t = await openTestAccept();
    await trackingSet(t, { customRedirectDomain: 'links.example.com', httpsPolicy });
    const body = unquoted((await accepted(t, html({ configurationSet: 'tracked' }))).text);
    const found = [...body.matchAll(/(https?):\/\/links\.example\.com(\/t\/[\w/-]+)/g)];
    assert.deepEqual(
      found.map(([, scheme]) => scheme),
      schemes,
      httpsPolicy,
    );
    for (const [, , path] of found) assert.ok(LINKS.read('links.example.com', path!));
  }
});

test('a message that is to be tracked is refused without a tracking domain', async () => {
  const t = await openTestAccept({}, undefined, { links: LINKS });
  await trackingSet(t, {});
  const error = await refusal(t, html({ configurationSet: 'tracked' }));
  assert.equal(error.code, 'bad_request');
  assert.match(error.message, /no tracking URL of its own/);
  await accepted(t, html({ configurationSet: 'tracked', tracking: { opens: false, clicks: false } }));
});

test('raw content is tracked in its HTML parts only, and is unchanged without tracking', async () => {
  const t = await openTestAccept();
  await trackingSet(t, {});
  const lines = ['From: ann@example.com', 'Content-Type: text/html', '', HTML, ''];
  const { text } = await accepted(t, raw(lines, { configurationSet: 'tracked' }));
  assert.equal(clicksIn(text).length, 2);
  assert.equal(untracked(text).split('\r\n\r\n')[1], `${HTML.replace('&amp;', '&')}\r\n`);
  const plain = await accepted(t, raw(lines));
  assert.equal(plain.text.split('\r\n\r\n')[1], `${HTML}\r\n`);
});

test('the placeholder of the image is never sent, also not from templates', async () => {
  const t = await openTestAccept();
  await trackingSet(t, {});
  const content = {
    kind: 'template',
    parts: { subject: 'Hi', html: '{{#if a}}{{ses:openTracker}}{{/if}}<p>{{name}}</p>' },
    data: { a: true, name: 'Bob' },
  } as const;
  const tracked = unquoted((await accepted(t, simple({ content, configurationSet: 'tracked' }))).text);
  assert.match(tracked, /\r\n\r\n<img [^>]+><p>Bob<\/p>\r\n$/);
  assert.match((await accepted(t, simple({ content }))).text, /\r\n\r\n<p>Bob<\/p>\r\n$/);
  const twice = { ...content, parts: { subject: 'Hi', html: '{{ses:openTracker}}{{ses:openTracker}}' } };
  const error = await refusal(await openTestAccept(), simple({ content: twice }));
  assert.equal(error.code, 'invalid_template');
  assert.match(error.message, /only one \{\{ses:openTracker\}\} may stand in it/);
});
