/** SPF against mailauth, which keeps RFC 7208 to the letter (`strict`): random records of a small world. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { spf } from 'mailauth/lib/spf/index.js';
import type { Resolver } from '../../lib/dns/resolver.ts';
import { checkHost } from '../../lib/doctor/gather/check-host.ts';
import { LookUps } from '../../lib/doctor/gather/look-ups.ts';
import { TestClock } from '../support/clock.ts';

type Zone = Record<string, unknown[]>;

const DOMAINS = ['a.test', 'b.test', 'c.test', 'd.test'];
const IPS = ['192.0.2.1', '192.0.2.130', '2001:db8::1'];
const HOSTS: Zone = {
  'A a.test': ['192.0.2.1'],
  'A c.test': ['192.0.2.129', '198.51.100.1'],
  'AAAA c.test': ['2001:db8::2'],
  'MX a.test': [{ exchange: 'c.test', preference: 10 }],
  'MX b.test': [
    { exchange: 'nowhere.test', preference: 10 },
    { exchange: 'a.test', preference: 5 },
  ],
  'MX d.test': Array.from({ length: 11 }, (_, n) => ({
    exchange: `m${n}.test`,
    preference: n,
  })),
  'A 1.2.0.192.a.test': ['127.0.0.2'],
  'A 192.0.2.130.b.test': ['127.0.0.2'],
  'PTR 1.2.0.192.in-addr.arpa': ['a.test', 'x.b.test'],
  'A x.b.test': ['192.0.2.1'],
};

const domain = fc.constantFrom(...DOMAINS);
const qualifier = fc.constantFrom('', '+', '-', '~', '?');
const prefixes = fc.constantFrom(
  '',
  '',
  '',
  '',
  '',
  '/24',
  '/25',
  '//64',
  '/24//64',
  '/32',
  '/0',
  '/33',
  '//129',
  '/024',
);
const target = fc.oneof(
  { weight: 4, arbitrary: domain },
  fc.constantFrom(
    '%{ir}.a.test',
    '%{i}.b.test',
    '%{d}',
    '%{d2}',
    '%{o}',
    '%{l}.a.test',
    '%{v}.test',
    'nowhere.test',
    'test',
    '%{x}.test',
    '%{d0}',
    '%{p}.test',
    '%{H}',
    'a.test.',
    '%{d1r}.test',
    'a..test',
    'a.1',
  ),
);
const term = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        qualifier,
        fc.constantFrom('a', 'mx', 'include', 'exists', 'ptr'),
        fc.option(target, { nil: '' }),
        prefixes,
      )
      .map(([q, m, t, p]) => `${q}${m}${t === '' ? '' : `:${t}`}${m === 'a' || m === 'mx' ? p : ''}`),
  },
  fc
    .tuple(
      qualifier,
      fc.constantFrom(
        'ip4:192.0.2.1',
        'ip4:192.0.2.128',
        'ip4:192.0.2.0',
        'ip6:2001:db8::1',
        'ip4:198.51.100.0',
        'ip6:2001:db8::',
        'ip4:1.2.3',
        'ip6:1.2.3.4',
        'ip4:',
      ),
      fc.constantFrom('', '', '', '', '/25', '/0', '/33', '/64', '/129'),
    )
    .map(([q, n, p]) => `${q}${n}${p}`),
  qualifier.map((q) => `${q}all`),
  target.map((t) => `redirect=${t}`),
  fc.constantFrom(
    'exp=a.test',
    'exp=a.test',
    'x-other=1',
    'all:a.test',
    'unknown',
    '',
    'include',
    'A',
    'MX',
    'INCLUDE:B.test',
    '1x=2',
    'redirect=',
  ),
);
const record = fc.array(term, { maxLength: 7 }).map((terms) => ['v=spf1', ...terms].join(' '));
const world = fc.tuple(
  fc.tuple(record, record, record, fc.array(record, { maxLength: 2 })),
  fc.constantFrom(...IPS),
);

function resolverOf(zone: Zone): Pick<Resolver, 'resolve'> {
  return {
    async resolve(name, type) {
      const records = zone[`${type} ${name.toLowerCase()}`];
      return (
        records ? { kind: 'found', records, expiresAt: 0 } : { kind: 'no_domain', expiresAt: 0 }
      ) as never;
    },
  };
}

async function judged(zone: Zone, ip: string): Promise<string> {
  const { status } = await spf({
    sender: 'postmaster@a.test',
    ip,
    helo: 'a.test',
    mta: 'mx.test',
    strict: true,
    resolver: (async (name: string, type: string) => {
      const records = zone[`${type} ${name.toLowerCase()}`];
      if (!records) throw Object.assign(new Error('none'), { code: 'ENOTFOUND' });
      if (type === 'TXT') return records.map((one) => [one]);
      if (type === 'MX')
        return records.map((one) => ({
          exchange: (one as { exchange: string }).exchange,
          priority: (one as { preference: number }).preference,
        }));
      return records;
    }) as never,
  });
  return status.result;
}

test('every record means what mailauth takes it for', async () => {
  await fc.assert(
    fc.asyncProperty(world, async ([[one, two, three, four], ip]) => {
      const zone: Zone = {
        ...HOSTS,
        'TXT a.test': [one],
        'TXT b.test': [two],
        'TXT c.test': ['other', three],
      };
      if (four.length > 0) zone['TXT d.test'] = four;
      const lookUps = new LookUps({
        resolver: resolverOf(zone),
        clock: new TestClock(),
      });
      const { result, text } = await checkHost('a.test', ip, lookUps);
      assert.equal(
        result,
        await judged(zone, ip),
        `${ip} ${text} ${JSON.stringify([one, two, three, four])}`,
      );
    }),
    { numRuns: 1_000 },
  );
});
