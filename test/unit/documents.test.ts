import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type ConfigKind, LIMITS } from '../../lib/control/config-kinds.ts';
import { openDocuments } from '../../lib/control/documents.ts';
import { readObject, readText } from '../../lib/document.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { LimitTable } from '../../lib/shaping/limits/limit.ts';
import { systemClock } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';
import { failure } from '../support/control.ts';
import { settled, TestConfig } from '../support/engine.ts';

/** A document names its owner. */
const PLACE: ConfigKind = {
  name: 'place',
  read: (value) => readText(readObject(value, 'place', ['owner']).owner, 'place.owner'),
};
const OTHER: ConfigKind = { name: 'other', read: (value) => value };

async function open(config = new TestConfig(), kinds: readonly ConfigKind[] = [PLACE, OTHER]) {
  const clock = new TestClock();
  return { config, clock, documents: await openDocuments({ config, clock, kinds }) };
}

const by = 'AKIAADMIN';
const ann = { owner: 'ann' };
const bob = { owner: 'bob' };

describe('a document', () => {
  test('is in force when it is stored, here and everywhere, and after a restart', async () => {
    const { config, clock, documents } = await open();
    const other = await open(config);
    const sizes: number[] = [];
    other.documents.watch('place', () => sizes.push(other.documents.running('place').size));
    const at = clock.now();
    const first = await documents.put('place', 'a', ann, { by });
    assert.deepEqual(first, { kind: 'place', name: 'a', version: 1, at, by, value: ann });
    assert.deepEqual([...documents.running('place')], [['a', ann]]);
    await settled();
    for (const node of [other, await open(config)]) {
      assert.deepEqual(node.documents.get('place', 'a'), first);
      assert.deepEqual([...node.documents.running('place')], [['a', ann]]);
    }
    assert.deepEqual(sizes, [1]);
    assert.deepEqual([documents.list('place').length, documents.list('other').length], [1, 0]);
  });

  test('that is invalid is refused with path and reason, and the running one stays', async () => {
    const { config, documents } = await open();
    await documents.put('place', 'a', ann, { by });
    const before = await config.dump();
    const put = (name: string, value: unknown) => documents.put('place', name, value, { by });
    await assert.rejects(
      put('a', { ownr: 'x' }),
      failure('bad_request', /^place\/a is refused\. place\.ownr: is unknown/),
    );
    await assert.rejects(put('a b', bob), failure('bad_request', /name of a document/));
    await assert.rejects(
      put('b', { owner: 'x'.repeat(300_000) }),
      failure('bad_request', /has 300012 bytes/),
    );
    await assert.rejects(
      documents.put('plase', 'a', ann, { by }),
      failure('not_found', /there are place, other/),
    );
    assert.equal(await config.dump(), before);
    assert.deepEqual([...documents.running('place')], [['a', ann]]);
  });

  test('is changed only from the expected version', async () => {
    const { config, documents } = await open();
    const other = await open(config);
    await documents.put('place', 'a', ann, { by, expect: 0 });
    for (const expect of [0, 2]) {
      await assert.rejects(
        documents.put('place', 'a', bob, { by, expect }),
        failure('config_conflict', /is at version 1/),
      );
    }
    assert.equal((await documents.put('place', 'a', bob, { by, expect: 1 })).version, 2);
    // The other node has not received the change yet: the store itself refuses.
    await assert.rejects(
      other.documents.put('place', 'a', ann, { by, expect: 0 }),
      failure('config_conflict'),
    );
    await settled();
    assert.equal(other.documents.get('place', 'a')?.version, 2);
  });

  test('keeps its last 50 versions, each of which can be restored', async () => {
    const { config, clock, documents } = await open();
    for (let n = 1; n <= 60; n += 1) {
      clock.advance(1_000);
      await documents.put('place', 'a', { owner: `o${n}` }, { by: `key${n}` });
    }
    const history = await documents.history('place', 'a');
    assert.deepEqual([history.length, history[0]!.version, history.at(-1)!.version], [51, 60, 10]);
    assert.deepEqual(history[1]!.value, { owner: 'o59' });
    assert.equal(history[1]!.by, 'key59');
    assert.equal((await config.dump()).split('\n').length, 51);
    const back = await documents.rollBack('place', 'a', 10, { by });
    assert.deepEqual([back.version, back.value, back.by], [61, { owner: 'o10' }, by]);
    assert.deepEqual((await documents.rollBack('place', 'a', undefined, { by })).value, { owner: 'o60' });
    const roll = documents.rollBack('place', 'a', 10, { by });
    await assert.rejects(roll, failure('not_found', /has no earlier version 10\. Kept: 61, 60/));
  });

  test('is not restored when it is no longer valid', async () => {
    const { config, documents } = await open();
    const older = await open(config, [{ name: 'place', read: (value) => value }]);
    await older.documents.put('place', 'a', { tenant: 'ann' }, { by });
    await settled();
    await documents.put('place', 'a', bob, { by });
    const back = documents.rollBack('place', 'a', 1, { by });
    await assert.rejects(back, failure('bad_request', /^place\/a is refused\. place\.tenant: is unknown/));
    assert.deepEqual(documents.running('place').get('a'), bob);
  });

  test('that is removed can be restored, and its version numbers go on', async () => {
    const { config, documents } = await open();
    await documents.put('place', 'a', ann, { by });
    const removed = await documents.remove('place', 'a', { by, expect: 1 });
    assert.deepEqual([removed.version, 'value' in removed && removed.value], [2, false]);
    assert.equal(documents.running('place').size, 0);
    await assert.rejects(documents.remove('place', 'a', { by }), failure('not_found'));
    await assert.rejects(documents.remove('place', 'x', { by }), failure('not_found'));
    await assert.rejects(documents.history('place', 'x'), failure('not_found'));
    assert.equal((await open(config)).documents.running('place').size, 0);
    assert.deepEqual((await documents.rollBack('place', 'a', undefined, { by })).value, ann);
    assert.equal(documents.running('place').get('a') !== undefined, true);
    assert.equal((await documents.rollBack('place', 'a', undefined, { by })).value, undefined);
  });

  test('keeps its history when a writer dies between archive and change', async () => {
    const { config, documents } = await open();
    const first = await documents.put('place', 'a', ann, { by });
    await config.put('config-history', 'place/a/0000000001', first);
    assert.deepEqual(await documents.history('place', 'a'), [first]);
    await documents.put('place', 'a', bob, { by });
    const versions = (await documents.history('place', 'a')).map((one) => one.version);
    assert.deepEqual(versions, [2, 1]);
  });

  test('whose name is a prefix of another has a history of its own', async () => {
    const { documents } = await open();
    for (const name of ['a', 'a-b', 'b']) {
      await documents.put('other', name, { n: 1 }, { by });
      await documents.put('other', name, { n: 2 }, { by });
    }
    assert.equal((await documents.history('other', 'a')).length, 2);
  });
});

test('one change of a document is read once and applied once, over the real store', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postern-documents-'));
  const engine = await openEmbedded({ directory, clock: systemClock });
  try {
    let reads = 0;
    const counted: ConfigKind<LimitTable> = {
      name: LIMITS.name,
      read(value, name) {
        reads += 1;
        return LIMITS.read(value, name);
      },
    };
    const documents = await openDocuments({ config: engine.config, clock: systemClock, kinds: [counted] });
    const applied: (LimitTable | undefined)[] = [];
    documents.watch('limits', () => applied.push(documents.read(LIMITS, 'default')));
    const changed = new Set<string>();
    engine.config.watch(({ kind, key }) => void changed.add(`${kind}/${key}`));
    for (const connections of [5, 6]) {
      await documents.put('limits', 'default', { default: { connections } }, { by });
      await engine.config.catchUp();
      await settled();
    }
    assert.ok(changed.has('config-limits/default'), 'its own write came back to it');
    assert.deepEqual([applied.length, reads], [2, 2]);
    assert.equal(applied[1]!.rules.at(-1)!.set.connections, 6);
    documents.close();
  } finally {
    await engine.close();
    await rm(directory, { recursive: true });
  }
});

describe('a document that another node stored', () => {
  test('does not run where it is invalid, and the running one stays', async () => {
    const { config, documents } = await open();
    await documents.put('place', 'a', ann, { by });
    const newer = await open(config, [{ name: 'place', read: (value) => value }]);
    await newer.documents.put('place', 'a', { owner: 'ann', since: 2026 }, { by });
    await settled();
    assert.deepEqual(documents.running('place').get('a'), ann);
    assert.match(documents.get('place', 'a')!.problems![0]!, /^place\.since: is unknown/);
    assert.equal(documents.get('place', 'a')!.version, 2);
    await documents.put('place', 'a', bob, { by });
    assert.deepEqual(documents.get('place', 'a')!.problems, undefined);
  });

  test('is not followed after close', async () => {
    const { config, documents } = await open();
    documents.close();
    assert.equal(config.watchers, 0);
  });
});
