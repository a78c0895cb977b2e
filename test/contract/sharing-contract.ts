/** Contract of shared limits: what a node that dies has taken of a bucket, and leaves unused. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import type { SharedLimit } from '../../lib/shaping/limits/limit.ts';
import { SharedBucket } from '../../lib/shaping/shared-bucket.ts';
import { MINUTE } from '../../lib/time.ts';
import type { EngineUnderTest } from './harness.ts';

/** Time between two messages that a node has to send, ms: always more than the limit lets out. */
const STEP = 5;

/** A node with its part of a limit: it sends as soon as the limit lets it. */
class Sharer {
  readonly #under: EngineUnderTest;
  readonly #bucket: SharedBucket;
  #asking: Promise<void> = Promise.resolve();
  taken = 0;
  spent = 0;

  constructor(under: EngineUnderTest, key: string, limit: SharedLimit) {
    this.#under = under;
    this.#bucket = new SharedBucket(key, limit, (bucket) => {
      this.#asking = this.#take(bucket);
    });
  }

  /** Tokens that would be lost if the node died now. */
  get held(): number {
    return this.taken - this.spent;
  }

  /** @returns whether the node sent. */
  async step(): Promise<boolean> {
    const { clock } = this.#under;
    const wait = this.#bucket.wait(clock.now());
    await this.#asking;
    if (wait > 0) return false;
    this.#bucket.take(clock.now());
    this.spent += 1;
    return true;
  }

  async #take(bucket: SharedBucket): Promise<void> {
    const { engine, clock } = this.#under;
    const at = clock.now();
    const { bucket: name, want, rate, burst } = bucket.request(at);
    const { granted, wait } = await engine.leases.take(name, want, rate, burst);
    this.taken += granted;
    bucket.granted(granted, wait, at, clock.now());
  }
}

export function sharingContract(under: () => EngineUnderTest): void {
  describe('a shared limit', () => {
    const limitOf = (more: Partial<SharedLimit>): SharedLimit => ({
      name: 'all',
      match: {},
      each: [],
      ...more,
    });

    test('by rate: a dead node withholds at most 2 % of it, for at most one chunk', async () => {
      const { clock } = under();
      const count = 3_000;
      const limit = limitOf({ rate: { count, per: MINUTE, text: '3000/min' } });
      const run = async (sharer: Sharer, ms: number, check: () => void = () => {}): Promise<number> => {
        const before = sharer.spent;
        for (const end = clock.now() + ms; clock.now() < end; await clock.advance(STEP)) {
          await sharer.step();
          check();
        }
        return sharer.spent - before;
      };
      const alone = await run(new Sharer(under(), randomUUID(), limit), 5_000);
      assert.ok(alone > 0.9 * (count / 12), `${alone} alone`);
      const key = randomUUID();
      const [dies, lives] = [new Sharer(under(), key, limit), new Sharer(under(), key, limit)];
      // Expired tokens belong to no node, and come back with the rate.
      await run(dies, 2_000, () => assert.ok(dies.held <= 0.02 * count, `${dies.held} in hand`));
      const after = await run(lives, 5_000);
      assert.ok(after >= alone - 0.02 * count, `${after} instead of ${alone}`);
    });

    test('by quota: a dead node withholds at most 2 % of it', async () => {
      const count = 1_000;
      const limit = limitOf({ quota: { count, per: 'day' } });
      const key = randomUUID();
      const [dies, lives] = [new Sharer(under(), key, limit), new Sharer(under(), key, limit)];
      let most = 0;
      for (let sent = 0; sent < 100; sent += 1) {
        await dies.step();
        most = Math.max(most, dies.held);
      }
      assert.ok(dies.spent > 50 && most <= 0.02 * count, `${most} in hand`);
      let idle = 0;
      while (idle < 3) idle = (await lives.step()) ? 0 : idle + 1;
      const total = dies.spent + lives.spent;
      assert.ok(total <= count && total >= 0.98 * count, `${total} of ${count}`);
    });
  });
}
