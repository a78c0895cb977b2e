/** Contract of rows: their order, their limits, and that a batch of deltas counts once. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  BATCH_MEMORY,
  COUNTER_BYTES,
  KEY_BYTES,
  type NewRow,
  PARTITION_BYTES,
  ROW_BYTES,
  ROW_CALL,
  type RowDelta,
  type RowQuery,
} from '../../lib/engine/rows.ts';
import type { EngineUnderTest } from './harness.ts';

/** The kind that every role of the contract may write and count. */
const kind = 'statistics';
const REFUSED = { code: 'storage_refused' };
const CONFLICT = { code: 'config_conflict' };

export function rowsContract(under: () => EngineUnderTest): void {
  const rows = () => under().engine.rows;

  /** Keys of a query in a partition. */
  async function keys(partition: string, query: Partial<RowQuery> = {}): Promise<string[]> {
    return (await rows().query({ kind, partition, max: 100, ...query })).map(({ key }) => key);
  }

  const named = (partition: string, ...names: string[]): NewRow[] =>
    names.map((key) => ({ kind, partition, key, value: key }));

  describe('rows', () => {
    test('are answered in the order of the keys, with undefined where there is none', async () => {
      const [one, two] = [randomUUID(), randomUUID()];
      const value = { a: [1, null, 'ä'], v: 99 };
      await rows().put([...named(one, 'a', 'b'), { kind, partition: two, key: 'a', value }]);
      const found = await rows().get([
        { kind, partition: two, key: 'a' },
        { kind, partition: two, key: 'b' },
        { kind, partition: one, key: 'b' },
        { kind, partition: two, key: 'a' },
        { kind: 'contact', partition: two, key: 'a' },
      ]);
      assert.deepEqual(
        found.map((row) => row?.value),
        [value, undefined, 'b', value, undefined],
      );
      assert.deepEqual(await rows().get([]), []);
      await rows().delete([
        { kind, partition: two, key: 'a' },
        { kind, partition: two, key: 'a' },
        { kind, partition: two, key: 'never' },
      ]);
      assert.deepEqual(await keys(two), []);
      assert.deepEqual(await keys(one), ['a', 'b']);
    });

    test('of two with one name in a call the last counts', async () => {
      const partition = randomUUID();
      const row = { kind, partition, key: 'a' };
      await rows().put([
        { ...row, value: 1 },
        { ...row, value: 2 },
      ]);
      assert.equal((await rows().get([row]))[0]?.value, 2);
    });

    test('as many as a call holds go in and come out', async () => {
      const partition = randomUUID();
      const names = Array.from({ length: ROW_CALL }, (_, n) => String(n).padStart(4, '0'));
      await rows().put(named(partition, ...names));
      assert.deepEqual(await keys(partition, { max: ROW_CALL }), names);
      const found = await rows().get(names.toReversed().map((key) => ({ kind, partition, key })));
      assert.deepEqual(
        found.map((row) => row?.value),
        names.toReversed(),
      );
      await rows().delete(names.slice(1).map((key) => ({ kind, partition, key })));
      assert.deepEqual(await keys(partition), ['0000']);
    });

    test('are listed by UTF-8 bytes, up and down, in ranges and pages', async () => {
      const partition = randomUUID();
      // U+FF5E is below U+1F600 in UTF-8 and above it in UTF-16.
      const all = ['\0', '!', 'B', 'a', 'aa', 'b', 'é', '～', '😀', '\u{10ffff}\u{10ffff}'];
      await rows().put(named(partition, ...all.toReversed()));
      assert.deepEqual(await keys(partition), all);
      assert.deepEqual(await keys(partition, { descending: true }), all.toReversed());
      assert.deepEqual(await keys(partition, { from: 'a', before: 'é' }), ['a', 'aa', 'b']);
      const down = { from: 'a', before: 'é', descending: true };
      assert.deepEqual(await keys(partition, down), ['b', 'aa', 'a']);
      assert.deepEqual(await keys(partition, { from: 'a', before: 'a' }), []);
      assert.deepEqual(await keys(partition, { from: 'b', before: 'a' }), []);
      assert.deepEqual(await keys(partition, { from: 'a', after: 'A', before: 'b' }), ['a', 'aa']);
      assert.deepEqual(await keys(partition, { from: 'a', after: 'ab' }), all.slice(5));
      assert.deepEqual(await keys(partition, { ...down, after: 'ab' }), ['aa', 'a']);
      assert.deepEqual(await keys(partition, { ...down, after: 'x' }), ['b', 'aa', 'a']);
      assert.deepEqual(await keys(partition, { from: 'a', after: '\u{10ffff}'.repeat(3) }), []);
      for (const max of [1, 2, 3]) {
        for (const descending of [false, true]) {
          const paged: string[] = [];
          for (let after: string | undefined; ; after = paged.at(-1)) {
            const page = await keys(partition, { max, descending, after });
            paged.push(...page);
            if (page.length < max) break;
          }
          assert.deepEqual(paged, descending ? all.toReversed() : all);
        }
      }
    });

    test('change against the version that was read, and against none', async () => {
      const row = { kind, partition: randomUUID(), key: 'a', value: 1 as unknown };
      const first = await rows().change(row, 0);
      await assert.rejects(rows().change(row, 0), CONFLICT);
      const second = await rows().change({ ...row, value: 2 }, first);
      assert.notEqual(second, first);
      await assert.rejects(rows().change({ ...row, value: 3 }, first), CONFLICT);
      assert.deepEqual(await rows().get([row]), [{ ...row, value: 2, version: second }]);
      await rows().put([{ ...row, value: 4 }]);
      await assert.rejects(rows().change({ ...row, value: 5 }, second), CONFLICT);
      await rows().delete([row]);
      await assert.rejects(rows().change({ ...row, value: 5 }, second), CONFLICT);
      const again = await rows().change(row, 0);
      assert.ok(again !== first && again !== second, 'a version never comes back');
      const races = [1, 2, 3, 4].map((value) => rows().change({ ...row, value }, again));
      const results = await Promise.allSettled(races);
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    });

    test('are not there from the time of their expiry on', async () => {
      const { engine, clock } = under();
      const partition = randomUUID();
      const at = clock.now() + 60_000;
      const written = named(partition, 'a', 'b', 'c', 'd').map((row, n) => ({
        ...row,
        ...(n < 3 && { expiresAt: at }),
      }));
      await rows().put(written);
      assert.equal((await rows().get([written[0]!]))[0]?.expiresAt, at);
      assert.deepEqual(await keys(partition, { max: 2 }), ['a', 'b']);
      const version = (await rows().get([written[0]!]))[0]!.version;
      await clock.advance(60_000);
      assert.deepEqual(await rows().get([written[0]!]), [undefined]);
      assert.deepEqual(await keys(partition, { max: 1 }), ['d']);
      assert.deepEqual(await keys(partition, { max: 1, descending: true }), ['d']);
      await assert.rejects(rows().change(written[0]!, version), CONFLICT);
      await rows().change({ ...written[0]!, expiresAt: undefined }, 0);
      await engine.records.prune(0, 1_000);
      assert.deepEqual(await keys(partition), ['a', 'd']);
    });

    test('at the edge of each limit are taken, and beyond it refused with nothing done', async () => {
      const partition = 'p'.repeat(PARTITION_BYTES - kind.length - 9) + randomUUID().slice(0, 8);
      const key = `${'é'.repeat(KEY_BYTES / 2 - 1)}ab`;
      const value = 'x'.repeat(ROW_BYTES - 2);
      const row = { kind, partition, key, value };
      await rows().put([row]);
      assert.equal((await rows().get([row]))[0]?.value, value);
      assert.equal((await rows().query({ kind, partition, from: key, max: 1 })).length, 1);
      await rows().delete([row]);
      const bad: Partial<NewRow>[] = [
        { partition: `${partition}p` },
        { partition: '' },
        { key: `${key}k` },
        { key: '' },
        { key: 'half \ud800 of a pair' },
        { value: `${value}x` },
        { value: undefined },
        { kind: 'Statistics' },
        { kind: 'a#b' },
        { kind: 'counted' },
      ];
      for (const change of bad) {
        await assert.rejects(rows().put([row, { ...row, ...change } as NewRow]), REFUSED);
        if (!('value' in change)) await assert.rejects(rows().get([{ ...row, ...change }]), REFUSED);
      }
      assert.deepEqual(await rows().get([row]), [undefined]);
      const many = Array.from({ length: ROW_CALL + 1 }, () => row);
      await assert.rejects(rows().get(many), REFUSED);
      await assert.rejects(rows().put(many), REFUSED);
      await assert.rejects(rows().delete(many), REFUSED);
      for (const max of [0, 1.5, ROW_CALL + 1])
        await assert.rejects(rows().query({ kind, partition, max }), REFUSED);
    });
  });

  describe('counters of rows', () => {
    const delta = (partition: string, key: string, add: Record<string, number>): RowDelta => ({
      kind,
      partition,
      key,
      add,
    });
    const value = async (partition: string, key: string): Promise<unknown> =>
      (await rows().get([{ kind, partition, key }]))[0]?.value;

    test('a batch counts once, and different batches add up', async () => {
      const partition = randomUUID();
      const [one, two] = [randomUUID(), randomUUID()];
      const deltas = [
        delta(partition, 'a', { sent: 2, 'to: ä@example.com': 1 }),
        delta(partition, 'b', { __proto__: 0, sent: 5 }),
      ];
      assert.equal(await rows().add(one, deltas), true);
      assert.equal(await rows().add(one, deltas), false);
      assert.equal(await rows().add(two, [delta(partition, 'a', { sent: 3, lost: -1 })]), true);
      assert.deepEqual(await value(partition, 'a'), { sent: 5, 'to: ä@example.com': 1, lost: -1 });
      assert.deepEqual(await value(partition, 'b'), { sent: 5 });
      assert.equal(await rows().add(randomUUID(), []), true);
    });

    test('batches at one time all count', async () => {
      const partition = randomUUID();
      const batches = Array.from({ length: 8 }, () =>
        rows().add(randomUUID(), [delta(partition, 'a', { n: 1 })]),
      );
      await Promise.all(batches);
      assert.deepEqual(await value(partition, 'a'), { n: 8 });
    });

    test('a batch of more rows and counters than one transaction holds counts once', async () => {
      const partition = randomUUID();
      const wide = Object.fromEntries(Array.from({ length: 350 }, (_, n) => [`counter ${n}`, n + 1]));
      const deltas = Array.from({ length: 150 }, (_, n) =>
        delta(partition, String(n), n === 7 ? wide : { n }),
      );
      const batch = randomUUID();
      assert.equal(await rows().add(batch, deltas), true);
      assert.equal(await rows().add(batch, deltas), false);
      assert.deepEqual(await value(partition, '7'), wide);
      assert.deepEqual(await value(partition, '149'), { n: 149 });
    });

    test('begin anew when their row has expired, and a batch is remembered for its time', async () => {
      const { clock } = under();
      const partition = randomUUID();
      const batch = randomUUID();
      const counted = { ...delta(partition, 'a', { n: 1 }), expiresAt: clock.now() + 60_000 };
      await rows().add(batch, [counted]);
      await clock.advance(60_000);
      assert.equal(await value(partition, 'a'), undefined);
      await rows().add(randomUUID(), [delta(partition, 'a', { n: 4 })]);
      assert.deepEqual(await value(partition, 'a'), { n: 4 });
      await clock.advance(BATCH_MEMORY - 61_000);
      assert.equal(await rows().add(batch, [counted]), false);
    });

    test('are not added to a value that was written, nor under a wrong name', async () => {
      const partition = randomUUID();
      await rows().put([{ kind, partition, key: 'a', value: 'text' }]);
      await assert.rejects(rows().add(randomUUID(), [delta(partition, 'a', { n: 1 })]), REFUSED);
      assert.equal(await value(partition, 'a'), 'text');
      const name = 'n'.repeat(COUNTER_BYTES);
      await rows().add(randomUUID(), [delta(partition, 'b', { [name]: Number.MAX_SAFE_INTEGER })]);
      assert.deepEqual(await value(partition, 'b'), { [name]: Number.MAX_SAFE_INTEGER });
      const wrong: Record<string, number>[] = [{ '': 1 }, { [`${name}n`]: 1 }, { n: 0.5 }, { n: 2 ** 53 }];
      for (const add of wrong)
        await assert.rejects(rows().add(randomUUID(), [delta(partition, 'c', add)]), REFUSED);
      const twice = [delta(partition, 'c', { n: 1 }), delta(partition, 'c', { m: 1 })];
      await assert.rejects(rows().add(randomUUID(), twice), REFUSED);
      assert.equal(await value(partition, 'c'), undefined);
    });
  });
}
