/** Contract of the suppression lists. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import type { SuppressionQuery } from '../../lib/engine/ports.ts';
import { REMOVAL_MEMORY, type Suppression, type SuppressionReason } from '../../lib/engine/suppression.ts';
import type { EngineUnderTest } from './harness.ts';

/** Time until a change is visible, ms. */
const SHOWS = 1_000;

export function suppressionContract(under: () => EngineUnderTest): void {
  const entry = (tenant: string, address: string, change: Partial<Suppression> = {}): Suppression => {
    const { at = under().clock.now() } = change;
    return { tenant, address, reason: 'BOUNCE', at, since: at, ...change };
  };

  async function find(tenant: string, ...addresses: string[]): Promise<(Suppression | undefined)[]> {
    await under().clock.advance(SHOWS);
    return under().engine.suppressions.find(addresses.map((address) => ({ tenant, address })));
  }

  describe('suppressions', () => {
    test('finds entries in any case, in the order of the query', async () => {
      const { suppressions } = under().engine;
      const tenant = randomUUID();
      const ann = entry(tenant, 'Ann@example.net', {
        messageId: 'm@example.com',
        feedbackId: 'f',
        why: 'smtp; 550 5.1.1 User unknown',
      });
      const bob = entry(tenant, 'bob@example.net', { reason: 'COMPLAINT' });
      assert.equal(await suppressions.put(ann), true);
      assert.equal(await suppressions.put(bob), true);
      const found = await find(
        tenant,
        'x@example.net',
        'BOB@example.net',
        'ann@example.net',
        'Ann@EXAMPLE.net',
      );
      assert.deepEqual(found, [undefined, bob, ann, ann]);
      assert.deepEqual(await suppressions.find([]), []);
    });

    test('keeps one list per tenant', async () => {
      const { suppressions } = under().engine;
      const [one, two] = [randomUUID(), randomUUID()];
      await suppressions.put(entry(one, 'ann@example.net'));
      assert.deepEqual(await find(two, 'ann@example.net'), [undefined]);
      assert.deepEqual(await suppressions.list({ tenant: two, max: 10 }), []);
      const mixed = await suppressions.find([
        { tenant: two, address: 'ann@example.net' },
        { tenant: one, address: 'ann@example.net' },
      ]);
      assert.deepEqual(
        mixed.map((found) => found?.tenant),
        [undefined, one],
      );
    });

    test('looks up more addresses than one request holds', async () => {
      const { suppressions } = under().engine;
      const tenant = randomUUID();
      const addresses = Array.from({ length: 250 }, (_, n) => `user${n}@example.net`);
      const listed = addresses.filter((_, n) => n % 50 === 7);
      await Promise.all(listed.map((address) => suppressions.put(entry(tenant, address))));
      const found = await find(tenant, ...addresses);
      assert.deepEqual(
        found.flatMap((one) => one?.address ?? []),
        listed,
      );
    });

    test('the entry with the latest time counts, in any order of arrival', async () => {
      const { engine, clock } = under();
      const { suppressions } = engine;
      const tenant = randomUUID();
      const now = clock.now();
      const later = entry(tenant, 'ann@example.net', { at: now, reason: 'COMPLAINT', messageId: 'new' });
      await suppressions.put(later);
      assert.equal(await suppressions.put({ ...later, at: now - 1, reason: 'BOUNCE' }), false);
      assert.equal(await suppressions.put(later), true, 'the same again');
      assert.deepEqual(await find(tenant, 'ann@example.net'), [later]);
      const latest = {
        tenant,
        address: 'ANN@example.net',
        at: now + 1,
        since: now,
        reason: 'BOUNCE',
      } as const;
      assert.equal(await suppressions.put({ ...latest, since: 5 }), true, 'the list keeps since when');
      assert.deepEqual(await find(tenant, 'ann@example.net'), [latest]);
      assert.deepEqual(await suppressions.list({ tenant, max: 10 }), [latest], 'it is listed once');
    });

    test('an event from before a removal does not put the address back', async () => {
      const { engine, clock } = under();
      const { suppressions } = engine;
      const tenant = randomUUID();
      const now = clock.now();
      const bounced = entry(tenant, 'ann@example.net', { at: now - 10 });
      assert.equal(await suppressions.remove(tenant, 'ann@example.net', now), false);
      await suppressions.put(bounced);
      assert.equal(await suppressions.remove(tenant, 'Ann@example.net', now), true);
      assert.equal(await suppressions.remove(tenant, 'ann@example.net', now), false);
      assert.deepEqual(await find(tenant, 'ann@example.net'), [undefined]);
      assert.deepEqual(await suppressions.list({ tenant, max: 10 }), []);
      assert.equal(await suppressions.put(bounced), false);
      await engine.records.prune(0, 10);
      assert.equal(await suppressions.put(bounced), false);
      const again = { ...bounced, at: now + 10, since: now + 10 };
      assert.equal(await suppressions.put(again), true);
      assert.deepEqual(await find(tenant, 'ann@example.net'), [again]);
    });

    test('removes an entry by its reason, unless the entry is newer', async () => {
      const { engine, clock } = under();
      const { suppressions } = engine;
      const tenant = randomUUID();
      const at = clock.now();
      const remove = (address: string, when: number) =>
        suppressions.remove(tenant, address, when, 'COMPLAINT');
      await suppressions.put(entry(tenant, 'bounce@example.net', { at }));
      await suppressions.put(entry(tenant, 'complaint@example.net', { at, reason: 'COMPLAINT' }));
      assert.equal(await remove('bounce@example.net', at), false);
      assert.equal(await remove('complaint@example.net', at - 1), false);
      assert.equal(await remove('complaint@example.net', at), true);
      assert.equal(await remove('nobody@example.net', at), false);
      const found = await find(tenant, 'bounce@example.net', 'complaint@example.net');
      assert.deepEqual(
        found.map((one) => one?.address),
        ['bounce@example.net', undefined],
      );
    });

    test('lists by reason and time, in pages, with removals between the pages', async () => {
      const { engine, clock } = under();
      const { suppressions } = engine;
      const tenant = randomUUID();
      const now = clock.now();
      const put = (n: number, reason: SuppressionReason): Promise<boolean> =>
        suppressions.put(entry(tenant, `${reason}${n}@example.net`, { at: now + n * 1000, reason }));
      await Promise.all([4, 1, 3, 0, 2].flatMap((n) => [put(n, 'BOUNCE'), put(n, 'COMPLAINT')]));
      // Several entries have the same time.
      await Promise.all(
        ['a', 'b', 'c'].map((name) => suppressions.put(entry(tenant, name, { at: now - 1000 }))),
      );
      await clock.advance(SHOWS);

      const pages = async (
        query: Omit<SuppressionQuery, 'tenant' | 'max'>,
        max: number,
      ): Promise<string[]> => {
        const addresses: string[] = [];
        let after: Suppression | undefined;
        for (;;) {
          const page = await suppressions.list({ tenant, ...query, after, max });
          assert.ok(page.length <= max);
          addresses.push(...page.map(({ address }) => address));
          after = page.at(-1);
          if (page.length < max) return addresses;
        }
      };
      const numbered = (reason: string, ...places: number[]) =>
        places.map((n) => `${reason}${n}@example.net`);
      const bounces = numbered('BOUNCE', 0, 1, 2, 3, 4);
      const complaints = numbered('COMPLAINT', 0, 1, 2, 3, 4);
      for (const max of [1, 2, 3, 100]) {
        const all = await pages({}, max);
        assert.deepEqual(all.slice(0, 3).toSorted(), ['a', 'b', 'c']);
        assert.deepEqual(all.slice(3), [...bounces, ...complaints]);
      }
      assert.deepEqual(await pages({ reasons: ['COMPLAINT'] }, 2), complaints);
      assert.deepEqual(await pages({ reasons: [] }, 2), []);
      const between = { from: now + 1000, before: now + 3000 };
      const inside = [...numbered('BOUNCE', 1, 2), ...numbered('COMPLAINT', 1, 2)];
      for (const max of [1, 2, 3, 100]) assert.deepEqual(await pages(between, max), inside);
      assert.deepEqual(await pages({ from: now + 1000, before: now + 1000 }, 10), []);

      const [first] = await suppressions.list({ tenant, from: now, max: 1 });
      await suppressions.remove(tenant, first!.address, now + 10_000);
      await clock.advance(SHOWS);
      const [second] = await suppressions.list({ tenant, from: now, after: first, max: 1 });
      assert.equal(second!.address, bounces[1]);
      // A page that begins after the end of the requested range.
      assert.deepEqual(await suppressions.list({ tenant, before: now + 1000, after: second, max: 9 }), [
        entry(tenant, complaints[0]!, { at: now, reason: 'COMPLAINT' }),
      ]);
      const [later] = await suppressions.list({ tenant, from: now + 4000, after: second, max: 1 });
      assert.equal(later!.address, bounces[4]);
    });

    test('forgets a removal after its retention time', async () => {
      const { engine, clock } = under();
      const { suppressions } = engine;
      const tenant = randomUUID();
      const longAgo = clock.now() - REMOVAL_MEMORY - 10_000;
      await suppressions.put(entry(tenant, 'ann@example.net', { at: longAgo }));
      await suppressions.put(entry(tenant, 'bob@example.net', { at: longAgo }));
      assert.equal(await suppressions.remove(tenant, 'ann@example.net', longAgo), true);
      await engine.records.prune(0, 10);
      const found = await find(tenant, 'ann@example.net', 'bob@example.net');
      assert.deepEqual(
        found.map((one) => one?.address),
        [undefined, 'bob@example.net'],
      );
    });
  });
}
