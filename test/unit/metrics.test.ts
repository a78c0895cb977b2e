/** The number of series stays bounded, whatever the number of tenants and pools; figures that cannot be read fail nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Attempt } from '../../lib/engine/items.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { MAX_POOLS } from '../../lib/observe/lane-labels.ts';
import { createMetrics, type Readings } from '../../lib/observe/metrics.ts';
import { PROVIDERS } from '../../lib/shaping/providers.ts';

const NOW = Date.UTC(2026, 10, 29);
const POOLS = 10_000;
const CLASSES = ['transactional', 'bulk'];
const GROUPS = ['google', 'microsoft', 'yahoo', 'apple', 'other'];
const LANES = Array.from({ length: POOLS }, (_, n) => n).flatMap((n) =>
  CLASSES.flatMap((cls) => GROUPS.map((group) => `p${n}:${cls}:${group}`)),
);

const READINGS: Readings = {
  sessions: () => 0,
  inHand: () => 0,
  directives: () => ({ operator: 0, automatic: 0, dropped: 0 }),
  shared: () => ({
    leasesLost: 0,
    leaseFailures: 0,
    bucketRequests: 0,
    bucketsEmpty: 0,
    bucketFailures: 0,
    storageRefused: 0,
  }),
  sharedHeld: () => ({ rate: 0, quota: 0, concurrency: 0 }),
  waiting: () => [],
  delivery: () => ({ ok: true }),
  disk: async () => ({ total: 100, free: 40 }),
  certificateExpires: async () => NOW,
  now: () => NOW,
};

const ENGINE = {
  queue: {
    lanes: async () => LANES.map((lane) => ({ lane, ready: 1, leased: 0 })),
    depths: async () => ({
      depths: Array.from({ length: POOLS }, (_, n) => ({
        lane: LANES[n * 10]!,
        tenant: `t${n}`,
        ready: 1,
        leased: 0,
        later: 0,
        oldest: NOW - 1_000 - n,
      })),
      whole: true,
    }),
  },
  ledger: { waiting: async () => ({ count: 0 }) },
  health: async () => ({ ok: true, bytes: 7 }),
} as unknown as Engine;

const samples = (body: string) => body.split('\n').filter((line) => line.startsWith('postern_'));
const value = (body: string, name: string) =>
  Number(new RegExp(`^${name.replace(/[{}"+]/g, '\\$&')} (\\S+)$`, 'm').exec(body)?.[1]);

test('ten thousand tenants with a pool each make fewer than 5,000 series, and every count is in them', async () => {
  const metrics = createMetrics(ENGINE, READINGS);
  const states: Attempt['state'][] = ['delivered', 'deferred', 'bounced', 'expired'];
  const providers = [...PROVIDERS, 'a-name-of-a-policy'];
  LANES.forEach((lane, n) => {
    metrics.attempted(
      { lane, acceptedAt: NOW },
      {
        at: NOW + n,
        duration: 1,
        provider: providers[n % providers.length],
        replies: [],
        state: states[n % 4]!,
        reason: n % 4 === 0 ? 'delivered' : 'connect_failed',
        text: '',
      },
    );
  });
  const { body } = await metrics.text();
  assert.ok(samples(body).length < 5_000, `${samples(body).length} series`);
  const sum = (name: string) =>
    samples(body)
      .filter((line) => line.startsWith(`${name}{`))
      .reduce((all, line) => all + Number(line.split(' ').at(-1)), 0);
  assert.equal(sum('postern_attempts_total'), LANES.length);
  assert.equal(sum('postern_provider_attempts_total'), LANES.length);
  assert.equal(sum('postern_lane_ready'), LANES.length);
  assert.equal(sum('postern_refusals_total'), (LANES.length * 3) / 4);
  const pools = new Set(samples(body).flatMap((line) => /pool="([^"]*)"/.exec(line)?.[1] ?? []));
  assert.equal(pools.size, MAX_POOLS + 1);
  assert.ok(
    pools.has('*') && pools.has('p0') && pools.has(`p${MAX_POOLS - 1}`) && !pools.has(`p${MAX_POOLS}`),
  );
  assert.equal(
    value(body, 'postern_queue_oldest_seconds{class="transactional"}'),
    (1_000 + POOLS - 1) / 1000,
  );
  assert.equal(value(body, 'postern_disk_free_bytes'), 40);
  assert.equal(value(body, 'postern_store_bytes'), 7);
  assert.equal(value(body, 'postern_certificate_expires_timestamp_seconds'), NOW / 1000);
});

test('the time to delivery falls into the bucket whose limit it reaches, and is summed', async () => {
  const metrics = createMetrics(ENGINE, READINGS);
  for (const ms of [0, 1_000, 1_001, 86_400_000, 86_400_001]) {
    metrics.attempted(
      { lane: 'default:bulk:google', acceptedAt: NOW },
      { at: NOW, duration: ms, replies: [], state: 'delivered', reason: 'delivered', text: '' },
    );
  }
  const { body } = await metrics.text();
  const within = (le: string) => value(body, `postern_delivery_seconds_bucket{class="bulk",le="${le}"}`);
  assert.deepEqual(['1', '2', '5', '86400', '+Inf'].map(within), [2, 3, 3, 4, 5]);
  assert.equal(value(body, 'postern_delivery_seconds_count{class="bulk"}'), 5);
  assert.equal(value(body, 'postern_delivery_seconds_sum{class="bulk"}'), 1 + 1.001 + 86_400 + 86_400.001);
});

test('a figure that cannot be read is no number, and fails no scrape', async () => {
  const metrics = createMetrics({ ...ENGINE, health: () => Promise.reject(new Error('gone')) } as Engine, {
    ...READINGS,
    disk: () => Promise.reject(new Error('ENOENT')),
    certificateExpires: () => Promise.reject(new Error('no file')),
  });
  const { body } = await metrics.text();
  for (const name of ['postern_disk_bytes', 'postern_certificate_expires_timestamp_seconds'])
    assert.match(body, new RegExp(`^${name} Nan$`, 'm'));
  assert.equal(value(body, 'postern_storage_ok'), 0);
});
