/** Bulk mail that a large provider would refuse, at accept: by a real DNS server, off, warned of and refused. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { Content } from '../../lib/accept/types.ts';
import { createResolver } from '../../lib/dns/resolver.ts';
import { BulkCheck } from '../../lib/doctor/bulk-check.ts';
import { CATALOGUE } from '../../lib/doctor/catalogue.ts';
import { bulkFindings } from '../../lib/doctor/rules/bulk.ts';
import { type BulkFault, isOneClick } from '../../lib/mail/bulk-rules.ts';
import { type Clock, DAY, systemClock } from '../../lib/time.ts';
import { accepted, openTestAccept, raw, refusal, simple, type TestAccept } from '../support/accept.ts';
import { TestClock } from '../support/clock.ts';
import { startDnsServer, type TestDnsServer } from '../support/dns-server.ts';
import { txt } from '../support/doctor.ts';

let dns: TestDnsServer;
let shift = 0;
/** Real timers, since the sockets are real, and a date that the test moves. */
const clock: Clock = { now: () => Date.now() + shift, after: systemClock.after };
let t: TestAccept;
let faults: string[];
let check: BulkCheck;

before(async () => {
  dns = await startDnsServer();
});
after(() => dns.close());
beforeEach(async () => {
  dns.zone.clear();
  dns.questions.length = 0;
  faults = [];
  shift = 0;
  const servers = [{ address: '127.0.0.1', port: dns.port }];
  check = new BulkCheck({ resolver: createResolver({ servers, clock, timeouts: [300] }), clock });
  const onFaults = (mode: string, found: readonly BulkFault[]) => void faults.push(`${mode} ${found.join()}`);
  t = await openTestAccept({}, undefined, undefined, { check, onFaults });
});

const order = (value: object) => t.control.documents.put('bulk', 'default', value, { by: 'test' });
const HEADERS = [
  { name: 'List-Unsubscribe', value: '<mailto:u@example.com>, <https://example.com/u?1>' },
  { name: 'List-Unsubscribe-Post', value: 'List-Unsubscribe=One-Click' },
];
const bulk = (headers = HEADERS) => {
  const content: Content = { kind: 'simple', subject: 'News', text: 'x', headers };
  return simple({ class: 'bulk', content });
};
const DMARC = 'TXT _dmarc.example.com';

describe('bulk mail at accept', () => {
  test('is taken as it is while nothing is ordered, and no name is looked up', async () => {
    await accepted(t, bulk([]));
    assert.deepEqual([faults, dns.questions], [[], []]);
  });

  test('is warned of, or refused with a stable code, by its tenant or configuration set', async () => {
    await order({ default: 'warn' });
    await accepted(t, bulk([]));
    assert.deepEqual(faults, ['warn no_one_click,no_dmarc']);
    t.queue.admissions.length = 0;
    await order({ default: 'off', tenants: { default: 'refuse' } });
    const error = await refusal(t, bulk([]));
    assert.equal(error.code, 'bulk_refused');
    assert.match(error.message, /no one-click unsubscribe.*no DMARC record/);
    assert.deepEqual([error.entry.http, error.entry.smtp, error.entry.temporary], [400, 550, false]);
    await t.control.configurationSets.create({
      name: 'weekly',
      tenant: 'default',
      delivery: { tlsPolicy: 'OPTIONAL' },
      sendingEnabled: true,
      reputationMetricsEnabled: true,
      createdAt: 0,
    });
    await order({ default: 'refuse', sets: { 'default/weekly': 'off' } });
    await accepted(t, { ...bulk([]), configurationSet: 'weekly' });
  });

  test('passes with one-click and DMARC; transactional mail is not looked at', async () => {
    await order({ default: 'refuse' });
    await accepted(t, simple());
    assert.deepEqual(dns.questions, []);
    dns.zone.set(DMARC, txt('v=DMARC1; p=none'));
    await accepted(t, bulk());
    const asked = dns.questions.length;
    // Once for many messages of a domain.
    for (let n = 0; n < 20; n += 1) await accepted(t, bulk());
    assert.equal(dns.questions.length, asked);
    const lines = [
      'From: ann@example.com',
      'Subject: News',
      'List-Unsubscribe:',
      ' <https://example.com/u>',
      'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
      '',
      'x',
      '',
    ];
    await accepted(t, raw(lines, { class: 'bulk' }));
    t.queue.admissions.length = 0;
    assert.equal((await refusal(t, raw(lines.toSpliced(4, 1), { class: 'bulk' }))).code, 'bulk_refused');
  });

  test('passes with the link that Postern adds', async () => {
    await order({ default: 'refuse' });
    dns.zone.set(DMARC, txt('v=DMARC1; p=none'));
    await accepted(t, { ...bulk([]), unsubscribe: {} });
  });

  test('is refused where nothing aligned signs, and passes while DNS gives no answer', async () => {
    await order({ default: 'refuse' });
    const { domain, ...rest } = { domain: 'example.com', signs: undefined, returnPath: 'bounces.other.test' };
    dns.zone.set(DMARC, txt('v=DMARC1; p=none'));
    assert.deepEqual(await check.faultsOf({ domain, ...rest }), ['unaligned']);
    assert.deepEqual(await check.faultsOf({ domain, ...rest, returnPath: 'b.example.com' }), []);
    assert.deepEqual(
      await check.faultsOf({ domain: 'shop.example.com', signs: 'example.com', returnPath: 'x.test' }),
      [],
    );
    dns.zone.set('TXT _dmarc.strict.test', txt('v=DMARC1; p=none; adkim=s; aspf=s'));
    const strict = { domain: 'strict.test', returnPath: 'b.strict.test' };
    assert.deepEqual(await check.faultsOf({ ...strict, signs: undefined }), ['unaligned']);
    assert.deepEqual(await check.faultsOf({ ...strict, signs: 'strict.test' }), []);
    for (const name of ['dead.test', 'test']) dns.zone.set(`TXT _dmarc.${name}`, { rcode: 2 });
    assert.deepEqual(
      await check.faultsOf({ domain: 'dead.test', signs: undefined, returnPath: 'x.test' }),
      [],
    );
  });

  test('passes a minute after the record was published', async () => {
    await order({ default: 'refuse' });
    assert.equal((await refusal(t, bulk())).code, 'bulk_refused');
    dns.zone.set(DMARC, txt('v=DMARC1; p=none'));
    assert.equal((await refusal(t, bulk())).code, 'bulk_refused');
    shift = 61_000;
    await accepted(t, bulk());
  });
});

test('one-click is an https address and the field of RFC 8058, whatever their case and order', () => {
  const fields = (unsubscribe: string, post?: string) => [
    ...(post === undefined ? [] : [{ name: 'list-unsubscribe-post', value: post }]),
    { name: 'LIST-UNSUBSCRIBE', value: unsubscribe },
  ];
  assert.equal(isOneClick(fields('<https://x.test/>', 'List-Unsubscribe=One-Click')), true);
  assert.equal(
    isOneClick(fields('<mailto:a@x.test>,\r\n <HTTPS://x.test/>', ' list-unsubscribe=one-click ')),
    true,
  );
  assert.equal(isOneClick(fields('<https://x.test/>')), false);
  assert.equal(isOneClick(fields('<http://x.test/>', 'List-Unsubscribe=One-Click')), false);
  assert.equal(isOneClick(fields('https://x.test/', 'List-Unsubscribe=One-Click')), false);
  assert.equal(isOneClick(fields('<https://x.test/>', 'yes')), false);
});

test('the bulk mail of a day is judged by domain, from 100 messages on, bounded', async () => {
  const time = new TestClock();
  const resolver = { resolve: () => Promise.resolve({ kind: 'no_domain' as const, expiresAt: 0 }) };
  const sampled = new BulkCheck({ resolver, clock: time });
  const sender = (domain: string) => ({ domain, signs: domain, returnPath: domain });
  for (let n = 0; n < 99; n += 1) sampled.note(sender('shop.test'), true);
  assert.deepEqual(bulkFindings(await sampled.samples()), []);
  for (let n = 0; n < 5; n += 1) sampled.note(sender('shop.test'), false);
  assert.deepEqual(
    bulkFindings(await sampled.samples()).map(({ id }) => id),
    ['bulk.domain'],
  );
  sampled.note(sender('shop.test'), false);
  const [domain, oneClick] = bulkFindings(await sampled.samples());
  assert.deepEqual([domain?.id, oneClick?.id], ['bulk.domain', 'bulk.one-click']);
  assert.match(oneClick!.text, /^6 of 105 bulk messages/);
  assert.ok(CATALOGUE['bulk.domain'] && CATALOGUE['bulk.one-click']);
  time.advance(DAY);
  assert.deepEqual(await sampled.samples(), []);
  for (let n = 0; n < 3_000; n += 1) sampled.note(sender(`d${n}.test`), true);
  assert.equal((await sampled.samples()).length, 50);
});
