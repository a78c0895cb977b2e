import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newCounters } from '../../lib/egress/counters.ts';
import { SharedLimits } from '../../lib/egress/shared-limits.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type { MailLimits } from '../../lib/shaping/limits/terms.ts';
import { TestClock } from '../support/clock.ts';

test('requests for parts of shared limits are counted by their result', async () => {
  const clock = new TestClock();
  const counts = newCounters();
  const { leases } = openMemory({ clock });
  let down = true;
  const mayFail = new Proxy(leases, {
    get: (port, name) =>
      down ? () => Promise.reject(new Error('no answer')) : Reflect.get(port, name).bind(port),
  });
  const share = (node: string) => {
    const shared = new SharedLimits({ leases: mayFail, clock, random: Math.random, node, counts });
    const limit = { key: 'acme', limit: { concurrency: 1 } };
    return { shared, permits: shared.partsOf({ shared: [limit] } as unknown as MailLimits).permits[0]! };
  };
  const ask = async ({ shared, permits }: ReturnType<typeof share>): Promise<boolean> => {
    clock.advance(2_000);
    permits.free(clock.now(), shared);
    shared.tick(clock.now());
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
    return permits.free(clock.now(), shared);
  };
  const one = share('one');
  assert.equal(await ask(one), false);
  assert.deepEqual([counts.bucketRequests, counts.bucketsEmpty, counts.bucketFailures], [1, 0, 1]);
  down = false;
  assert.equal(await ask(one), true);
  assert.ok(counts.bucketRequests > 1 && counts.bucketFailures === 1);
  one.permits.begun(one.shared, clock.now());
  const empty = counts.bucketsEmpty;
  assert.equal(await ask(share('two')), false);
  assert.ok(counts.bucketsEmpty > empty);
});
