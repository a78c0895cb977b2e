import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PosternError } from '../../lib/errors.ts';
import { readRouting } from '../../lib/routing/router.ts';

const ip = (n: number): string => `203.0.113.${n}`;

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
        pools: { a, b, c: a },
        splits: [
          {
            from: 'a',
            to: [
              { pool: 'b', percent: 50 },
              { pool: 'c', ramp: [{ date: '2026-01-01', percent: 51 }] },
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
      'a smarthost in a split',
      { pools: { a }, splits: [{ from: 'a', to: [{ smarthost: 'x:1', percent: 1 }] }] },
      'to[0].smarthost: is unknown; the members are pool, percent, ramp.',
    ],
    [
      'no share',
      { pools: { a, b }, splits: [{ from: 'a', to: [{ pool: 'b' }] }] },
      'to[0]: give a percent or a ramp.',
    ],
    [
      'a bad smarthost',
      { pools: { a: { ...a, smarthost: 'x' } } },
      'routing.pools.a.smarthost: "x" is not host:port',
    ],
    [
      'an overflow to a smarthost',
      { pools: { a: { ...a, overflow: 'b' }, b: { ...b, smarthost: 'x:1' } } },
      'routing.pools.a.overflow: pool "b" sends by a smarthost; split to it, or reroute.',
    ],
    [
      'a way back that never comes',
      { pools: { a, b }, splits: [{ from: 'a', to: [{ pool: 'b', percent: 1 }], wayBack: { volume: 50 } }] },
      'routing.splits[0].wayBack: never ends the split',
    ],
    [
      'a way back to nowhere',
      { pools: { a }, splits: [{ from: 'a', to: [], wayBack: { bounces: 0.1 } }] },
      'routing.splits[0].to: has no pool for the way back.',
    ],
    [
      'dates out of order',
      {
        pools: { a, b },
        splits: [
          {
            from: 'a',
            to: [
              {
                pool: 'b',
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
