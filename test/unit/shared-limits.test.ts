import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newCounters } from '../../lib/egress/counters.ts';
import { SharedLimits } from '../../lib/egress/shared-limits.ts';
import type { Leases } from '../../lib/engine/ports.ts';
import type { MailLimits } from '../../lib/shaping/limits/terms.ts';
import { TestClock } from '../support/clock.ts';

test('requests for parts of shared limits are counted by their result', async () => {
  const clock = new TestClock();
  const counts = newCounters();
  let answer: () => Promise<{ granted: number; wait: number }>;
  const leases = { take: () => answer() } as unknown as Leases;
  const shared = new SharedLimits(leases, clock, 'a', counts);
  const mailLimits = {
    shared: [{ key: 'acme', limit: { rate: { count: 10, per: 1_000 } } }],
  } as unknown as MailLimits;
  const { buckets } = shared.partsOf(mailLimits);
  const ask = async (next: typeof answer): Promise<number[]> => {
    answer = next;
    clock.advance(2_000);
    buckets[0]!.wait(clock.now());
    await new Promise(setImmediate);
    return [counts.bucketRequests, counts.bucketsEmpty, counts.bucketFailures];
  };
  assert.deepEqual(await ask(async () => Promise.reject(new Error('no answer'))), [1, 0, 1]);
  assert.deepEqual(await ask(async () => ({ granted: 0, wait: 100 })), [2, 1, 1]);
  assert.deepEqual(await ask(async () => ({ granted: 1, wait: 0 })), [3, 1, 1]);
});
