import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONFIG_KINDS } from '../../lib/control/config-kinds.ts';

const cases: Record<string, { good: unknown[]; bad: [unknown, RegExp][] }> = {
  limits: {
    good: [
      {},
      { providers: { google: { connections: 5 } } },
      { providers: { google: { connections: 20, providerConnections: 20 } } },
      { domains: { 'xn--bcher-kva.example': { connections: 5 } } },
    ],
    bad: [
      [{ default: { conections: 5 } }, /default\.conections: is unknown/],
      [{ default: { connections: -1 } }, /default\.connections: /],
      [[], /is not an object/],
      [
        { providers: { gogle: { connections: 2 } } },
        /^limits\.providers\.gogle: "gogle" is none of .*, google, /,
      ],
      [
        { shared: { a: { match: { provider: 'gogle' }, quota: '5/h' } } },
        /^limits\.shared\.a\.match\.provider: /,
      ],
      [
        { providers: { google: { connections: 20 } } },
        /^limits\.providers\.google\.connections: 20 contradicts providerConnections 5 of built-in\.providers\.google/,
      ],
      [
        { default: { ipConnections: 8 }, providers: { yahoo: { connections: 9 } } },
        /^limits\.providers\.yahoo\.connections: 9 contradicts ipConnections 8 of limits\.default/,
      ],
      [
        { domains: { 'bücher.example': {} } },
        /^limits\.domains\.bücher\.example: is known as xn--bcher-kva\.example/,
      ],
      [{ domains: { 'a b': {} } }, /^limits\.domains\.a b: /],
      [{ sites: { 'a b': {} } }, /^limits\.sites\.a b: has blanks/],
      [{ default: { for: [{ ip: '1.2.3', connections: 1 }] } }, /^limits\.default\.for\[0\]\.ip: /],
    ],
  },
  routing: {
    good: [{}, { pools: { news: { ips: ['203.0.113.1'] } } }],
    bad: [
      [{ pools: { news: { ips: ['x'] } } }, /^routing\.pools\.news\.ips\[0\]: /],
      [
        { pools: { a: { ips: ['203.0.113.1'], exclusive: true }, b: { ips: ['203.0.113.1'] } } },
        /^routing\.pools\..*203\.0\.113\.1/,
      ],
      [
        { pools: { a: { ips: ['2001:db8::1'] }, b: { ips: ['2001:DB8:0::1'], exclusive: true } } },
        /^routing\.pools\.b\.ips\[0\]: 2001:db8::1 is in pool "a", and this one is exclusive/,
      ],
    ],
  },
  warmup: {
    good: [{}, { '203.0.113.1': { schedule: 'fast' } }],
    bad: [
      [{ '203.0.113.1': { schedule: 'faster' } }, /^warmup\.203\.0\.113\.1\.schedule: /],
      [{ mine: {} }, /^warmup\.mine: "mine" is not an IP address/],
      [{ '203.0.113.1': { providers: { gogle: 'slow' } } }, /^warmup\.203\.0\.113\.1\.providers\.gogle: /],
      [
        { '2001:db8::1': {}, '2001:db8:0::1': {} },
        /^warmup\.2001:db8:0::1: is another way to write 2001:db8::1/,
      ],
      [
        {
          '203.0.113.1': {
            schedule: [
              { days: 1, messages: 2 },
              { days: 1, messages: 1 },
            ],
          },
        },
        /a schedule must not go down/,
      ],
    ],
  },
  automation: {
    good: [{}, { off: [] }],
    bad: [
      [{ off: ['no.such.rule'] }, /^automation: off\[0\]: no rule is called/],
      [{ rules: [{ id: 'x.y' }] }, /^automation: rules\[0\]/],
    ],
  },
  protection: {
    good: [{}, { bounce: { warn: 0.02, pause: 0.04 }, tenants: { news: { pause: false } } }],
    bad: [[{ tenants: { news: { volume: 1 } } }, /^protection\.tenants\.news\.volume: 1 is out of bounds/]],
  },
  links: {
    good: [{}, { blocked: [{ domain: 'shop.example', reason: 'Phishing.' }] }],
    bad: [[{ blocked: [{ domain: 'a b', reason: 'x' }] }, /^links\.blocked\[0\]\.domain: /]],
  },
  bulk: {
    good: [{}, { default: 'warn', tenants: { news: 'refuse' }, sets: { 'news/weekly': 'off' } }],
    bad: [
      [{ default: 'on' }, /^bulk\.default: "on" is none of off, warn, refuse/],
      [{ tenants: { news: true } }, /^bulk\.tenants\.news: /],
      [{ sets: { weekly: 'warn' } }, /^bulk\.sets: "weekly" is not written tenant\/set/],
      [{ mode: 'warn' }, /^bulk\.mode: is unknown/],
    ],
  },
};

test('every kind has a case in this test', () => {
  assert.deepEqual(
    CONFIG_KINDS.map(({ name }) => name),
    Object.keys(cases),
  );
});

for (const kind of CONFIG_KINDS) {
  describe(`a document of ${kind.name}`, () => {
    test('is accepted when its reader accepts it', () => {
      for (const value of cases[kind.name]!.good) assert.ok(kind.read(value, 'default'));
    });
    test('is refused with path and reason', () => {
      for (const [value, message] of cases[kind.name]!.bad) {
        assert.throws(() => kind.read(value, 'default'), { code: 'bad_request', message });
      }
    });
    test('has the one name of its kind', () => {
      assert.throws(() => kind.read({}, 'other'), { message: /is called default, not other/ });
    });
  });
}
