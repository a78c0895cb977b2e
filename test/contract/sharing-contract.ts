/** Contract of shared limits: nodes that divide one over the engine, and what one that dies leaves to the others. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { newCounters } from '../../lib/egress/counters.ts';
import { SharedLimits } from '../../lib/egress/shared-limits.ts';
import type { SharedLimit } from '../../lib/shaping/limits/limit.ts';
import type { MailLimits } from '../../lib/shaping/limits/terms.ts';
import type { SharedBucket } from '../../lib/shaping/shared-bucket.ts';
import { MINUTE } from '../../lib/time.ts';
import type { EngineUnderTest } from './harness.ts';

/** Time between two looks of a node that always has mail, ms. */
const STEP = 250;

/** A node with its share of a limit: it sends as soon as the limit lets it. */
class Sharer {
  readonly #under: EngineUnderTest;
  readonly shared: SharedLimits;
  readonly #bucket: SharedBucket;
  readonly counts = newCounters();
  #calls = 0;
  sent = 0;

  constructor(under: EngineUnderTest, key: string, limit: Partial<SharedLimit>) {
    this.#under = under;
    // A node goes on when all its calls are answered: they take real time, and the clock none.
    const leases = new Proxy(under.engine.leases, {
      get: (port, name) => {
        const method = Reflect.get(port, name) as (...given: unknown[]) => Promise<unknown>;
        return (...given: unknown[]) => {
          this.#calls += 1;
          return method.apply(port, given).finally(() => (this.#calls -= 1));
        };
      },
    });
    const { clock } = under;
    const of = { now: () => clock.now(), after: () => () => {} };
    const node = randomUUID();
    this.shared = new SharedLimits({ leases, clock: of, random: () => 0.5, node, counts: this.counts });
    const terms = { shared: [{ key, limit: { name: 'all', match: {}, each: [], ...limit } }] };
    this.#bucket = this.shared.partsOf(terms as unknown as MailLimits).buckets[0]!;
  }

  async step(): Promise<boolean> {
    const now = this.#under.clock.now();
    this.shared.tick(now);
    let sent = false;
    while (this.#bucket.wait(now) <= 0) {
      this.#bucket.take(now);
      this.sent += 1;
      sent = true;
    }
    await this.settled();
    return sent;
  }

  async settled(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet = this.#calls > 0 ? 0 : quiet + 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

export function sharingContract(under: () => EngineUnderTest): void {
  describe('a shared limit', () => {
    const run = async (ms: number, ...sharers: Sharer[]): Promise<number> => {
      const { clock } = under();
      const before = sharers.reduce((sum, { sent }) => sum + sent, 0);
      for (const end = clock.now() + ms; clock.now() < end; await clock.advance(STEP)) {
        for (const sharer of sharers) await sharer.step();
      }
      return sharers.reduce((sum, { sent }) => sum + sent, 0) - before;
    };

    test('by rate: two nodes use all of it, and one of them when the other died', async () => {
      const limit = { rate: { count: 120, per: MINUTE, text: '120/min' } };
      const key = randomUUID();
      const [dies, lives] = [new Sharer(under(), key, limit), new Sharer(under(), key, limit)];
      await run(20_000, dies, lives);
      const together = await run(MINUTE, dies, lives);
      assert.ok(together <= 120 && together >= 110, `${together} together`);
      // What the dead node may have sent in its term counts for a minute.
      await run(100_000, lives);
      const alone = await run(MINUTE, lives);
      assert.ok(alone <= 120 && alone >= 110, `${alone} alone`);
      assert.equal(dies.counts.bucketFailures + lives.counts.bucketFailures, 0);
      await lives.shared.stop();
    });

    test('by quota: a dead node withholds at most 2 % of it, one that stops nothing', async () => {
      const count = 500;
      const limit = { quota: { count, per: 'day' as const } };
      const key = randomUUID();
      const [dies, stops, lives] = [0, 0, 0].map(() => new Sharer(under(), key, limit)) as [
        Sharer,
        Sharer,
        Sharer,
      ];
      await run(3_000, dies, stops);
      await stops.shared.stop();
      assert.ok(dies.sent > 0 && stops.sent > 0);
      // What the dead node held is divided when its term is over.
      const total = (): number => dies.sent + stops.sent + lives.sent;
      for (let s = 0; s < 180 && total() < 0.98 * count; s += 5) await run(5_000, lives);
      assert.ok(total() <= count && total() >= 0.98 * count, `${total()} of ${count}`);
    });
  });
}
