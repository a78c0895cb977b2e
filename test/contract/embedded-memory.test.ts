/** What the embedded queue keeps of bodies in memory: those of its window and of its leases, and no other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openMemory } from '../../lib/engine/memory/open.ts';
import { TestClock } from '../support/clock.ts';
import { admit, collect, end, mail, newLane } from './harness.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('a delivery that has ended is not kept by those of its tenant that wait', async () => {
  const clock = new TestClock();
  const engine = openMemory({ clock });
  const lane = newLane();
  for (let n = 0; n < 40; n++)
    await admit(engine, mail(clock.now(), { lane, body: `${n} ${'x'.repeat(50_000)}` }));
  const bodies: WeakRef<Buffer>[] = [];
  // A function of its own: its variables keep nothing.
  const deliver = async (): Promise<void> => {
    const [leased] = await collect(engine, lane, 1);
    bodies.push(new WeakRef(leased!.bytes));
    await engine.queue.settle([end(leased!, clock.now())]);
  };
  for (let n = 0; n < 39; n++) await deliver();
  await new Promise(setImmediate);
  collectGarbage();
  assert.equal(bodies.filter((body) => body.deref()).length, 0);
  await engine.close();
});
