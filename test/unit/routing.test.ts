import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { IpStates } from '../../lib/routing/picker.ts';
import { Router, readRouting } from '../../lib/routing/router.ts';
import { percentAt } from '../../lib/routing/splits.ts';
import { DAY, HOUR } from '../../lib/time.ts';

const NOW = Date.UTC(2026, 2, 1);

/** The node's IPs in a test: by default all usable and none warming. */
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
  it('gives each IP its share by weight, smoothly and exactly', () => {
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

  it('keeps separate shares for each provider', () => {
    const router = routerOf({ news: { ips: [ip(1), ip(2)] } });
    const chosen = ['google', 'yahoo', 'google', 'yahoo'].map((provider) =>
      router.choose('news', 'acme', provider, NOW),
    );
    assert.deepEqual(
      chosen.map((choice) => choice.kind === 'ip' && choice.ip),
      [ip(1), ip(1), ip(2), ip(2)],
    );
  });

  it('chooses the least loaded IP by weight, and equal ones in turn', () => {
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

  it('skips an IP that is suspended or out of reach, and resumes it without a burst', () => {
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

  it('without a document uses all IPs of the node but exclusive ones', () => {
    const router = routerOf({ own: { ips: [ip(1)], exclusive: true } }, new Ips(), [], [ip(1), ip(2), ip(3)]);
    assert.deepEqual(shares(router, 'default', 10), { [ip(2)]: 5, [ip(3)]: 5 });
    assert.deepEqual(router.route({ ...message, pool: 'default' }), { kind: 'pool', pool: 'default' });
  });

  it('without a usable IP overflows to its shared pool, or returns none', () => {
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
    it(`sends mail beyond a budget by warm IPs (${choice})`, () => {
      const ips = new Ips();
      ips.budgets.set(ip(1), 10);
      const router = routerOf({ news: { ips: [ip(1), ip(2), ip(3)], choice } }, ips);
      const sent = shares(router, 'news', 1000, NOW, ips);
      assert.equal(sent[ip(1)], 10);
      assert.equal(sent[ip(2)]! + sent[ip(3)]!, 990);
      assert.ok(Math.abs(sent[ip(2)]! - sent[ip(3)]!) <= 10, JSON.stringify(sent));
    });
  }

  it('holds mail beyond a budget with overBudget "wait", and sends that of warm IPs', () => {
    const ips = new Ips();
    ips.budgets.set(ip(1), 100).set(ip(2), 20);
    const router = routerOf({ news: { ips: [ip(1), ip(2), ip(3)], overBudget: 'wait' } }, ips);
    const sent = shares(router, 'news', 900, NOW, ips);
    assert.deepEqual(sent, { [ip(1)]: 100, [ip(2)]: 20, [ip(3)]: 300, wait: 480 });
  });

  it('waits until the first budget has room again, at each call', () => {
    const ips = new Ips();
    ips.budgets.set(ip(1), 0);
    const router = routerOf({ news: { ips: [ip(1)] } }, ips);
    assert.deepEqual(router.choose('news', 'acme', 'google', NOW), { kind: 'wait', ms: HOUR });
    assert.deepEqual(router.choose('news', 'acme', 'google', NOW + 400), { kind: 'wait', ms: HOUR - 400 });
    ips.budgets.set(ip(1), 5);
    assert.equal(router.choose('news', 'acme', 'google', NOW + 999).kind, 'wait', 'cached for a second');
    assert.equal(router.choose('news', 'acme', 'google', NOW + 1000).kind, 'ip');
  });

  it('overflows only when mail beyond a budget does not wait', () => {
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

  it('keeps a tenant on its IP when mail beyond a budget waits, and moves it along its order when not', () => {
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

  it('leads to the pool of the configuration set, else of the tenant, else to the named one', () => {
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

  it('is split by percent, equally for every attempt of a message', () => {
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
          { pool: 'relay', percent: 20 },
        ],
      },
    ];
    const relay = { ips: ['203.0.113.1'], smarthost: '[2001:db8::1]:587' };
    const router = routerOf({ ...pools, relay }, new Ips(), splits);
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
    assert.deepEqual(counts(NOW + 5 * DAY), [35, 20, 45]);
    assert.deepEqual(counts(NOW + 400 * DAY), [60, 20, 20]);
    const to = new Set(
      Array.from({ length: 500 }, (_, n) =>
        router.route({ ...message, tenant: 'bob', messageId: `x${n}` }),
      ).filter((way) => way.kind === 'smarthost'),
    );
    assert.deepEqual([...to], [{ kind: 'smarthost', pool: 'relay', host: '2001:db8::1', port: 587 }]);
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
