import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newCounters } from '../../lib/egress/counters.ts';
import type { QueueItem } from '../../lib/engine/items.ts';
import { startNodeMetrics } from '../../lib/observe/node-metrics.ts';
import { TestClock } from '../support/clock.ts';
import { openEmf } from '../support/emf.ts';

test('a node reports each minute that it is alive, what it holds, and how late it is', () => {
  const clock = new TestClock();
  const { emf, lines } = openEmf();
  let held = 2;
  const counts = newCounters();
  const metrics = startNodeMetrics({
    emf,
    clock,
    node: 'a',
    leasesHeld: () => held,
    shared: () => counts,
    besides: () => ({}),
  });
  const since = (acceptedAt: number, due: number): void =>
    metrics.attempted({ acceptedAt, due } as QueueItem);
  const now = clock.now();
  since(now - 5_000, now - 5_000);
  // Lateness counts from the due time, not from acceptance.
  since(now - 900_000, now - 60_000);
  clock.advance(60_000);
  held = 1;
  clock.advance(60_000);
  metrics.stop();
  clock.advance(60_000);
  assert.deepEqual(
    lines.map(({ root, values }) => [root.Node, values]),
    [
      ['a', { Heartbeat: [1], LeaseHeld: [2] }],
      ['a', { Heartbeat: [1], LeaseHeld: [2], OldestDueAgeSeconds: [60] }],
      ['a', { Heartbeat: [1], LeaseHeld: [1] }],
    ],
  );
});

test('a node reports the nonzero counts of leases and shared limits each minute, and the rest at its end', () => {
  const clock = new TestClock();
  const { emf, lines } = openEmf();
  const counts = newCounters();
  let besides = {};
  const metrics = startNodeMetrics({
    emf,
    clock,
    node: 'a',
    leasesHeld: () => 1,
    shared: () => counts,
    besides: () => besides,
  });
  counts.bucketRequests = 5;
  counts.bucketsEmpty = 2;
  counts.leaseFailures = 1;
  clock.advance(60_000);
  counts.bucketRequests = 6;
  counts.leasesLost = 1;
  counts.bucketFailures = 1;
  clock.advance(120_000);
  counts.leasesLost = 3;
  besides = { PolicyFailures: 4 };
  metrics.stop();
  const shared = lines.filter(({ values }) => values.Heartbeat === undefined);
  assert.deepEqual(
    shared.map(({ dimensions, values }) => [dimensions, values]),
    [
      [[[]], { LeaseFailures: [1], BucketRequests: [5], BucketsEmpty: [2] }],
      [[[]], { LeasesLost: [1], BucketRequests: [1], BucketFailures: [1] }],
      [[[]], { PolicyFailures: [4], LeasesLost: [2] }],
    ],
  );
});
