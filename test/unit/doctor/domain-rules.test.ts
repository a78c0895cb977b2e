/** Every rule for a domain at its edge, with a real DNS server. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { CATALOGUE } from '../../../lib/doctor/catalogue.ts';
import { seenRecords } from '../../../lib/doctor/domain-rules.ts';
import { readStsPolicy } from '../../../lib/doctor/rules/mta-sts.ts';
import { type DmarcNode, organizationalDomain, policyNode, walkOf } from '../../../lib/doctor/tree-walk.ts';
import { a, mx, startDnsServer, type TestDnsServer, type ZoneEntry } from '../../support/dns-server.ts';
import {
  type CheckOptions,
  everFound,
  factsAt,
  findingsAt,
  goodZone,
  ids,
  POLICY,
  RSA,
  SUBJECT,
  txt,
} from '../../support/doctor.ts';

let server: TestDnsServer;
before(async () => {
  server = await startDnsServer();
});
after(() => server.close());
beforeEach(() => {
  server.zone.clear();
  for (const [key, entry] of Object.entries(goodZone())) server.zone.set(key, entry);
});

/** Checks the good domain with changed records. `undefined` deletes one. */
async function checked(changes: Record<string, ZoneEntry | undefined>, options: CheckOptions = {}) {
  for (const [key, entry] of Object.entries(changes)) {
    if (entry) server.zone.set(key, entry);
    else server.zone.delete(key);
  }
  return findingsAt(server, options);
}

const SPF = 'TXT bounces.shop.test';
const DKIM = 'TXT sel._domainkey.shop.test';
const DMARC = 'TXT _dmarc.shop.test';
const STS = 'TXT _mta-sts.shop.test';
const BIMI = 'TXT default._bimi.shop.test';
const key = SUBJECT.keys[0]!.value;

test('finds nothing wrong with a domain that has everything', async () => {
  assert.deepEqual(await checked({}), []);
  const seen = seenRecords(await factsAt(server));
  assert.deepEqual(
    seen.map(({ check, name, values }) => [check, name, values.length]),
    [
      ['spf', 'bounces.shop.test', 1],
      ['dkim', 'sel._domainkey.shop.test', 1],
      ['dmarc', '_dmarc.shop.test', 1],
      ['return-path', 'bounces.shop.test', 1],
      ['mta-sts', '_mta-sts.shop.test', 1],
      ['tls-rpt', '_smtp._tls.shop.test', 1],
      ['bimi', 'default._bimi.shop.test', 1],
    ],
  );
});

test('SPF: none, two, and an address that it does not cover', async () => {
  const [missing, ...rest] = await checked({ [SPF]: undefined });
  assert.equal(missing?.id, 'spf.missing');
  assert.deepEqual(missing?.record, {
    name: 'bounces.shop.test',
    type: 'TXT',
    value: 'v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ~all',
  });
  assert.deepEqual(ids(rest), ['dmarc.dkim-only']);

  const [two] = await checked({
    [SPF]: txt('v=spf1 ip4:192.0.2.1 -all', 'v=spf1 include:x.test ~all', 'v=spf10'),
  });
  assert.equal(two?.id, 'spf.multiple');
  assert.equal(two?.record?.value, 'v=spf1 ip4:192.0.2.1 include:x.test ~all');

  const [uncovered] = await checked({ [SPF]: txt('v=spf1 ip4:192.0.2.1 ~all') });
  assert.equal(uncovered?.id, 'spf.uncovered');
  assert.match(uncovered.text, /2001:db8::1: softfail/);
  assert.equal(uncovered.record?.value, 'v=spf1 ip6:2001:db8::1 ip4:192.0.2.1 ~all');
  // The edge of a network: /28 ends at .15.
  for (const [ip, expected] of [
    ['192.0.2.15', []],
    ['192.0.2.16', ['dmarc.dkim-only', 'spf.uncovered']],
  ] as const) {
    assert.deepEqual(
      ids(await checked({ [SPF]: goodZone()[SPF] }, { subject: { sources: [ip] } })),
      expected,
    );
  }
  assert.deepEqual(ids(await checked({}, { subject: { sources: [] } })), ['spf.no-sources']);
});

test('SPF: a record that passes anyone, and one with an error', async () => {
  for (const record of ['v=spf1 +all', 'v=spf1 ip4:0.0.0.0/0 ip6:::/0 -all', 'v=spf1 all']) {
    assert.deepEqual(ids(await checked({ [SPF]: txt(record) })), ['spf.permits-all'], record);
  }
  const found = await checked({ [SPF]: txt('v=spf1 ip4:192.0.2.999 -all') });
  assert.equal(found[0]?.id, 'spf.syntax');
  assert.match(found[0].text, /permanent error: \S/);
});

test('SPF: ten look-ups are permitted, and eleven are not; two void ones, and three are not', async () => {
  const include = (count: number): Record<string, ZoneEntry> => {
    const names = Array.from({ length: count }, (_, n) => `i${n}.test`);
    return {
      [SPF]: txt(
        `v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ${names.map((name) => `include:${name}`).join(' ')} -all`,
      ),
      ...Object.fromEntries(names.map((name, n) => [`TXT ${name}`, txt(`v=spf1 ip4:198.51.100.${n} -all`)])),
    };
  };
  assert.deepEqual(ids(await checked(include(8))), []);
  assert.deepEqual(ids(await checked(include(9))), ['spf.lookups-near']);
  assert.deepEqual(ids(await checked(include(10))), ['spf.lookups-near']);
  const over = await checked(include(11));
  assert.deepEqual(ids(over), ['spf.lookups']);
  assert.match(over[0]!.text, /needs 11 DNS look-ups; 10 are permitted/);
  // Behind the tenth look-up nothing passes.
  server.zone.set(
    SPF,
    txt(`v=spf1 ${Array.from({ length: 11 }, (_, n) => `include:i${n}.test`).join(' ')} ip4:192.0.2.1 -all`),
  );
  const behind = await findingsAt(server, { subject: { sources: ['192.0.2.1'] } });
  assert.deepEqual(ids(behind), ['dmarc.dkim-only', 'spf.lookups', 'spf.uncovered']);
  assert.match(behind.find(({ id }) => id === 'spf.uncovered')!.text, /permerror/);

  const voids = (count: number) =>
    txt(
      `v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ${Array.from({ length: count }, (_, n) => `a:void${n}.test`).join(' ')} -all`,
    );
  assert.deepEqual(ids(await checked({ [SPF]: voids(2) })), []);
  assert.deepEqual(ids(await checked({ [SPF]: voids(3) })), ['spf.voids']);
});

test('SPF: the hosts of mx, redirect and macros count as receivers see them', async () => {
  const found = await checked(
    {
      [SPF]: txt('v=spf1 mx exists:%{ir}.ok.test redirect=other.test'),
      'A mail.test': a('192.0.2.77'),
      'A 2.2.0.192.ok.test': a('127.0.0.2'),
      'TXT other.test': txt('v=spf1 ip4:192.0.2.3 -all'),
    },
    { subject: { sources: ['192.0.2.77', '192.0.2.2', '192.0.2.3', '192.0.2.4'] } },
  );
  const uncovered = found
    .filter(({ id }) => id === 'spf.uncovered')
    .map(({ text }) => /for (\S+): (\w+)/.exec(text)!.slice(1));
  assert.deepEqual(uncovered, [['192.0.2.4', 'fail']]);
});

test('SPF: hosts without IPv6 are void look-ups for an IPv6 address', async () => {
  const hosts = ['v0.test', 'v1.test', 'v2.test'];
  const found = await checked({
    [SPF]: txt(`v=spf1 ${hosts.map((host) => `a:${host}`).join(' ')} ip4:192.0.2.1 ip6:2001:db8::1 -all`),
    ...Object.fromEntries(hosts.map((host) => [`A ${host}`, a('198.51.100.1')])),
  });
  const uncovered = found.filter(({ id }) => id === 'spf.uncovered');
  assert.equal(uncovered.length, 1);
  assert.match(uncovered[0]!.text, /2001:db8::1: permerror \(more than 2 void look-ups\)/);
});

test('SPF: of many addresses ten are shown, with their number', async () => {
  const sources = Array.from({ length: 40 }, (_, n) => `192.0.2.${n}`);
  const found = (await checked({}, { subject: { sources } })).filter(({ id }) => id === 'spf.uncovered');
  // The record covers the first sixteen.
  assert.equal(found.length, 10);
  assert.match(found[0]!.text, /for 192\.0\.2\.16, one of 24 addresses: fail/);
  assert.equal(found[0]!.record?.value.match(/ip4:/g)?.length, 21);
});

test('DKIM: missing, another, revoked, weak, for tests, for another service or hash', async () => {
  const missing = await checked({ [DKIM]: undefined });
  assert.deepEqual(ids(missing), ['dkim.missing', 'dmarc.spf-only']);
  assert.deepEqual(missing[0]!.record, SUBJECT.keys[0]);
  assert.deepEqual(ids(await checked({ [DKIM]: txt('google-site-verification=x') })), [
    'dkim.missing',
    'dmarc.spf-only',
  ]);
  assert.deepEqual(ids(await checked({ [DKIM]: txt(`v=DKIM1; p=${RSA[1024]}`) })), [
    'dkim.wrong',
    'dmarc.spf-only',
  ]);
  assert.deepEqual(ids(await checked({ [DKIM]: txt('v=DKIM1; p=') })), ['dkim.revoked', 'dmarc.spf-only']);
  assert.deepEqual(ids(await checked({ [DKIM]: txt(`${key}; t=y:s`) })), ['dkim.testing']);
  assert.deepEqual(ids(await checked({ [DKIM]: txt(`${key}; t=s; s=*; h=sha1:sha256`) })), []);
  assert.deepEqual(ids(await checked({ [DKIM]: txt(`${key}; s=tlsrpt`) })), ['dkim.unfit', 'dmarc.spf-only']);
  assert.deepEqual(ids(await checked({ [DKIM]: txt(`${key}; h=sha1`) })), ['dkim.unfit', 'dmarc.spf-only']);
  // In pieces, with white space, and beside another record.
  assert.deepEqual(ids(await checked({ [DKIM]: txt('v=spf1 -all', key.replace(/.{70}/g, '$& ')) })), []);
  const weak = { name: 'sel._domainkey.shop.test', type: 'TXT' as const, value: `v=DKIM1; p=${RSA[1024]}` };
  const found = await checked({ [DKIM]: txt(weak.value) }, { subject: { keys: [weak] } });
  assert.deepEqual(ids(found), ['dkim.weak']);
  assert.match(found[0]!.text, /1024 bits/);
  assert.deepEqual(ids(await checked({}, { subject: { signs: false } })), ['dkim.off', 'dmarc.spf-only']);
});

test('DKIM: a key behind an alias, and an Ed25519 key', async () => {
  const alias = { name: 'tok._domainkey.shop.test', type: 'CNAME' as const, value: 'tok.dkim.host.test' };
  const cname: ZoneEntry = { answers: [{ type: 'CNAME', data: 'tok.dkim.host.test' }] };
  const found = await checked(
    { 'TXT tok._domainkey.shop.test': cname, 'TXT tok.dkim.host.test': txt(key) },
    { subject: { keys: [alias] } },
  );
  assert.deepEqual(found, []);
  server.zone.delete('TXT tok.dkim.host.test');
  const [missing] = await findingsAt(server, { subject: { keys: [alias] } });
  assert.deepEqual(missing?.record, alias);
  const ed = {
    name: 'ed._domainkey.shop.test',
    type: 'TXT' as const,
    value: 'v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=',
  };
  assert.deepEqual(
    await checked({ 'TXT ed._domainkey.shop.test': txt(ed.value) }, { subject: { keys: [ed] } }),
    [],
  );
});

test('DMARC: none, two, unreadable, with removed tags, and its reports', async () => {
  const [missing] = await checked({ [DMARC]: undefined });
  assert.equal(missing?.id, 'dmarc.missing');
  assert.equal(missing?.record?.value, 'v=DMARC1; p=none; rua=mailto:dmarc@shop.test');
  assert.doesNotMatch(JSON.stringify(missing), /pct/);
  const one = async (record: string) =>
    ids(await checked({ [DMARC]: txt(record) })).filter((id) => !id.startsWith('bimi'));
  assert.deepEqual(ids(await checked({ [DMARC]: txt('v=DMARC1; p=none', 'v=DMARC1; p=reject') })), [
    'bimi.no-enforcement',
    'dmarc.multiple',
  ]);
  assert.deepEqual(await one('v=DMARC1; p=maybe'), ['dmarc.syntax']);
  assert.deepEqual(await one('v=DMARC1; sp=none'), ['dmarc.syntax']);
  assert.deepEqual(await one('v=DMARC1; rua=mailto:d@shop.test'), ['dmarc.none']);
  assert.deepEqual(await one('v=DMARC1; p=none; rua=mailto:d@shop.test'), ['dmarc.none']);
  assert.deepEqual(await one('v=DMARC1; p=reject; t=y; rua=mailto:d@shop.test'), ['dmarc.testing']);
  assert.deepEqual(await one('v=DMARC1; p=reject'), ['dmarc.no-reports']);
  // RFC 9989 §4.7: the version stands first, and is exact.
  assert.deepEqual(await one('p=reject; v=DMARC1'), ['dmarc.missing']);
  assert.deepEqual(await one('v=dmarc1; p=reject'), ['dmarc.missing']);
  const removed = await checked({
    [DMARC]: txt('v=DMARC1; p=reject; pct=50; ri=60; rua=mailto:d@shop.test'),
  });
  assert.deepEqual(ids(removed), ['dmarc.removed-tags']);
  assert.equal(removed[0]!.record?.value, 'v=DMARC1; p=reject; rua=mailto:d@shop.test');

  const abroad = txt('v=DMARC1; p=reject; rua=mailto:a@reports.test!10m,mailto:b@in.shop.test');
  const refused = await checked({ [DMARC]: abroad });
  assert.deepEqual(ids(refused), ['dmarc.reports-refused']);
  assert.equal(refused[0]!.record?.name, 'shop.test._report._dmarc.reports.test');
  assert.deepEqual(await checked({ 'TXT shop.test._report._dmarc.reports.test': txt('v=DMARC1') }), []);
});

test('DMARC: alignment, relaxed and strict, by DKIM and by SPF', async () => {
  assert.deepEqual(
    ids(await checked({ [DMARC]: txt('v=DMARC1; p=reject; aspf=s; rua=mailto:d@shop.test') })),
    ['dmarc.dkim-only'],
  );
  server.zone.set(DMARC, goodZone()[DMARC]!);
  server.zone.set('TXT ret.other.test', txt('v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all'));
  server.zone.set('MX ret.other.test', mx([10, 'mail.test']));
  const abroad = { subject: { returnPath: 'ret.other.test' } };
  assert.deepEqual(ids(await findingsAt(server, abroad)), ['dmarc.dkim-only']);
  server.zone.delete(DKIM);
  const none = await findingsAt(server, abroad);
  assert.deepEqual(ids(none), ['dkim.missing', 'dmarc.unaligned']);
  assert.match(none.find(({ id }) => id === 'dmarc.unaligned')!.text, /of another organization/);
});

test('DMARC: the tree walk skips to seven labels, and finds the organizational domain', () => {
  assert.deepEqual(walkOf('a.b.test'), ['a.b.test', 'b.test', 'test']);
  assert.deepEqual(walkOf('1.2.3.4.5.6.7.test').slice(0, 2), ['1.2.3.4.5.6.7.test', '2.3.4.5.6.7.test']);
  assert.deepEqual(walkOf('0.1.2.3.4.5.6.7.test').slice(0, 2), ['0.1.2.3.4.5.6.7.test', '2.3.4.5.6.7.test']);
  assert.equal(walkOf(`${'x.'.repeat(100)}test`).length, 8);
  const walk = (records: Record<string, string>): DmarcNode[] =>
    walkOf('a.b.c.test').map((domain) => ({ domain, records: records[domain] ? [records[domain]] : [] }));
  assert.equal(organizationalDomain(walk({})), 'a.b.c.test');
  assert.equal(
    organizationalDomain(walk({ 'b.c.test': 'v=DMARC1; p=none', 'c.test': 'v=DMARC1; p=none' })),
    'c.test',
  );
  assert.equal(
    organizationalDomain(walk({ 'b.c.test': 'v=DMARC1; p=none; psd=n', 'c.test': 'v=DMARC1; p=none' })),
    'b.c.test',
  );
  assert.equal(
    organizationalDomain(walk({ 'a.b.c.test': 'v=DMARC1; p=none', 'c.test': 'v=DMARC1; p=none; psd=y' })),
    'b.c.test',
  );
  assert.equal(organizationalDomain(walk({ 'a.b.c.test': 'v=DMARC1; p=none; psd=y' })), 'a.b.c.test');
  assert.equal(
    organizationalDomain(walk({ 'a.b.c.test': 'v=DMARC1; p=none; psd=y', 'c.test': 'v=DMARC1; p=none' })),
    'c.test',
  );
  assert.equal(
    policyNode(walk({ 'a.b.c.test': 'v=DMARC1; p=none', 'c.test': 'v=DMARC1; p=reject' }))?.domain,
    'a.b.c.test',
  );
  assert.equal(
    policyNode(walk({ 'b.c.test': 'v=DMARC1; p=none', 'c.test': 'v=DMARC1; p=reject' }))?.domain,
    'c.test',
  );
  assert.equal(policyNode(walk({ test: 'v=DMARC1; p=reject; psd=y' }))?.domain, 'test');
  assert.equal(policyNode(walk({})), undefined);
});

test('the return path: no MX, the null MX, and one that leads elsewhere', async () => {
  const [none] = await checked({ 'MX bounces.shop.test': undefined });
  assert.equal(none?.id, 'return-path.no-mx');
  assert.deepEqual(none?.record, { name: 'bounces.shop.test', type: 'MX', value: '10 mail.test' });
  assert.deepEqual(ids(await checked({ 'MX bounces.shop.test': mx([0, '.']) })), ['return-path.no-mx']);
  assert.deepEqual(ids(await checked({ 'MX bounces.shop.test': mx([10, 'mx.elsewhere.test']) })), [
    'return-path.elsewhere',
  ]);
  // The host to which the domain of return paths leads is ours, too.
  assert.deepEqual(
    await checked({
      'MX bounces.shop.test': mx([10, 'in.ret.test']),
      'MX ret.test': mx([10, 'IN.ret.test']),
    }),
    [],
  );
});

test('MTA-STS: none, two, no id, no file, wrong files, an MX that it does not name', async () => {
  assert.deepEqual(ids(await checked({ [STS]: undefined })), ['mta-sts.missing']);
  assert.deepEqual(ids(await checked({ [STS]: txt('v=STSv1; id=1', 'v=STSv1; id=2') })), ['mta-sts.broken']);
  assert.deepEqual(ids(await checked({ [STS]: txt('v=STSv1; id=a-b') })), ['mta-sts.broken']);
  assert.deepEqual(ids(await checked({ [STS]: txt(`v=STSv1; id=${'a'.repeat(33)}`) })), ['mta-sts.broken']);
  assert.deepEqual(ids(await checked({ [STS]: txt(`v=STSv1; id=${'a'.repeat(32)}`) })), []);
  const file = async (body: string) => ids(await findingsAt(server, { file: { body } }));
  assert.deepEqual(ids(await findingsAt(server, { file: { problem: 'the server answers 301' } })), [
    'mta-sts.broken',
  ]);
  for (const [from, to] of [
    ['STSv1', 'STSv2'],
    ['enforce', 'on'],
    ['max_age: 86400', ''],
    ['86400', '1d'],
    ['mx: *.shop.test', ''],
  ] as const) {
    assert.deepEqual(await file(POLICY.replace(from, to)), ['mta-sts.broken'], `${from} → ${to}`);
  }
  assert.deepEqual(await file(POLICY.replace('enforce', 'testing')), ['mta-sts.testing']);
  assert.deepEqual(await file('version: STSv1\r\nmode: none\r\nmax_age: 1'), ['mta-sts.testing']);
  assert.deepEqual(await file(POLICY.replace('*.shop.test', 'shop.test')), ['mta-sts.mx-uncovered']);
  // A wildcard stands for one label.
  assert.deepEqual(ids(await checked({ 'MX shop.test': mx([10, 'a.in.shop.test']) })), [
    'mta-sts.mx-uncovered',
  ]);
  assert.deepEqual(ids(await checked({ 'MX shop.test': mx([10, 'shop.test']) })), ['mta-sts.mx-uncovered']);
  // Who takes no mail needs neither.
  assert.deepEqual(
    ids(
      await checked({
        'MX shop.test': mx([0, '.']),
        [STS]: undefined,
        'TXT _smtp._tls.shop.test': undefined,
      }),
    ),
    [],
  );
  assert.equal(typeof readStsPolicy('mx: x\n'.repeat(100_000)), 'string');
});

test('TLS-RPT: none, and one that cannot be read', async () => {
  const TLS = 'TXT _smtp._tls.shop.test';
  assert.deepEqual(ids(await checked({ [TLS]: undefined })), ['tls-rpt.missing']);
  assert.deepEqual(ids(await checked({ [TLS]: txt('v=TLSRPTv1') })), ['tls-rpt.syntax']);
  assert.deepEqual(ids(await checked({ [TLS]: txt('v=TLSRPTv1; rua=tls@shop.test') })), ['tls-rpt.syntax']);
  assert.deepEqual(
    ids(await checked({ [TLS]: txt('v=TLSRPTv1;rua=mailto:tls@shop.test,https://r.test/x') })),
    [],
  );
});

test('BIMI: none, declined, wrong, without enforcement, without a certificate', async () => {
  assert.deepEqual(ids(await checked({ [BIMI]: undefined })), ['bimi.missing']);
  assert.deepEqual(ids(await checked({ [BIMI]: txt('v=BIMI1; l=; a=;') })), []);
  assert.deepEqual(ids(await checked({ [BIMI]: txt('v=BIMI1; l=http://shop.test/l.svg') })), ['bimi.syntax']);
  assert.deepEqual(ids(await checked({ [BIMI]: txt('v=BIMI1; a=https://x.test/') })), ['bimi.syntax']);
  assert.deepEqual(ids(await checked({ [BIMI]: txt('v=BIMI1; l=https://shop.test/l.svg') })), [
    'bimi.no-certificate',
  ]);
  server.zone.set(BIMI, goodZone()[BIMI]!);
  for (const record of ['p=none', 'p=reject; sp=none', 'p=quarantine; t=y']) {
    const found = ids(await checked({ [DMARC]: txt(`v=DMARC1; ${record}; rua=mailto:d@shop.test`) }));
    assert.ok(found.includes('bimi.no-enforcement'), record);
  }
  assert.deepEqual(
    ids(await checked({ [DMARC]: txt('v=DMARC1; p=quarantine; sp=reject; rua=mailto:d@shop.test') })),
    [],
  );
});

test('DNSSEC is missed only where the resolver validates', async () => {
  server.zone.set('MX org', { authentic: true });
  assert.deepEqual(ids(await checked({})), ['dnssec.unsigned']);
  server.zone.set('MX shop.test', { ...mx([10, 'in.shop.test']), authentic: true });
  assert.deepEqual(await findingsAt(server), []);
});

test('DNS that gives no answer is no finding about the record', async () => {
  const dead = { rcode: 2 };
  const found = await checked({
    [SPF]: dead,
    [DKIM]: dead,
    [DMARC]: dead,
    'MX bounces.shop.test': dead,
    [STS]: dead,
    [BIMI]: dead,
  });
  assert.deepEqual(new Set(ids(found)), new Set(['dns.unanswered']));
  assert.ok(found.every(({ text }) => text.includes('SERVFAIL')));
  assert.ok(found.length >= 5);
});

test('every finding about a domain was found by a test above', () => {
  const domain = /^(?:dns|spf|dkim|dmarc|return-path|mta-sts|tls-rpt|bimi|dnssec)\./;
  const never = Object.keys(CATALOGUE).filter((id) => domain.test(id) && !everFound.has(id));
  assert.deepEqual(never, []);
});
