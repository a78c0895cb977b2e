import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PosternError } from '../../lib/errors.ts';
import type { IpStates } from '../../lib/shaping/routing/picker.ts';
import { Router, readRouting } from '../../lib/shaping/routing/router.ts';
import { percentAt } from '../../lib/shaping/routing/splits.ts';

const NOW = Date.UTC(2026, 2, 1);
const HOUR = 3_600_000;

/** The node's IPs as a test wants them: all usable, none warming, unless it says otherwise. */
class Ips implements IpStates {
  suspended = new Set<string>();
  /** Messages left in the budget. */
  budgets = new Map<string, number>();
  loads = new Map<string, number>();

  usable(ip: string): boolean {
    return !this.suspended.has(ip);
  }

  wait(ip: string): number {
    return this.budgets.get(ip) === 0 ? HOUR : 0;
  }

  warming(ip: string): boolean {
    return this.budgets.has(ip);
  }

  load(ip: string): number {
    return this.loads.get(ip) ?? 0;
  }
}

const ip = (n: number): string => `203.0.113.${n}`;

function routerOf(pools: unknown, ips: Ips = new Ips(), splits: unknown = [], all: string[] = []): Router {
  return new Router(readRouting({ pools, splits }, 'routing'), ips, all);
}

/** How many of `count` messages each IP was chosen for; a wait or none by its kind. */
function shares(router: Router, pool: string, count: number, now = NOW, ips?: Ips): Record<string, number> {
  const found: Record<string, number> = {};
  for (let n = 0; n < count; n += 1) {
    const choice = router.choose(pool, 'acme', 'google', now);
    const key = choice.kind === 'ip' ? choice.ip : choice.kind;
    found[key] = (found[key] ?? 0) + 1;
    const left = choice.kind === 'ip' ? ips?.budgets.get(choice.ip) : undefined;
    if (left !== undefined) ips!.budgets.set(key, left - 1);
  }
  return found;
}

const message = { pool: 'news', tenant: 'acme', messageId: 'm-1', acceptedAt: NOW };

describe('a pool', () => {
  it('gives each IP its weight, smoothly and exactly', () => {
    const router = routerOf({
      news: { ips: [{ ip: ip(1), weight: 5 }, ip(2), ip(3), { ip: ip(4), weight: 0 }] },
    });
    const first = Array.from({ length: 7 }, () => router.choose('news', 'acme', 'google', NOW));
    assert.deepEqual(
      first.map((choice) => (choice.kind === 'ip' ? choice.ip.at(-1) : '')).join(''),
      '1121311',
    );
    assert.deepEqual(shares(router, 'news', 7000), { [ip(1)]: 5000, [ip(2)]: 1000, [ip(3)]: 1000 });
  });

  it('keeps the shares of each provider by itself', () => {
    const router = routerOf({ news: { ips: [ip(1), ip(2)] } });
    const chosen = ['google', 'yahoo', 'google', 'yahoo'].map((provider) =>
      router.choose('news', 'acme', provider, NOW),
    );
    assert.deepEqual(
      chosen.map((choice) => choice.kind === 'ip' && choice.ip),
      [ip(1), ip(1), ip(2), ip(2)],
    );
  });

  it('gives to the least loaded, by weight, and to equals in turn', () => {
    const ips = new Ips();
    const router = routerOf(
      { news: { ips: [{ ip: ip(1), weight: 2 }, ip(2), ip(3)], choice: 'least-loaded' } },
      ips,
    );
    ips.loads = new Map([
      [ip(1), 10],
      [ip(2), 6],
      [ip(3), 6],
    ]);
    assert.deepEqual(shares(router, 'news', 10), { [ip(1)]: 10 });
    ips.loads.set(ip(1), 13);
    const equal = shares(router, 'news', 90);
    assert.deepEqual(Object.keys(equal).sort(), [ip(2), ip(3)]);
    assert.ok(equal[ip(2)]! >= 30 && equal[ip(3)]! >= 30);
  });

  it('fails over while an IP is suspended or out of reach, and comes back without a burst', () => {
    const ips = new Ips();
    const router = routerOf({ news: { ips: [ip(1), ip(2), ip(3)] } }, ips);
    ips.suspended.add(ip(2));
    assert.deepEqual(shares(router, 'news', 3000), { [ip(1)]: 1500, [ip(3)]: 1500 });
    ips.suspended.clear();
    const back = shares(router, 'news', 30);
    assert.ok(
      Object.values(back).every((count) => count >= 9 && count <= 11),
      JSON.stringify(back),
    );
    const choice = router.choose('news', 'acme', 'google', NOW, (one) => one === ip(3));
    assert.deepEqual(choice, { kind: 'ip', ip: ip(3), pool: 'news' });
    assert.deepEqual(
      router.choose('news', 'acme', 'google', NOW, () => false),
      { kind: 'none' },
    );
  });

  it('that no document names uses all IPs of the node but exclusive ones', () => {
    const router = routerOf({ own: { ips: [ip(1)], exclusive: true } }, new Ips(), [], [ip(1), ip(2), ip(3)]);
    assert.deepEqual(shares(router, 'default', 10), { [ip(2)]: 5, [ip(3)]: 5 });
    assert.deepEqual(router.route({ ...message, pool: 'default' }), { kind: 'pool', pool: 'default' });
  });

  it('without an IP that may send overflows to its shared pool, or says that there is none', () => {
    const ips = new Ips();
    const router = routerOf(
      {
        own: { ips: [ip(1)], dedicatedTo: { tenants: ['acme'] }, overflow: 'shared' },
        shared: { ips: [ip(2)] },
        empty: { ips: [] },
      },
      ips,
    );
    assert.deepEqual(router.choose('own', 'acme', 'google', NOW), { kind: 'ip', ip: ip(1), pool: 'own' });
    ips.suspended.add(ip(1));
    assert.deepEqual(router.choose('own', 'acme', 'google', NOW), { kind: 'ip', ip: ip(2), pool: 'shared' });
    ips.suspended.add(ip(2));
    assert.deepEqual(router.choose('own', 'acme', 'google', NOW), { kind: 'none' });
    assert.deepEqual(router.choose('empty', 'acme', 'google', NOW), { kind: 'none' });
  });
});

describe('a pool with IPs that warm up', () => {
  for (const choice of ['weighted', 'least-loaded']) {
    it(`lets warm IPs send what exceeds a budget (${choice})`, () => {
      const ips = new Ips();
      ips.budgets.set(ip(1), 10);
      const router = routerOf({ news: { ips: [ip(1), ip(2), ip(3)], choice } }, ips);
      const sent = shares(router, 'news', 1000, NOW, ips);
      assert.equal(sent[ip(1)], 10);
      assert.equal(sent[ip(2)]! + sent[ip(3)]!, 990);
      assert.ok(Math.abs(sent[ip(2)]! - sent[ip(3)]!) <= 10, JSON.stringify(sent));
    });
  }

  it('lets it wait where the pool says so, and the mail of warm IPs go', () => {
    const ips = new Ips();
    ips.budgets.set(ip(1), 100).set(ip(2), 20);
    const router = routerOf({ news: { ips: [ip(1), ip(2), ip(3)], overBudget: 'wait' } }, ips);
    const sent = shares(router, 'news', 900, NOW, ips);
    assert.deepEqual(sent, { [ip(1)]: 100, [ip(2)]: 20, [ip(3)]: 300, wait: 480 });
  });

  it('waits until the first budget has room again, however often it is asked', () => {
    const ips = new Ips();
    ips.budgets.set(ip(1), 0);
    const router = routerOf({ news: { ips: [ip(1)] } }, ips);
    assert.deepEqual(router.choose('news', 'acme', 'google', NOW), { kind: 'wait', ms: HOUR });
    assert.deepEqual(router.choose('news', 'acme', 'google', NOW + 400), { kind: 'wait', ms: HOUR - 400 });
    ips.budgets.set(ip(1), 5);
    assert.equal(router.choose('news', 'acme', 'google', NOW + 999).kind, 'wait', 'remembered for a second');
    assert.equal(router.choose('news', 'acme', 'google', NOW + 1000).kind, 'ip');
  });

  it('overflows only where what exceeds a budget does not wait', () => {
    const ips = new Ips();
    ips.budgets.set(ip(1), 0).set(ip(2), 0);
    const shared = { ips: [ip(9)] };
    const router = routerOf(
      {
        go: { ips: [ip(1)], overflow: 'shared' },
        stay: { ips: [ip(2)], overflow: 'shared', overBudget: 'wait' },
        shared,
      },
      ips,
    );
    assert.deepEqual(router.choose('go', 'acme', 'google', NOW), { kind: 'ip', ip: ip(9), pool: 'shared' });
    assert.deepEqual(router.choose('stay', 'acme', 'google', NOW), { kind: 'wait', ms: HOUR });
    ips.suspended.add(ip(2));
    assert.deepEqual(router.choose('stay', 'acme', 'google', NOW), { kind: 'ip', ip: ip(9), pool: 'shared' });
  });

  it('keeps a tenant on its IP when budgets wait, and moves it along its order when they do not', () => {
    const ips = new Ips();
    const all = [1, 2, 3, 4].map(ip);
    const router = routerOf(
      { go: { ips: all, sticky: true }, stay: { ips: all, sticky: true, overBudget: 'wait' } },
      ips,
    );
    const own = router.choose('go', 'acme', 'google', NOW);
    assert.ok(own.kind === 'ip');
    assert.deepEqual(router.choose('stay', 'acme', 'google', NOW), { ...own, pool: 'stay' });
    ips.budgets.set(own.ip, 0);
    const next = router.choose('go', 'acme', 'google', NOW);
    assert.ok(next.kind === 'ip' && next.ip !== own.ip);
    assert.deepEqual(router.choose('go', 'acme', 'google', NOW), next, 'always the same second choice');
    assert.deepEqual(router.choose('stay', 'acme', 'google', NOW), { kind: 'wait', ms: HOUR });
  });
});

describe('a route', () => {
  const pools = {
    news: { ips: [ip(1)] },
    acme: { ips: [ip(2)], dedicatedTo: { tenants: ['acme'] } },
    invoices: { ips: [ip(3)], dedicatedTo: { configurationSets: [{ tenant: 'acme', set: 'invoices' }] } },
    new: { ips: [ip(4)] },
  };

  it('leads to the pool of the configuration set, else of the tenant, else to the one that is named', () => {
    const router = routerOf(pools);
    const way = (change: object): unknown => router.route({ ...message, ...change });
    assert.deepEqual(way({}), { kind: 'pool', pool: 'acme' });
    assert.deepEqual(way({ configurationSet: 'invoices' }), { kind: 'pool', pool: 'invoices' });
    assert.deepEqual(way({ configurationSet: 'other' }), { kind: 'pool', pool: 'acme' });
    assert.deepEqual(way({ tenant: 'bob' }), { kind: 'pool', pool: 'news' });
    assert.deepEqual(way({ tenant: 'bob', configurationSet: 'invoices' }), { kind: 'pool', pool: 'news' });
    assert.deepEqual(way({ tenant: 'bob', pool: 'invoices' }), {
      kind: 'refused',
      text: 'Pool invoices is dedicated to others than tenant bob.',
    });
  });

  it('is split by percent, and the same for every attempt of a message', () => {
    const splits = [
      {
        from: 'news',
        to: [
          {
            pool: 'new',
            ramp: [
              { date: '2026-03-01', percent: 10 },
              { date: '2026-03-11', percent: 60 },
            ],
          },
          { smarthost: '[2001:db8::1]:587', percent: 20 },
        ],
      },
    ];
    const router = routerOf(pools, new Ips(), splits);
    const counts = (acceptedAt: number): number[] => {
      // To 5 %: the share of 20,000 messages varies by a third of a percent.
      const found = { new: 0, smarthost: 0, news: 0 };
      for (let n = 0; n < 20_000; n += 1) {
        const way = router.route({ pool: 'news', tenant: 'bob', messageId: `m-${n}`, acceptedAt });
        assert.ok(way.kind !== 'refused');
        found[way.kind === 'smarthost' ? 'smarthost' : (way.pool as 'new' | 'news')] += 1;
      }
      return [found.new, found.smarthost, found.news].map((count) => Math.round(count / 1000) * 5);
    };
    assert.deepEqual(counts(NOW - 1), [0, 20, 80]);
    assert.deepEqual(counts(NOW), [10, 20, 70]);
    assert.deepEqual(counts(NOW + 5 * 24 * HOUR), [35, 20, 45]);
    assert.deepEqual(counts(NOW + 400 * 24 * HOUR), [60, 20, 20]);
    const to = new Set(
      Array.from({ length: 500 }, (_, n) =>
        router.route({ ...message, tenant: 'bob', messageId: `x${n}` }),
      ).filter((way) => way.kind === 'smarthost'),
    );
    assert.deepEqual([...to], [{ kind: 'smarthost', pool: 'news', host: '2001:db8::1', port: 587 }]);
  });

  it('rises evenly between the dates of a ramp', () => {
    const ramp = [
      { at: 100, percent: 10 },
      { at: 200, percent: 30 },
    ];
    assert.deepEqual(
      [0, 99, 100, 150, 199, 200, 1e9].map((at) => percentAt(ramp, at)),
      [0, 0, 10, 20, 29.8, 30, 30],
    );
  });
});

describe('bad routing documents', () => {
  const a = { ips: [ip(1)] };
  const b = { ips: [ip(2)] };
  const rows: [string, unknown, string][] = [
    [
      'an IP in two pools of which the first is exclusive',
      { pools: { a: { ...a, exclusive: true }, b: { ips: [ip(2), ip(1)] } } },
      'routing.pools.b.ips[1]: 203.0.113.1 is in pool "a", which is exclusive; take it out of one of them.',
    ],
    [
      'or the second',
      { pools: { a, c: a, b: { ips: [ip(1)], dedicatedTo: { tenants: ['acme'] } } } },
      'routing.pools.b.ips[0]: 203.0.113.1 is in pool "c", and this one is exclusive; take it out of one of them.',
    ],
    [
      'an exclusive IP behind one that is shared',
      {
        pools: {
          a: { ips: [ip(1), ip(3)], exclusive: true },
          b: { ips: ['2001:DB8::1'] },
          c: { ips: [ip(3)] },
        },
      },
      'routing.pools.c.ips[0]: 203.0.113.3 is in pool "a", which is exclusive; take it out of one of them.',
    ],
    [
      'an IP twice',
      { pools: { a: { ips: [ip(1), ip(1)] } } },
      'is in this pool twice; give it a weight of 2 instead.',
    ],
    [
      'no IP',
      { pools: { a: { ips: ['example.com'] } } },
      'routing.pools.a.ips[0]: "example.com" is not an IP address.',
    ],
    [
      'a bad weight',
      { pools: { a: { ips: [{ ip: ip(1), weight: -1 }] } } },
      'routing.pools.a.ips[0].weight: -1 is out',
    ],
    ['a bad name', { pools: { 'a:b': a } }, 'routing.pools.a:b: is no name for a pool'],
    [
      'an unknown member',
      { pools: { a: { ...a, weight: 1 } } },
      'routing.pools.a.weight: is unknown; the members are ips,',
    ],
    [
      'an unknown choice',
      { pools: { a: { ...a, choice: 'random' } } },
      'routing.pools.a.choice: "random" is none of',
    ],
    [
      'waiting for the least loaded',
      { pools: { a: { ...a, choice: 'least-loaded', overBudget: 'wait' } } },
      'routing.pools.a.overBudget: "wait" does not go with the choice "least-loaded"',
    ],
    ['nobody', { pools: { a: { ...a, dedicatedTo: {} } } }, 'routing.pools.a.dedicatedTo: names nobody'],
    [
      'a tenant with two pools',
      {
        pools: {
          a: { ...a, dedicatedTo: { tenants: ['x'] } },
          b: { ...b, dedicatedTo: { tenants: ['y', 'x'] } },
        },
      },
      'routing.pools.b.dedicatedTo.tenants[1]: pool "a" is dedicated to tenant "x" already.',
    ],
    [
      'overflow to nowhere',
      { pools: { a: { ...a, overflow: 'b' } } },
      'routing.pools.a.overflow: there is no pool "b".',
    ],
    [
      'overflow in a circle',
      { pools: { a: { ...a, overflow: 'b' }, b: { ...b, overflow: 'a' } } },
      'routing.pools.a.overflow: leads in a circle: a → b → a.',
    ],
    [
      'overflow to somebody',
      { pools: { a: { ...a, overflow: 'b' }, b: { ...b, dedicatedTo: { tenants: ['x'] } } } },
      'routing.pools.a.overflow: pool "b" is dedicated to others.',
    ],
    [
      'shares over 100 on some day',
      {
        pools: { a, b },
        splits: [
          {
            from: 'a',
            to: [
              { pool: 'b', percent: 50 },
              { smarthost: 'relay:25', ramp: [{ date: '2026-01-01', percent: 51 }] },
            ],
          },
        ],
      },
      'routing.splits[0].to: the shares are 101 % together on 2026-01-01T00:00:00.000Z; they must not exceed 100.',
    ],
    [
      'a split of a split',
      {
        pools: { a, b },
        splits: [
          { from: 'a', to: [{ pool: 'b', percent: 1 }] },
          { from: 'b', to: [] },
        ],
      },
      'routing.splits[0].to[0].pool: pool "b" is itself split',
    ],
    [
      'two splits',
      {
        pools: { a },
        splits: [
          { from: 'a', to: [] },
          { from: 'a', to: [] },
        ],
      },
      'routing.splits[1].from: pool "a" is split already',
    ],
    [
      'a split onto itself',
      { pools: { a }, splits: [{ from: 'a', to: [{ pool: 'a', percent: 1 }] }] },
      'to[0].pool: is the pool that is split.',
    ],
    [
      'two targets',
      { pools: { a }, splits: [{ from: 'a', to: [{ pool: 'a', smarthost: 'x:1', percent: 1 }] }] },
      'to[0]: give a pool or a smarthost.',
    ],
    [
      'no share',
      { pools: { a }, splits: [{ from: 'a', to: [{ smarthost: 'x:1' }] }] },
      'to[0]: give a percent or a ramp.',
    ],
    [
      'a bad smarthost',
      { pools: { a }, splits: [{ from: 'a', to: [{ smarthost: 'x', percent: 1 }] }] },
      'to[0].smarthost: "x" is not host:port',
    ],
    [
      'dates out of order',
      {
        pools: { a },
        splits: [
          {
            from: 'a',
            to: [
              {
                smarthost: 'x:1',
                ramp: [
                  { date: '2026-02-01', percent: 1 },
                  { date: '2026-01-01', percent: 2 },
                ],
              },
            ],
          },
        ],
      },
      'to[0].ramp[1].date: is not later than the one before.',
    ],
  ];
  for (const [what, value, message] of rows) {
    it(`are refused with path and reason: ${what}`, () => {
      assert.throws(
        () => readRouting(value, 'routing'),
        (error) => {
          assert.ok(error instanceof PosternError && error.code === 'bad_request');
          assert.ok(error.message.includes(message), error.message);
          return true;
        },
      );
    });
  }
});
