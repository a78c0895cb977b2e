/** Contract of leases, reports, checkpoints and health. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { divisionOf } from '../../lib/egress/sharing.ts';
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

    test('the owner of a lease is shown', async () => {
      const { leases } = under().engine;
      const name = randomUUID();
      assert.equal(await leases.holder(name), undefined);
      await leases.acquire(name, 'one', 10_000);
      await leases.acquire(name, 'two', 10_000);
      assert.equal(await leases.holder(name), 'one');
      await leases.release(name, 'one');
      assert.equal(await leases.holder(name), undefined);
    });

    test('holders report, the last report of each is read, and a late one is left out', async () => {
      const { leases } = under().engine;
      const name = divisionOf(randomUUID());
      const read = async () =>
        (await leases.reports(name))
          .map(({ holder, value }) => `${holder} ${JSON.stringify(value)}`)
          .sort((a, b) => (a < b ? -1 : 1));
      assert.deepEqual(await read(), []);
      await leases.report(name, 'one', 1, { used: 1 });
      await leases.report(name, 'two/é', 1, [2]);
      await leases.report(divisionOf(randomUUID()), 'other', 1, null);
      await leases.report(name, 'one', 3, { used: 3 });
      await leases.report(name, 'one', 2, { used: 2 });
      await leases.report(name, 'one', 3, { used: 4 });
      assert.deepEqual(await read(), ['one {"used":3}', 'two/é [2]']);
      await leases.forget(name, 'one', 2);
      await leases.forget(name, 'two/é', 1);
      await leases.forget(name, 'never', 1);
      assert.deepEqual(await read(), ['one {"used":3}']);
    });

    test('simultaneous reports are all kept', async () => {
      const { leases } = under().engine;
      const name = divisionOf(randomUUID());
      await Promise.all(Array.from({ length: 40 }, (_, i) => leases.report(name, `holder-${i}`, 1, i)));
      assert.equal((await leases.reports(name)).length, 40);
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
