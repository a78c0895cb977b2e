/** A shared limit is never exceeded, whoever dies, sleeps or is not answered, and whatever clocks show. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SharedLimit } from '../../lib/shaping/limits/limit.ts';
import { HOUR, MINUTE } from '../../lib/time.ts';
import { DivisionSimulation, type SharingNode } from '../support/division-simulation.ts';

const LIMITS: Partial<SharedLimit>[] = [
  { rate: { count: 20, per: 1000, text: '20/s' } },
  { rate: { count: 7, per: MINUTE, text: '7/min' } },
  { rate: { count: 900, per: HOUR, text: '900/h' } },
  { quota: { count: 3_000, per: 'day' } },
  { concurrency: 12 },
  { concurrency: 2 },
];

function textOf({ rate, quota, concurrency }: Partial<SharedLimit>): string {
  return rate?.text ?? (quota ? `${quota.count} a ${quota.per}` : `${concurrency} under way`);
}

/** Nodes start, stop, die, stand still, and have more or less mail. */
async function disturb(all: DivisionSimulation, times: number): Promise<void> {
  const { random, nodes } = all;
  const some = (): SharingNode => nodes[Math.floor(random() * nodes.length)]!;
  const load = (): number => (random() < 0.3 ? 0 : 30 * random());
  for (let i = 0; i < 5; i += 1) all.start(load());
  for (let i = 0; i < times; i += 1) {
    await all.time.run(random() * 20_000);
    const what = random();
    if (nodes.length < 3 || (what < 0.2 && nodes.length < 9)) all.start(load());
    else if (what < 0.4) all.kill(some());
    else if (what < 0.5) await all.stop(some());
    else if (what < 0.7) some().process.stop(random() * 90_000);
    else if (what < 0.8) all.tables.lost = all.tables.lost > 0 ? 0 : random() * 0.6;
    else some().load = load();
  }
}

describe('a shared limit', () => {
  for (const limit of LIMITS) {
    it(`of ${textOf(limit)} holds at every instant`, async () => {
      for (let seed = 1; seed <= 3; seed += 1) {
        const all = new DivisionSimulation({ limit, seed, lost: 0.05, skew: HOUR / 2, trip: 40 });
        await disturb(all, 120);
        assert.ok(all.sent > 0);
      }
    });
  }
});
