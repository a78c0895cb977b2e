/** Contract of configuration documents. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import type { DocumentQuery } from '../../lib/engine/ports.ts';
import type { EngineUnderTest } from './harness.ts';

export function configContract(under: () => EngineUnderTest): void {
  describe('config', () => {
    test('versions grow by one, and a change against another version is refused', async () => {
      const { config } = under().engine;
      const kind = `kind-${randomUUID()}`;
      assert.equal(await config.get(kind, 'a'), undefined);
      assert.equal(await config.put(kind, 'a', { name: 'ä' }, 0), 1);
      await assert.rejects(config.put(kind, 'a', {}, 0), { code: 'config_conflict' });
      assert.equal(await config.put(kind, 'a', { name: 'b' }, 1), 2);
      await assert.rejects(config.put(kind, 'a', {}, 1), { code: 'config_conflict' });
      assert.equal(await config.put(kind, 'a', { name: 'c' }), 3);
      assert.deepEqual(await config.get(kind, 'a'), { kind, key: 'a', value: { name: 'c' }, version: 3 });
      assert.equal(await config.delete(kind, 'a'), true);
      assert.equal(await config.delete(kind, 'a'), false);
      assert.equal(await config.get(kind, 'a'), undefined);
    });

    test('of simultaneous changes against one version, one succeeds', async () => {
      const { config } = under().engine;
      const kind = `kind-${randomUUID()}`;
      const results = await Promise.allSettled([1, 2, 3, 4].map((n) => config.put(kind, 'a', n, 0)));
      assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    });

    test('lists keys in the order of their UTF-8 bytes, in pages', async () => {
      const { config } = under().engine;
      const kind = `kind-${randomUUID()}`;
      // U+FF5E is below U+1F600 in UTF-8 and above it in UTF-16.
      const keys = ['B', 'a', 'b', 'é', '～', '😀'];
      for (const key of keys.toReversed()) await config.put(kind, key, key);
      assert.deepEqual(
        (await config.list(kind)).map((document) => document.key),
        keys,
      );
      const page = await config.list(kind, { after: 'a', max: 2 });
      assert.deepEqual(
        page.map((document) => document.value),
        ['b', 'é'],
      );
      assert.deepEqual(await config.list(`${kind}-other`), []);
    });

    test('lists the keys with a prefix, in pages, from any place on', async () => {
      const { config } = under().engine;
      const kind = `kind-${randomUUID()}`;
      for (const key of ['a', 'b/', 'b/1', 'b/2', 'b/3', 'b/～', 'b/😀', 'b0', 'c'])
        await config.put(kind, key, 0);
      const keys = async (query: DocumentQuery) => (await config.list(kind, query)).map(({ key }) => key);
      assert.deepEqual(await keys({ prefix: 'b/' }), ['b/', 'b/1', 'b/2', 'b/3', 'b/～', 'b/😀']);
      assert.deepEqual(await keys({ prefix: 'b/', max: 2 }), ['b/', 'b/1']);
      assert.deepEqual(await keys({ prefix: 'b/', after: 'b/1', max: 2 }), ['b/2', 'b/3']);
      assert.deepEqual(await keys({ prefix: 'b/', after: 'b/25' }), ['b/3', 'b/～', 'b/😀']);
      assert.deepEqual(await keys({ prefix: 'b/', after: 'a', max: 1 }), ['b/']);
      assert.deepEqual(await keys({ prefix: 'b/', after: 'c' }), []);
      assert.deepEqual(await keys({ prefix: 'd' }), []);
      assert.equal(await config.count(kind, 'b/'), 6);
      assert.equal(await config.count(kind, 'd'), 0);
      assert.equal(await config.count(kind, 'a'), 1);
    });

    test('reads many documents at once, in the order of the keys asked for', async () => {
      const { config } = under().engine;
      const kind = `kind-${randomUUID()}`;
      const keys = Array.from({ length: 120 }, (_, n) => `key ${n}`);
      for (const key of keys) if (key !== 'key 7') await config.put(kind, key, key);
      const found = await config.getAll(kind, [...keys, 'key 3']);
      assert.deepEqual(
        found.map((document) => document?.value),
        [...keys, 'key 3'].map((key) => (key === 'key 7' ? undefined : key)),
      );
      assert.equal(found[0]?.version, 1);
      assert.deepEqual(await config.getAll(kind, []), []);
    });

    test('calls watchers after each change until they unsubscribe', async () => {
      const { engine, clock } = under();
      const kind = `kind-${randomUUID()}`;
      const seen: string[] = [];
      const leave = engine.config.watch((change) => {
        if (change.kind === kind) seen.push(change.key!);
      });
      await engine.config.put(kind, 'a', 1);
      await engine.config.delete(kind, 'a');
      await engine.config.put(kind, 'b', 1);
      await clock.advance(2_000);
      leave();
      await engine.config.put(kind, 'c', 1);
      await clock.advance(2_000);
      assert.deepEqual([...new Set(seen)].sort(), ['a', 'b']);
    });
  });
}
