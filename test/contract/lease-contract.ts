/** Contract of leases, token buckets, permits, checkpoints and health. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { HOUR } from '../../lib/time.ts';
import type { EngineUnderTest } from './harness.ts';

export function leaseContract(under: () => EngineUnderTest): void {
  describe('leases', () => {
    test('a lease has one owner until it expires or is released', async () => {
      const { engine, clock } = under();
      const name = randomUUID();
      const until = await engine.leases.acquire(name, 'one', 10_000);
      assert.ok(until !== undefined && Math.abs(until - clock.now() - 10_000) < 5_000);
      assert.equal(await engine.leases.acquire(name, 'two', 10_000), undefined);
      assert.ok(await engine.leases.acquire(name, 'one', 20_000));
      // The other caller tries repeatedly: an engine may count the term of a lease from when it was first seen.
      assert.equal(await engine.leases.acquire(name, 'two', 10_000), undefined);
      await clock.advance(15_000);
      assert.equal(await engine.leases.acquire(name, 'two', 10_000), undefined);
      await engine.leases.release(name, 'two');
      assert.equal(await engine.leases.acquire(name, 'two', 10_000), undefined);
      await clock.advance(6_000);
      assert.ok(await engine.leases.acquire(name, 'two', 10_000));
      await engine.leases.release(name, 'two');
      assert.ok(await engine.leases.acquire(name, 'one', 10_000));
    });

    test('a bucket begins full, grants whole tokens, and fills at its rate', async () => {
      const { engine, clock } = under();
      const bucket = randomUUID();
      const take = (want: number) => engine.leases.take(bucket, want, 10, 100);
      assert.deepEqual(await take(70), { granted: 70, wait: 0 });
      assert.equal((await take(70)).granted, 30);
      const none = await take(1);
      assert.equal(none.granted, 0);
      assert.ok(none.wait > 0 && none.wait <= 100);
      await clock.advance(2_000);
      const some = (await take(1_000)).granted;
      assert.ok(some >= 20 && some <= 25, `${some}`);
      await clock.advance(HOUR);
      assert.equal((await take(1_000)).granted, 100);
    });

    test('simultaneous callers share the tokens of a bucket', async () => {
      const bucket = randomUUID();
      const taken = await Promise.all(
        Array.from({ length: 10 }, () => under().engine.leases.take(bucket, 3, 0.001, 20)),
      );
      assert.equal(
        taken.reduce((sum, one) => sum + one.granted, 0),
        20,
      );
    });

    test('permits stay within their limit and are divided evenly as they are released', async () => {
      const { leases } = under().engine;
      const name = randomUUID();
      const ask = (owner: string, keep: number, want: number) =>
        leases.permits(name, owner, { keep, want, limit: 10, ttl: 30_000 });
      assert.deepEqual(await ask('one', 0, 30), { held: 10, share: 10 });
      assert.deepEqual(await ask('two', 0, 30), { held: 0, share: 0 });
      assert.deepEqual(await ask('one', 9, 30), { held: 9, share: 5 }, 'what is in use is not taken away');
      assert.deepEqual(await ask('two', 0, 30), { held: 1, share: 1 });
      assert.deepEqual(await ask('one', 5, 30), { held: 5, share: 5 });
      assert.deepEqual(await ask('two', 1, 30), { held: 5, share: 5 });
      assert.deepEqual(await ask('three', 0, 2), { held: 0, share: 0 });
      assert.deepEqual(
        await ask('one', 2, 30),
        { held: 4, share: 4 },
        'an owner that wants little gets all of it',
      );
      assert.deepEqual(await ask('one', 0, 0), { held: 0, share: 0 });
      assert.deepEqual(await ask('three', 0, 2), { held: 2, share: 2 });
      assert.deepEqual(await ask('two', 5, 30), { held: 8, share: 8 });
    });

    test('permits of a dead owner are free when its lease expires, and no others', async () => {
      const { engine, clock } = under();
      const name = randomUUID();
      const ask = async (owner: string, keep: number, want: number): Promise<number> =>
        (await engine.leases.permits(name, owner, { keep, want, limit: 10, ttl: 10_000 })).held;
      assert.equal(await ask('gone', 0, 6), 6);
      assert.equal(await ask('here', 0, 10), 4);
      await clock.advance(6_000);
      assert.equal(await ask('here', 4, 10), 4);
      await clock.advance(5_000);
      assert.equal(await ask('here', 4, 10), 10);
      assert.equal(await ask('gone', 6, 6), 0, 'a returning owner gets nothing');
      assert.equal(await ask('here', 10, 10), 10);
    });

    test('simultaneous callers divide the permits', async () => {
      const name = randomUUID();
      const got = await Promise.all(
        Array.from({ length: 10 }, (_, i) =>
          under().engine.leases.permits(name, `owner-${i}`, { keep: 0, want: 3, limit: 20, ttl: 10_000 }),
        ),
      );
      const held = got.reduce((sum, one) => sum + one.held, 0);
      assert.ok(held > 10 && held <= 20, `${held}`);
    });

    test('a checkpoint is read back as it was written', async () => {
      const { leases } = under().engine;
      const name = randomUUID();
      assert.equal(await leases.checkpoint(name), undefined);
      await leases.saveCheckpoint(name, { warm: [1, 2] });
      await leases.saveCheckpoint(name, { warm: [1, 2, 3] });
      assert.deepEqual(await leases.checkpoint(name), { warm: [1, 2, 3] });
    });

    test('a former owner of the lease cannot overwrite the checkpoint', async () => {
      const { engine, clock } = under();
      const { leases } = engine;
      const [name, lease] = [randomUUID(), randomUUID()];
      const [one, two] = [
        { lease, owner: 'one' },
        { lease, owner: 'two' },
      ];
      const lost = { code: 'lease_lost' };
      await assert.rejects(leases.saveCheckpoint(name, 0, one), lost);
      assert.ok(await leases.acquire(lease, 'one', 10_000));
      assert.equal(await leases.checkpoint(name, one), undefined);
      await leases.saveCheckpoint(name, 1, one);
      assert.ok(await leases.acquire(lease, 'one', 10_000));
      await leases.saveCheckpoint(name, 2, one);
      assert.equal(await leases.acquire(lease, 'two', 10_000), undefined);
      await assert.rejects(leases.checkpoint(name, two), lost);
      await clock.advance(11_000);
      assert.ok(await leases.acquire(lease, 'two', 10_000));
      assert.equal(await leases.checkpoint(name, two), 2);
      // The former owner was paused and wakes with its old lease.
      await assert.rejects(leases.saveCheckpoint(name, 3, one), lost);
      assert.equal(await leases.checkpoint(name, two), 2);
      await leases.saveCheckpoint(name, 4, two);
      await leases.release(lease, 'two');
      await assert.rejects(leases.saveCheckpoint(name, 5, two), lost);
      assert.ok(await leases.acquire(lease, 'one', 10_000));
      assert.equal(await leases.checkpoint(name, one), 4);
      await leases.saveCheckpoint(name, 6, one);
      assert.equal(await leases.checkpoint(name), 6);
    });
  });

  test('health is good', async () => {
    assert.equal((await under().engine.health()).ok, true);
  });
}
