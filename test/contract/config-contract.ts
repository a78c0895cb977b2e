/** Contract of configuration documents. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
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

    test('calls watchers after each change until they unsubscribe', async () => {
      const { engine, clock } = under();
      const kind = `kind-${randomUUID()}`;
      const seen: string[] = [];
      const leave = engine.config.watch((change) => {
        if (change.kind === kind) seen.push(change.key);
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
