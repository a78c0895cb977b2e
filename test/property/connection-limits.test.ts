/**
 * Connections of a source IP under any order of events: no share is exceeded, all that is taken is given back, and a
 * pool that waits is woken: none waits while nothing is open.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { type Claimant, type ConnectionClaim, ConnectionLimits } from '../../lib/egress/connection-limits.ts';
import { LimitBook } from '../../lib/shaping/limits/book.ts';
import { limitTable } from '../../lib/shaping/limits/table.ts';
import { limits } from '../support/egress.ts';

const IP_LIMIT = 20;
const OF_PROVIDER = 15;
const UNPROVEN = 4;
const UNPROVEN_OF_ONE = 3;
const TENANT = 15;
const AT_NETWORK = 2;
const NOW = 1_000_000;
const { own } = new LimitBook(
  limitTable(limits({ ipConnections: IP_LIMIT, providerConnections: OF_PROVIDER, connections: AT_NETWORK })),
).at({ provider: 'other', site: 'x', routed: false, ip: '192.0.2.1', pool: 'default' });

class Pool implements Claimant {
  readonly site: { readonly name: string };
  readonly tenant: string;
  readonly address: string;
  proven = false;
  waiting = 0;
  readonly claims: ConnectionClaim[] = [];
  readonly #limits: ConnectionLimits;

  constructor(n: number, all: ConnectionLimits) {
    this.site = { name: `site-${n}` };
    this.tenant = ['alpha', 'beta', 'gamma'][n % 3]!;
    this.address = `198.51.${n >> 1}.${n}`;
    this.#limits = all;
    all.add(this);
  }

  get connections(): number {
    return this.claims.length;
  }

  pump(): void {
    while (this.waiting > 0) {
      const { proven, address } = this;
      const claim = this.#limits.connect(
        this,
        [this.tenant],
        { provider: 'other', proven, address },
        own,
        NOW,
      );
      if (claim === undefined) return;
      this.waiting -= 1;
      this.claims.push(claim);
    }
  }

  closeIdle(): boolean {
    return false;
  }

  close(): void {
    const claim = this.claims.shift();
    if (claim !== undefined) this.#limits.disconnected(this, claim);
  }
}

const pool = fc.nat(11);
const STEP = fc.oneof(
  fc.record({ kind: fc.constant('send' as const), pool, count: fc.integer({ min: 1, max: 8 }) }),
  fc.record({ kind: fc.constant('answer' as const), pool }),
  fc.record({ kind: fc.constant('silence' as const), pool }),
  fc.record({ kind: fc.constant('close' as const), pool }),
);

it('no share of the connections is exceeded, none is lost, and no pool waits for nothing', () => {
  fc.assert(
    fc.property(fc.array(STEP, { maxLength: 80 }), (steps) => {
      const all = new ConnectionLimits();
      const pools = Array.from({ length: 12 }, (_, n) => new Pool(n, all));
      const open = (some: readonly Pool[]): number =>
        some.reduce((sum, { claims }) => sum + claims.length, 0);
      const unproven = (some: readonly Pool[]): number =>
        some.reduce((sum, { claims }) => sum + claims.filter((one) => one.unproven.length > 0).length, 0);
      const grouped = (key: (one: Pool) => string): Pool[][] => [...Map.groupBy(pools, key).values()];
      for (const step of steps) {
        const one = pools[step.pool]!;
        if (step.kind === 'send') {
          one.waiting += step.count;
          one.pump();
        } else if (step.kind === 'answer') {
          const claim = one.claims.find((each) => each.unproven.length > 0);
          one.proven ||= claim !== undefined;
          if (claim !== undefined) all.answered(claim);
          one.pump();
        } else if (step.kind === 'silence') one.proven = false;
        else one.close();
        assert.equal(all.open, open(pools));
        assert.ok(open(pools) <= Math.min(IP_LIMIT, OF_PROVIDER));
        assert.ok(unproven(pools) <= UNPROVEN);
        for (const some of grouped(({ tenant }) => tenant)) {
          assert.ok(unproven(some) <= UNPROVEN_OF_ONE);
          assert.ok(open(some) <= TENANT);
        }
        for (const some of grouped(({ address }) => address.replace(/\.\d+$/, '')))
          assert.ok(unproven(some) <= AT_NETWORK);
        const before = all.open;
        for (const each of pools) each.pump();
        assert.equal(all.open, before, 'a pool waits that might connect');
        assert.ok(
          all.open > 0 || pools.every(({ waiting }) => waiting === 0),
          'nothing is open, and mail waits',
        );
      }
      const left = pools.reduce((sum, { waiting, claims }) => sum + waiting + claims.length, 0);
      for (let i = 0; i <= left && all.open > 0; i += 1)
        pools.find(({ claims }) => claims.length > 0)!.close();
      assert.deepEqual([all.open, all.waiters], [0, 0]);
      assert.ok(pools.every(({ waiting }) => waiting === 0));
    }),
    { seed: 20261129, numRuns: 300 },
  );
});
