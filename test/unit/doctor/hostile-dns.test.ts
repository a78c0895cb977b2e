/** Records that strangers write: loops, floods, huge answers and slow servers end in bounded time with a finding. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { LookUps } from '../../../lib/doctor/gather/look-ups.ts';
import { TestClock } from '../../support/clock.ts';
import { a, mx, startDnsServer, type TestDnsServer, type ZoneEntry } from '../../support/dns-server.ts';
import { findingsAt, goodZone, ids, txt } from '../../support/doctor.ts';

let server: TestDnsServer;
before(async () => {
  server = await startDnsServer();
});
after(() => server.close());
beforeEach(() => {
  server.zone.clear();
  server.questions.length = 0;
  for (const [key, entry] of Object.entries(goodZone())) server.zone.set(key, entry);
});

const SPF = 'TXT bounces.shop.test';

test('an include of itself, a ring of redirects and a tree of includes end at the limits of RFC 7208', async () => {
  server.zone.set(SPF, txt('v=spf1 include:bounces.shop.test -all'));
  assert.ok(ids(await findingsAt(server)).includes('spf.syntax'));
  server.zone.set(SPF, txt('v=spf1 redirect=a.test'));
  server.zone.set('TXT a.test', txt('v=spf1 redirect=b.test'));
  server.zone.set('TXT b.test', txt('v=spf1 redirect=a.test'));
  assert.ok(ids(await findingsAt(server)).includes('spf.syntax'));
  const tree = (name: string, depth: number): void => {
    const below = [0, 1, 2].map((n) => `${n}${name}`);
    server.zone.set(`TXT ${name}`, txt(`v=spf1 ${below.map((one) => `include:${one}`).join(' ')} -all`));
    if (depth > 0) for (const one of below) tree(one, depth - 1);
  };
  tree('t.test', 4);
  server.zone.set(SPF, txt('v=spf1 include:t.test -all'));
  server.questions.length = 0;
  const found = await findingsAt(server);
  assert.ok(found.some(({ id }) => id.startsWith('spf.')));
  assert.ok(server.questions.length < 200, `${server.questions.length} queries`);
});

test('a hundred mechanisms with a hundred hosts each cost no more than the budget', async () => {
  const hosts = (n: number): ZoneEntry =>
    mx(...Array.from({ length: 60 }, (_, at): [number, string] => [at, `h${n}x${at}.test`]));
  for (let n = 0; n < 60; n += 1) server.zone.set(`MX m${n}.test`, hosts(n));
  server.zone.set(SPF, txt(`v=spf1 ${Array.from({ length: 60 }, (_, n) => `mx:m${n}.test`).join(' ')} -all`));
  const found = await findingsAt(server);
  assert.ok(found.some(({ id }) => id.startsWith('spf.') || id === 'dns.unanswered'));
  assert.ok(server.questions.length <= 251, `${server.questions.length} queries`);
});

test('a chain of aliases without end, and answers as large as DNS permits', async () => {
  for (let n = 0; n < 30; n += 1) {
    server.zone.set(`TXT c${n}.test`, { answers: [{ type: 'CNAME', data: `c${n + 1}.test` }] });
  }
  server.zone.set('TXT sel._domainkey.shop.test', { answers: [{ type: 'CNAME', data: 'c0.test' }] });
  const aliases = await findingsAt(server);
  assert.match(aliases.find(({ id }) => id === 'dns.unanswered')!.text, /more than 8 aliases/);

  // A message of DNS ends at 65,535 octets: more text than that cannot come.
  const flood = { ...txt(`v=spf1 ${'x'.repeat(60_000)} -all`), truncated: true };
  server.zone.set(SPF, flood);
  server.zone.set('TXT _dmarc.shop.test', { ...txt(`v=DMARC1; ${'a=1;'.repeat(15_000)}`), truncated: true });
  server.zone.set('TXT sel._domainkey.shop.test', {
    ...txt(`v=DKIM1; p=${'A'.repeat(60_000)}`),
    truncated: true,
  });
  const found = await findingsAt(server);
  assert.deepEqual(
    ids(found).filter((id) => !id.startsWith('bimi')),
    ['dkim.wrong', 'dmarc.syntax', 'spf.syntax'],
  );
  for (const { text } of found) assert.ok(text.length < 1_000, `${text.length} characters`);
});

test('text of strangers comes on one line, without controls', async () => {
  server.zone.set('TXT _dmarc.shop.test', txt('v=DMARC1; p=\u001b[31mreject\r\n\u202e'));
  server.zone.set('TXT sel._domainkey.shop.test', {
    answers: [{ type: 'TXT', data: [Buffer.from([0xff, 0x0a, 0x00])] }],
  });
  for (const { text } of await findingsAt(server)) assert.doesNotMatch(text, /[\p{Cc}\p{Cs}]/u);
});

test('the budget counts names, refuses the next, and ends with its time', async () => {
  const clock = new TestClock();
  let asked = 0;
  const resolver = {
    resolve: (name: string) => {
      asked += 1;
      if (name === 'slow.test') return new Promise<never>(() => {});
      return Promise.resolve({ kind: 'no_domain' as const, expiresAt: 0 });
    },
  };
  const lookUps = new LookUps({ resolver, clock, maxLookUps: 3, maxTime: 1_000 });
  await lookUps.find('a.test', 'TXT');
  await lookUps.find('A.test', 'TXT');
  assert.equal(asked, 1);
  const slow = lookUps.find('slow.test', 'A');
  clock.advance(1_000);
  assert.deepEqual(await slow, { unanswered: 'the check took too long' });
  assert.deepEqual(await lookUps.find('b.test', 'A'), { unanswered: 'the check took too long' });
  assert.deepEqual(await lookUps.find('c.test', 'A'), { unanswered: 'more than 3 look-ups are needed' });
  assert.equal(asked, 2);
});

test('a name server that answers no question holds the check for its time only', async () => {
  for (const key of server.zone.keys()) server.zone.set(key, { silent: true });
  server.zone.set('A quiet.test', a());
  const found = await findingsAt(server, { lookUps: { maxTime: 200 } });
  assert.deepEqual(new Set(ids(found)), new Set(['dns.unanswered']));
});
