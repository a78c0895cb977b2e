import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PosternError } from '../../lib/errors.ts';
import { LimitBook } from '../../lib/shaping/limits/book.ts';
import { readLimits } from '../../lib/shaping/limits/check.ts';
import { connectionsWanted, type LimitRule } from '../../lib/shaping/limits/limit.ts';
import { limitTable } from '../../lib/shaping/limits/table.ts';
import type { Mail, PathKey } from '../../lib/shaping/limits/terms.ts';
import { HOUR } from '../../lib/time.ts';

const place = (change: Partial<PathKey> = {}): PathKey => ({
  provider: 'other',
  site: 'mx.example.test',
  routed: false,
  ip: '192.0.2.1',
  pool: 'default',
  ...change,
});
const mail = (change: Partial<Mail> = {}): Mail => ({
  domain: 'example.test',
  tenant: 'acme',
  class: 'bulk',
  ...change,
});
const own = (document: unknown, change: Partial<PathKey> = {}) =>
  new LimitBook(limitTable(document)).at(place(change)).own;

describe('limits', () => {
  it('are composed from default, provider and site, and name the rule that set them', () => {
    const document = {
      default: { idle: '10s', for: [{ ip: '192.0.2.9', connections: 3 }] },
      providers: { google: { connections: 4 } },
      sites: { 'mx.special.test': { connections: 2, messageRate: '5/min' } },
    };
    assert.equal(own(document).limits.connections, 10);
    assert.equal(own(document).origins.connections, 'built-in.default');
    assert.equal(own(document).limits.idle, 10_000);
    assert.equal(own(document).origins.idle, 'limits.default');
    assert.equal(own(document, { ip: '192.0.2.9' }).limits.connections, 3);
    assert.equal(own(document, { ip: '192.0.2.9' }).origins.connections, 'limits.default.for[0]');
    const google = own(document, { provider: 'google', ip: '192.0.2.9' });
    assert.equal(google.limits.connections, 4, 'a layer is over all of the one below');
    assert.equal(google.limits.messagesPerConnection, 50);
    assert.equal(google.limits.tls, 'required');
    const special = own(document, { provider: 'google', site: 'mx.special.test' });
    assert.equal(special.limits.connections, 2);
    assert.deepEqual(special.limits.messageRate, { count: 5, per: 60_000, text: '5/min' });
    assert.equal(special.limits.messagesPerConnection, 50);
  });

  it('of a static route are its own, and not those of a provider', () => {
    const routed = own({}, { provider: 'google', routed: true });
    assert.equal(routed.limits.messageRate, undefined);
    assert.equal(routed.limits.tls, 'opportunistic');
    assert.equal(routed.origins.messageRate, 'built-in.route');
  });

  it('of an IP override those of a pool', () => {
    const document = {
      default: {
        for: [
          { ip: '192.0.2.1', connections: 1 },
          { pool: 'new', connections: 2 },
        ],
      },
    };
    assert.equal(own(document, { pool: 'new', ip: '192.0.2.2' }).limits.connections, 2);
    assert.equal(own(document, { pool: 'new' }).limits.connections, 1);
  });

  it('that select some mail give it counters beside the site’s, or connections of its own', () => {
    const book = new LimitBook(
      limitTable({
        default: {
          for: [
            { tenant: '*', messageRate: '50/s' },
            { tenant: 'acme', messageRate: '5/s', concurrency: 2 },
            { class: 'bulk', messageRate: '20/s' },
          ],
        },
        providers: { google: { for: [{ tenant: 'acme', messageRate: '3/s' }] } },
        domains: { 'slow.test': { connections: 1, maxAge: '1h' } },
      }),
    );
    const counters = (at: PathKey, one: Mail) =>
      Object.fromEntries(
        (book.at(at).of(one).mailLimits?.counters ?? []).map(({ key, rate, concurrency }) => [
          key,
          `${rate?.text} ${concurrency}`,
        ]),
      );
    assert.deepEqual(counters(place(), mail()), { 'tenant=acme': '5/s 2', 'class=bulk': '20/s Infinity' });
    assert.deepEqual(counters(place({ provider: 'google' }), mail({ class: 'transactional' })), {
      'tenant=acme': '3/s 2',
    });
    assert.deepEqual(counters(place(), mail({ tenant: 'other', class: 'transactional' })), {
      'tenant=other': '50/s Infinity',
    });
    const slow = book.at(place()).of(mail({ domain: 'slow.test' }));
    assert.equal(slow.connectionClass.name, 'domain=slow.test');
    assert.equal(slow.connectionClass.limits.connections, 1);
    assert.equal(slow.mailLimits!.maxAge, HOUR);
    assert.equal(slow.mailLimits!.origins.maxAge, 'limits.domains.slow.test');
    const plain = book.at(place()).of(mail());
    assert.equal(plain.connectionClass.name, '');
    assert.equal(plain.connectionClass.limits.connections, 10);
    assert.equal(book.at(place()), book.at(place()), 'cached');
    assert.equal(book.at(place()).of(mail()), plain);
  });

  it('that are shared have one bucket for all, or one for each tenant', () => {
    const book = new LimitBook(
      limitTable({
        shared: {
          all: { match: { provider: 'google' }, rate: '100/s' },
          tenants: { each: ['tenant'], quota: '1000/d' },
          acme: { match: { tenant: 'acme' }, rate: '10/s' },
        },
      }),
    );
    const keys = (at: PathKey, one: Mail) =>
      (book.at(at).of(one).mailLimits?.shared ?? []).map(({ key }) => key);
    assert.deepEqual(keys(place({ provider: 'google' }), mail()), ['all', 'tenants/tenant=acme', 'acme']);
    assert.deepEqual(keys(place(), mail({ tenant: 'b' })), ['tenants/tenant=b']);
  });

  it('of directives lower those of rules, and never raise them', () => {
    const book = new LimitBook(limitTable({}));
    const before = book.version;
    const order = (set: LimitRule['set'], match: LimitRule['match'] = {}): LimitRule => ({
      match,
      set,
      origin: 'directive x',
      atMost: true,
    });
    const slow = { count: 1, per: 60_000, text: '1/min' };
    book.order([order({ connections: 1, messageRate: slow, messagesPerConnection: 5000 })]);
    const { limits, origins } = book.at(place()).own;
    assert.equal(limits.connections, 1);
    assert.equal(limits.messageRate, slow);
    assert.equal(limits.messagesPerConnection, 100);
    assert.equal(origins.messageRate, 'directive x');
    assert.equal(origins.messagesPerConnection, 'built-in.default');
    assert.ok(book.version > before);
    book.order([order({ messageRate: slow }, { tenant: 'acme' })]);
    assert.equal(book.at(place()).own.limits.messageRate?.text, '100/s');
    assert.equal(book.at(place()).of(mail()).mailLimits!.counters[0]!.rate, slow);
    book.order([]);
    assert.equal(book.at(place()).of(mail()).mailLimits, undefined);
  });

  it('of a directive hold for a provider behind a static route, too', () => {
    const book = new LimitBook(limitTable({ providers: { google: { connections: 1 } } }));
    const routed = place({ provider: 'google', routed: true });
    assert.equal(book.at(routed).own.limits.connections, 20);
    book.order([
      { match: { provider: 'google' }, set: { connections: 3 }, origin: 'directive x', atMost: true },
    ]);
    assert.equal(book.at(routed).own.limits.connections, 3);
  });

  it('connections grow with the backlog, never beyond it or the limit', () => {
    assert.deepEqual(
      [0, 1, 2, 5, 20, 50, 100, 1000].map((n) => connectionsWanted(10, n)),
      [0, 1, 1, 2, 4, 7, 9, 10],
    );
    assert.equal(connectionsWanted(1, 1_000_000), 1);
    assert.equal(connectionsWanted(1000, 1), 1);
  });
});

describe('a document of limits is refused', () => {
  const cases: [what: string, document: unknown, message: RegExp][] = [
    [
      'a layer that is none',
      { provider: {} },
      /^limits\.provider: is unknown; the members are default, route/,
    ],
    ['a limit that is none', { default: { conections: 1 } }, /^limits\.default\.conections: is unknown/],
    ['a number out of bounds', { default: { connections: 0 } }, /^limits\.default\.connections: 0 is out of/],
    [
      'a rate that is none',
      { default: { messageRate: '10 per s' } },
      /messageRate: "10 per s" is not a rate/,
    ],
    ['a rate of nothing', { default: { messageRate: '0/s' } }, /messageRate: "0\/s" is not a rate/],
    ['a length that is none', { default: { idle: 60 } }, /idle: 60 is not a length of time/],
    [
      'a deadline that makes duplicates',
      { default: { deadlines: { dataEnd: '5s' } } },
      /deadlines\.dataEnd: 5s is out/,
    ],
    ['a deadline that is none', { default: { deadlines: { dot: '5m' } } }, /deadlines\.dot: is unknown/],
    [
      'a TLS policy that is none',
      { sites: { x: { tls: 'yes' } } },
      /^limits\.sites\.x\.tls: "yes" is none of/,
    ],
    [
      'a site larger than its provider',
      { providers: { google: { connections: 9, providerConnections: 5 } } },
      /^limits\.providers\.google\.connections: 9 contradicts providerConnections 5/,
    ],
    [
      'more messages than recipients',
      { default: { messagesPerConnection: 9, recipientsPerConnection: 5 } },
      /contradicts recipientsPerConnection/,
    ],
    [
      'a first delay beyond the age',
      { default: { retry: { delays: ['2h'] }, maxAge: '1h' } },
      /retry: its first delay is not shorter/,
    ],
    ['a schedule without delays', { default: { retry: { delays: [] } } }, /delays/],
    [
      'an IP limit of a provider',
      { providers: { google: { ipConnections: 5 } } },
      /ipConnections: counts the connections of an IP to everywhere/,
    ],
    [
      'a provider limit of a tenant',
      { providers: { google: { for: [{ tenant: 'a', providerConnections: 5 }] } } },
      /providerConnections: counts the connections of an IP for all mail/,
    ],
    [
      'a provider limit of a site',
      { sites: { x: { providerConnections: 5 } } },
      /providerConnections: counts the connections to all sites/,
    ],
    [
      'a share of bulk of one class',
      { default: { for: [{ class: 'bulk', bulkReserve: 0.2 }] } },
      /^limits\.default\.for\[0\]\.bulkReserve: divides what both classes get/,
    ],
    [
      'connections of each tenant',
      { default: { for: [{ tenant: '*', connections: 5 }] } },
      /^limits\.default\.for\[0\]\.connections: belongs to a connection/,
    ],
    [
      'the same mail twice',
      {
        default: {
          for: [
            { tenant: 'a', concurrency: 5 },
            { tenant: 'a', concurrency: 6 },
          ],
        },
      },
      /^limits\.default\.for\[1\]: speaks of the same mail as limits\.default\.for\[0\]/,
    ],
    ['an exception for nobody', { default: { for: [{ connections: 5 }] } }, /for\[0\]: names no mail/],
    [
      'an IP that is none',
      { default: { for: [{ ip: 'x', connections: 5 }] } },
      /for\[0\]\.ip: "x" is not an IP address/,
    ],
    [
      'each pool',
      { default: { for: [{ pool: '*', messageRate: '1/s' }] } },
      /every pool counts by itself anyway/,
    ],
    ['a class that is none', { default: { for: [{ class: 'fast', connections: 5 }] } }, /for\[0\]\.class/],
    [
      'a host that is none',
      { default: { prohibitedMx: ['a b'] } },
      /prohibitedMx\[0\]: "a b" is neither a host/,
    ],
    [
      'capitals',
      { domains: { 'Example.org': {} } },
      /^limits\.domains\.Example\.org: is written in capitals/,
    ],
    ['a shared limit of nothing', { shared: { x: {} } }, /^limits\.shared\.x: gives several or none/],
    [
      'a shared limit of two things',
      { shared: { x: { rate: '5/s', concurrency: 5 } } },
      /^limits\.shared\.x: gives several or none/,
    ],
    [
      'a shared concurrency of nothing',
      { shared: { x: { concurrency: 0 } } },
      /^limits\.shared\.x\.concurrency: 0 is out of/,
    ],
    ['a quota by the minute', { shared: { x: { quota: '5/min' } } }, /quota: "5\/min" is not a quota/],
    [
      'each of what is one',
      { shared: { x: { match: { tenant: 'a' }, each: ['tenant'], rate: '5/s' } } },
      /each: match already names one tenant/,
    ],
    ['no object', [], /^limits: \[\] is not an object/],
  ];
  for (const [what, document, message] of cases) {
    it(`for ${what}`, () => {
      assert.throws(
        () => readLimits(document, 'limits'),
        (error: unknown) => {
          assert.ok(error instanceof PosternError);
          assert.equal(error.code, 'bad_request');
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }
});
