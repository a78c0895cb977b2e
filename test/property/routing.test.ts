import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { IpStates } from '../../lib/routing/picker.ts';
import { Router, readRouting } from '../../lib/routing/router.ts';

const SETTINGS = { seed: 20261121, numRuns: 200 };
const NOW = Date.UTC(2026, 0, 1);

function states(lost: ReadonlySet<string> = new Set()): IpStates {
  return { usable: (ip) => !lost.has(ip), wait: () => 0, warming: () => false, load: () => 0 };
}

const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 30 });
const poolOf = (list: number[], more: object = {}) =>
  readRouting(
    { pools: { p: { ips: list.map((weight, i) => ({ ip: `10.0.0.${i}`, weight })), ...more } } },
    'routing',
  );

function ipFor(router: Router, tenant: string): string {
  const choice = router.choose('p', tenant, 'google', NOW);
  assert.ok(choice.kind === 'ip');
  return choice.ip;
}

test('weighted shares stay within one turn of their exact value', () => {
  fc.assert(
    fc.property(weights, fc.integer({ min: 1, max: 2000 }), (list, messages) => {
      const router = new Router(poolOf(list), states(), []);
      const sum = list.reduce((a, b) => a + b, 0);
      const counts = new Map<string, number>();
      for (let n = 1; n <= messages; n += 1) {
        const ip = ipFor(router, 'acme');
        counts.set(ip, (counts.get(ip) ?? 0) + 1);
      }
      for (const [i, weight] of list.entries()) {
        const due = (messages * weight) / sum;
        assert.ok(Math.abs((counts.get(`10.0.0.${i}`) ?? 0) - due) <= list.length, `${i}: ${due}`);
        if (messages % sum === 0) assert.equal(counts.get(`10.0.0.${i}`), due);
      }
    }),
    SETTINGS,
  );
});

test('a lost IP moves its own tenants only, and all of them come back', () => {
  fc.assert(
    fc.property(weights, fc.nat(), (list, which) => {
      const lost = new Set<string>();
      const router = new Router(poolOf(list, { sticky: true }), states(lost), []);
      const tenants = Array.from({ length: 300 }, (_, n) => `tenant-${n}`);
      const before = tenants.map((tenant) => ipFor(router, tenant));
      const gone = `10.0.0.${which % list.length}`;
      if (list.length > 1) {
        lost.add(gone);
        for (const [n, tenant] of tenants.entries()) {
          const ip = ipFor(router, tenant);
          if (before[n] === gone) assert.notEqual(ip, gone);
          else assert.equal(ip, before[n]);
        }
      }
      lost.clear();
      assert.deepEqual(
        tenants.map((tenant) => ipFor(router, tenant)),
        before,
      );
    }),
    SETTINGS,
  );
});

test('an added IP takes tenants from others and moves none between them', () => {
  fc.assert(
    fc.property(weights, (list) => {
      const smaller = new Router(poolOf(list, { sticky: true }), states(), []);
      const larger = new Router(poolOf([...list, 5], { sticky: true }), states(), []);
      for (let n = 0; n < 300; n += 1) {
        const now = ipFor(larger, `tenant-${n}`);
        if (now !== `10.0.0.${list.length}`) assert.equal(now, ipFor(smaller, `tenant-${n}`));
      }
    }),
    SETTINGS,
  );
});

test('tenants spread over the IPs by weight', () => {
  const list = [1, 2, 3, 4];
  const router = new Router(poolOf(list, { sticky: true }), states(), []);
  const counts = [0, 0, 0, 0];
  for (let n = 0; n < 20_000; n += 1) counts[Number(ipFor(router, `tenant ${n}`).at(-1))]! += 1;
  for (const [i, weight] of list.entries())
    assert.ok(Math.abs(counts[i]! - weight * 2000) < 200, counts.join(' '));
});

test('a split takes its percentage of messages, within three standard deviations, the same ones each time', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100 }), fc.string(), (percent, salt) => {
      const table = readRouting(
        { pools: { p: { ips: [] }, q: { ips: [] } }, splits: [{ from: 'p', to: [{ pool: 'q', percent }] }] },
        'routing',
      );
      const count = 4000;
      const go = (): string[] => {
        const router = new Router(table, states(), []);
        return Array.from({ length: count }, (_, n) => {
          const way = router.route({ pool: 'p', tenant: 't', messageId: `${salt}-${n}`, acceptedAt: NOW });
          return way.kind === 'pool' ? way.pool : way.kind;
        });
      };
      const pools = go();
      assert.deepEqual(go(), pools);
      const share = percent / 100;
      const taken = pools.filter((pool) => pool === 'q').length;
      const deviation = Math.sqrt(count * share * (1 - share));
      assert.ok(Math.abs(taken - count * share) <= 4 * deviation, `${taken} at ${percent} %`);
    }),
    { ...SETTINGS, numRuns: 100 },
  );
});
