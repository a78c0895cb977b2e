import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readDirective } from '../../lib/directives/check.ts';
import {
  DIMENSIONS,
  type Directive,
  type DirectiveAction,
  type DirectiveMatch,
} from '../../lib/directives/directive.ts';
import { type DeliveryFacts, DirectiveIndex } from '../../lib/directives/index.ts';
import { failure } from '../support/control.ts';

const NOW = Date.UTC(2026, 0, 1);
const suspend: DirectiveAction = { kind: 'suspend' };
const bounce: DirectiveAction = { kind: 'bounce' };
const to = (pool: string): DirectiveAction => ({ kind: 'reroute', pool });
const limit = (limits: object): DirectiveAction => ({ kind: 'limit', limits });
const admin = { operator: 'AKIAADMIN' };
const tenant = { operator: 'AKIAUSER', tenant: 'acme' };
const rule = { rule: 'google.rate', reply: '421 4.7.28 Slow down' };

let made = 0;
function directive(match: DirectiveMatch, action: DirectiveAction, more: Partial<Directive> = {}): Directive {
  made += 1;
  return { id: `d${String(made).padStart(6, '0')}`, match, action, reason: 'A test', origin: admin, ...more };
}

function indexOf(...directives: Directive[]): DirectiveIndex {
  const index = new DirectiveIndex();
  for (const one of directives) index.set(one);
  return index;
}

const mail: DeliveryFacts = {
  tenant: 'acme',
  campaign: 'spring',
  domain: 'example.net',
  provider: 'google',
  pool: 'default',
  ip: '192.0.2.1',
  site: 'mx.example.net',
};

describe('the scope of a directive', () => {
  test('is each of the seven members that it names', () => {
    for (const dimension of DIMENSIONS) {
      const index = indexOf(directive({ [dimension]: mail[dimension]! }, suspend));
      assert.equal(index.match(mail, NOW).action, 'suspend', dimension);
      assert.equal(index.match({ ...mail, [dimension]: 'another' }, NOW).action, 'none', dimension);
      assert.equal(
        index.match({ ...mail, [dimension]: undefined }, NOW).action,
        'none',
        `${dimension} unknown`,
      );
    }
  });

  test('is all mail when it names nothing', () => {
    assert.equal(indexOf(directive({}, suspend)).match({}, NOW).action, 'suspend');
  });

  test('must match in every member', () => {
    const index = indexOf(directive({ tenant: 'acme', provider: 'google', ip: '192.0.2.1' }, suspend));
    assert.equal(index.match(mail, NOW).action, 'suspend');
    for (const other of [{ tenant: 'b' }, { provider: 'yahoo' }, { ip: '192.0.2.2' }]) {
      assert.equal(index.match({ ...mail, ...other }, NOW).action, 'none');
    }
  });

  test('ends at its expiry, to the millisecond', () => {
    const index = indexOf(directive({}, suspend, { until: NOW }));
    assert.equal(index.match(mail, NOW - 1).action, 'suspend');
    assert.equal(index.match(mail, NOW).action, 'none');
  });

  test('is replaced and removed by its id', () => {
    const index = indexOf(directive({ tenant: 'acme' }, suspend, { id: 'x' }));
    index.set(directive({ tenant: 'other' }, suspend, { id: 'x' }));
    assert.equal(index.match(mail, NOW).action, 'none');
    assert.equal(index.match({ tenant: 'other' }, NOW).by?.id, 'x');
    assert.deepEqual([index.delete('x'), index.delete('x'), index.size], [true, false, 0]);
    assert.equal(index.match({ tenant: 'other' }, NOW).action, 'none');
  });
});

describe('of several directives', () => {
  const cases: [
    what: string,
    expected: string,
    ...given: [DirectiveMatch, DirectiveAction, Partial<Directive>?][],
  ][] = [
    [
      'a stop of the mail is over a reroute',
      'suspend',
      [{ tenant: 'acme' }, suspend],
      [{ tenant: 'acme', domain: 'example.net' }, to('b')],
    ],
    ['a bounce of the mail is over a reroute', 'bounce', [{ campaign: 'spring' }, bounce], [{}, to('b')]],
    [
      'a reroute is over a closed way',
      'reroute',
      [{ ip: '192.0.2.1', site: 'mx.example.net' }, suspend],
      [{ ip: '192.0.2.1' }, to('b')],
    ],
    [
      'a stop of the mail is over a closed way',
      'bounce',
      [{ pool: 'default' }, suspend],
      [{ tenant: 'acme' }, bounce],
    ],
    [
      'an operator is over a rule',
      'suspend',
      [{ tenant: 'acme' }, suspend],
      [{ tenant: 'acme', domain: 'example.net' }, bounce, { origin: rule }],
    ],
    [
      'an administrator is over a tenant',
      'bounce',
      [{ tenant: 'acme' }, bounce],
      [{ tenant: 'acme', campaign: 'spring' }, suspend, { origin: tenant }],
    ],
    [
      'a tenant is over a rule',
      'bounce',
      [{ tenant: 'acme' }, bounce, { origin: tenant }],
      [{ tenant: 'acme', site: 'mx.example.net' }, suspend, { origin: rule }],
    ],
    [
      'the one that names more decides',
      'bounce',
      [{ tenant: 'acme' }, suspend],
      [{ tenant: 'acme', campaign: 'spring' }, bounce],
    ],
    ['suspend is over bounce', 'suspend', [{ tenant: 'acme' }, bounce], [{ campaign: 'spring' }, suspend]],
  ];
  for (const [what, expected, ...given] of cases) {
    test(what, () => {
      const directives = given.map(([match, action, more]) => directive(match, action, more));
      assert.equal(indexOf(...directives).match(mail, NOW).action, expected);
      assert.equal(indexOf(...directives.reverse()).match(mail, NOW).action, expected, 'in any order');
    });
  }

  test('the first by id decides between equals', () => {
    const index = indexOf(directive({}, to('b'), { id: 'b' }), directive({}, to('a'), { id: 'a' }));
    assert.equal(index.match(mail, NOW).pool, 'a');
  });

  test('a reroute to the same pool, or of rerouted mail, does nothing', () => {
    const index = indexOf(directive({}, to('default')));
    assert.equal(index.match(mail, NOW).action, 'none');
    assert.equal(index.match({ ...mail, pool: 'b' }, NOW).pool, 'default');
    assert.equal(index.match({ ...mail, pool: 'b', moved: true }, NOW).action, 'none');
  });

  test('the lowest value of each limit holds, beside the other actions', () => {
    const first = directive({ tenant: 'acme' }, limit({ connections: 5, messagesPerSecond: 10 }));
    const second = directive({ provider: 'google' }, limit({ connections: 8, messagesPerSecond: 2 }), {
      origin: rule,
    });
    const index = indexOf(first, second, directive({ ip: '192.0.2.9' }, limit({ connections: 1 })));
    const ruling = index.match(mail, NOW);
    assert.deepEqual(ruling.limits, { connections: 5, messagesPerSecond: 2 });
    assert.deepEqual(new Set(ruling.limitedBy), new Set([first, second]));
    assert.equal(ruling.action, 'none');
    index.set(directive({}, to('b')));
    assert.deepEqual(index.match(mail, NOW).limits, { connections: 5, messagesPerSecond: 2 });
  });
});

test('the index finds the same as a scan of all directives', () => {
  const value = fc.constantFrom('a', 'b', 'c');
  const match = fc.record(Object.fromEntries(DIMENSIONS.map((one) => [one, value])), { requiredKeys: [] });
  const action = fc.constantFrom<DirectiveAction>(
    suspend,
    bounce,
    to('a'),
    to('b'),
    limit({ connections: 1 }),
    limit({ connections: 2 }),
  );
  const until = fc.option(fc.integer({ min: NOW - 2, max: NOW + 2 }), { nil: undefined });
  const entry = fc.record({
    match,
    action,
    until,
    origin: fc.constantFrom<Directive['origin']>(admin, tenant, rule),
  });
  fc.assert(
    fc.property(
      fc.array(entry, { maxLength: 40 }),
      fc.array(fc.nat(39)),
      match,
      (entries, removed, facts) => {
        const directives = entries.map((one, n) => ({ ...one, id: `d${n}`, reason: 'A test' }) as Directive);
        const index = indexOf(...directives);
        for (const n of removed) index.delete(`d${n}`);
        const left = directives.filter((_, n) => !removed.includes(n));
        assert.equal(index.size, left.length);
        // Each directive alone: the deciding ones are among those that match alone.
        const alone = left.filter((one) => {
          const ruling = indexOf(one).match(facts as DeliveryFacts, NOW);
          return ruling.action !== 'none' || ruling.limits !== undefined;
        });
        const ruling = index.match(facts as DeliveryFacts, NOW);
        const limits = alone.filter((one) => one.action.kind === 'limit');
        assert.deepEqual(new Set(ruling.limitedBy), new Set(limits));
        assert.deepEqual(indexOf(...alone.reverse()).match(facts as DeliveryFacts, NOW).by, ruling.by);
        assert.equal(ruling.action === 'none', alone.length === limits.length);
      },
    ),
    { seed: 7, numRuns: 300 },
  );
});

describe('an order', () => {
  const good = { match: { tenant: 'acme' }, action: { kind: 'suspend' }, reason: 'Spam run' };

  test('is read with domain, address and provider in canonical form', () => {
    assert.deepEqual(readDirective({ ...good, until: NOW + 1 }, NOW), { ...good, until: NOW + 1 });
    const match = { domain: 'BÜCHER.example', ip: '2001:DB8:0::1', provider: 'Google', site: 'MX.Example' };
    assert.deepEqual(readDirective({ ...good, match }, NOW).match, {
      domain: 'xn--bcher-kva.example',
      ip: '2001:db8::1',
      provider: 'google',
      site: 'mx.example',
    });
    const limits = {
      connections: 1,
      connectionsPerMinute: 0.5,
      messagesPerSecond: 0.1,
      messagesPerConnection: 1,
    };
    assert.deepEqual(readDirective({ ...good, action: limit(limits) }, NOW).action, limit(limits));
  });

  const bad: [what: string, change: object, path: RegExp][] = [
    ['an unknown member', { matches: {} }, /^directive\.matches: is unknown/],
    ['an unknown dimension', { match: { tennant: 'acme' } }, /^match\.tennant: is unknown/],
    ['no match', { match: undefined }, /^match: /],
    ['no action', { action: undefined }, /^action: /],
    ['no reason', { reason: '' }, /^reason: /],
    ['an unknown action', { action: { kind: 'pause' } }, /^action\.kind: "pause" is none of suspend, bounce/],
    ['a member of another action', { action: { kind: 'suspend', pool: 'b' } }, /^action\.pool: is unknown/],
    [
      'limits with a reroute',
      { action: { kind: 'reroute', pool: 'b', limits: {} } },
      /^action\.limits: is unknown/,
    ],
    ['a reroute to nowhere', { action: { kind: 'reroute' } }, /^action\.pool: /],
    [
      'a reroute to the same pool',
      { match: { pool: 'b' }, action: to('b') },
      /^action\.pool: is b, the pool/,
    ],
    ['a bounce of everything', { match: {}, action: bounce }, /^match: is empty/],
    ['a limit of nothing', { action: limit({}) }, /^action\.limits: sets no limit/],
    ['an unknown limit', { action: limit({ rate: 1 }) }, /^action\.limits\.rate: is unknown/],
    [
      'no connections',
      { action: limit({ connections: 0 }) },
      /^action\.limits\.connections: 0 is out of bounds/,
    ],
    [
      'half a connection',
      { action: limit({ connections: 1.5 }) },
      /^action\.limits\.connections: 1\.5 is not a whole/,
    ],
    [
      'a rate that is none',
      { action: limit({ messagesPerSecond: Number.NaN }) },
      /^action\.limits\.messagesPerSecond: /,
    ],
    ['a domain that is none', { match: { domain: 'a b' } }, /^match\.domain: /],
    [
      'an address that is none',
      { match: { ip: '192.0.2.0/24' } },
      /^match\.ip: "192\.0\.2\.0\/24" is not an IP address/,
    ],
    ['a name with blanks', { match: { tenant: 'a b' } }, /^match\.tenant: /],
    ['a site with a line break', { match: { site: 'a\nb' } }, /^match\.site: /],
    ['a number for a name', { match: { tenant: 1 } }, /^match\.tenant: 1 is not a text/],
    [
      'a provider that no host has',
      { match: { provider: 'gogle' } },
      /^match\.provider: "gogle" is none of /,
    ],
    ['the past', { until: NOW }, /^until: is over already/],
    ['a time in seconds for eternity', { until: NOW * 1000 }, /^until: is more than ten years/],
    ['a time that is text', { until: '2026' }, /^until: /],
  ];
  for (const [what, change, path] of bad) {
    test(`with ${what} is refused with its path`, () => {
      assert.throws(() => readDirective({ ...good, ...change }, NOW), failure('bad_request', path));
    });
  }

  test('that is not an object is refused', () => {
    for (const value of [null, undefined, [], 'x', 7]) {
      assert.throws(() => readDirective(value, NOW), failure('bad_request', /^directive: /));
    }
  });
});
