import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DocumentCache } from '../../lib/control/document-cache.ts';
import { TestClock } from '../support/clock.ts';
import { failure } from '../support/control.ts';
import { settled, TestConfig } from '../support/engine.ts';

interface Thing {
  count: number;
  text?: string;
}

function open({ config = new TestConfig(), clock = new TestClock(), capacity = 1 << 20 } = {}) {
  const cache = new DocumentCache<Thing>(config, 'thing', clock, capacity);
  config.watch(({ kind, key }) => {
    if (kind === 'thing') cache.changed(key);
  });
  return { config, clock, cache };
}

test('a document is read once, and again when anyone changed it', async () => {
  const { config, cache } = open();
  await config.put('thing', 'a', { count: 1 });
  assert.deepEqual(await cache.get('a'), { count: 1 });
  assert.equal(await cache.get('a'), await cache.get('a'), 'the same object');
  assert.equal(config.reads, 1);
  await config.put('thing', 'a', { count: 2 });
  assert.deepEqual(await cache.get('a'), { count: 2 });
  await config.delete('thing', 'a');
  assert.equal(await cache.get('a'), undefined);
  assert.equal(config.reads, 3);
});

test('that there is no document is kept in mind too, until there is one', async () => {
  const { config, cache } = open();
  assert.equal(await cache.get('a'), undefined);
  assert.equal(await cache.get('a'), undefined);
  assert.equal(await cache.get(''), undefined);
  assert.equal(config.reads, 1);
  await config.put('thing', 'a', { count: 1 });
  assert.deepEqual(await cache.get('a'), { count: 1 });
});

test('who asks for documents that are not there pushes none out of memory', async () => {
  const { config, cache } = open({ capacity: 1_000 });
  await config.put('thing', 'a', { count: 1 });
  await cache.get('a');
  for (let n = 0; n < 20_000; n += 1) await cache.get(`made up ${n}`);
  const reads = config.reads;
  await cache.get('a');
  assert.equal(config.reads, reads);
});

test('all who ask at one time share one read, and a batch asks for what is missing', async () => {
  const { config, cache } = open();
  await config.put('thing', 'a', { count: 1 });
  await config.put('thing', 'b', { count: 2 });
  const answers = await Promise.all([cache.get('a'), cache.get('a'), cache.getAll(['b', 'a', 'none', 'b'])]);
  assert.deepEqual(answers, [
    { count: 1 },
    { count: 1 },
    [{ count: 2 }, { count: 1 }, undefined, { count: 2 }],
  ]);
  assert.equal(config.reads, 2, 'one for a, one for the two others');
  await cache.getAll(['a', 'b', 'none']);
  assert.equal(config.reads, 2);
});

test('memory is bounded by the size of documents, and the largest is never kept', async () => {
  const { config, cache } = open({ capacity: 100_000 });
  for (let n = 0; n < 20; n += 1) await config.put('thing', `k${n}`, { count: n, text: 'x'.repeat(10_000) });
  await config.put('thing', 'huge', { count: -1, text: 'x'.repeat(200_000) });
  for (let n = 0; n < 20; n += 1) await cache.get(`k${n}`);
  assert.equal((await cache.get('huge'))?.count, -1);
  const before = config.reads;
  await cache.get('k19');
  assert.equal(config.reads, before, 'what was used last is kept');
  await cache.get('k0');
  await cache.get('huge');
  assert.equal(config.reads, before + 2);
});

test('a read that a change has overtaken is not kept', async () => {
  const { config, cache } = open();
  await config.put('thing', 'a', { count: 1 });
  let release: () => void = () => {};
  config.delayGet = () => new Promise((resolve) => (release = resolve));
  const old = cache.get('a');
  await settled();
  config.delayGet = undefined;
  await config.put('thing', 'a', { count: 2 });
  assert.deepEqual(await cache.get('a'), { count: 2 }, 'who asks after the change gets it');
  release();
  assert.deepEqual(await old, { count: 1 });
  assert.deepEqual(await cache.get('a'), { count: 2 });
});

test('a lost announcement is late by a minute at most', async () => {
  const { config, clock, cache } = open();
  await config.put('thing', 'a', { count: 1 });
  await cache.getAll(['a', 'none']);
  const watched = cache.changed.bind(cache);
  cache.changed = () => {};
  await config.put('thing', 'a', { count: 2 });
  await config.put('thing', 'none', { count: 3 });
  clock.advance(59_999);
  assert.deepEqual(await cache.getAll(['a', 'none']), [{ count: 1 }, undefined]);
  clock.advance(1);
  assert.deepEqual(await cache.getAll(['a', 'none']), [{ count: 2 }, { count: 3 }]);
  cache.changed = watched;
});

test('without a key everything is forgotten', async () => {
  const { config, cache } = open();
  await config.put('thing', 'a', { count: 1 });
  await cache.getAll(['a', 'none']);
  cache.changed();
  await cache.getAll(['a', 'none']);
  assert.equal(config.reads, 2);
});

test('values that readers share are frozen', async () => {
  const { cache } = open();
  const given = { count: 1 };
  await cache.create('a', given, 'Thing a');
  given.count = 2;
  const found = (await cache.get('a'))!;
  assert.throws(() => {
    found.count = 3;
  }, TypeError);
  assert.equal((await cache.get('a'))?.count, 1);
});

test('create fails when the document exists', async () => {
  const { cache } = open();
  const both = await Promise.allSettled([1, 2].map((count) => cache.create('a', { count }, 'Thing a')));
  assert.deepEqual(both.map((one) => one.status).sort(), ['fulfilled', 'rejected']);
  await assert.rejects(
    cache.create('a', { count: 3 }, 'Thing a'),
    failure('already_exists', /^Thing a already/),
  );
});

test('concurrent updates of several processes all count, the first one included', async () => {
  const { config, cache } = open();
  const other = open({ config }).cache;
  const add = (thing: Thing) => ({ count: thing.count + 1 });
  await Promise.all([cache, other, cache, other].map((one) => one.update('a', add, { count: 0 })));
  assert.deepEqual((await config.get('thing', 'a'))?.value, { count: 4 });
  assert.equal(await cache.update('none', add), undefined);
});

test('any number of concurrent updates of one process all count, and none is written twice', async () => {
  const { config, cache } = open();
  await cache.create('a', { count: 0 }, 'Thing a');
  let runs = 0;
  const add = ({ count }: Thing): Thing => {
    runs += 1;
    if (count === 7) throw new Error('unlucky');
    return { count: count + 1 };
  };
  const skip = ({ count }: Thing): Thing => ({ count: count + 1 });
  const updates = Array.from({ length: 30 }, (_, n) => cache.update('a', n === 8 ? skip : add));
  const results = await Promise.allSettled(updates);
  const failed = results.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []));
  assert.deepEqual(failed, [7]);
  assert.deepEqual((await config.get('thing', 'a'))?.value, { count: 29 });
  assert.equal(runs, 29);
});

test('an update that is overtaken repeatedly ends with a conflict', async () => {
  const { config, cache } = open();
  await cache.create('a', { count: 0 }, 'Thing a');
  let runs = 0;
  const update = cache.update('a', (thing) => {
    runs += 1;
    void config.put('thing', 'a', { count: 100 });
    return { count: thing.count + 1 };
  });
  await assert.rejects(update, failure('config_conflict'));
  assert.equal(runs, 5);
});

test('while the store is away, what is held answers, and the rest fails', async () => {
  const { config, cache } = open();
  await config.put('thing', 'a', { count: 1 });
  await cache.get('a');
  config.failing = true;
  assert.deepEqual(await cache.get('a'), { count: 1 });
  await assert.rejects(cache.getAll(['a', 'b', 'c']), failure('storage_unavailable'));
  await assert.rejects(cache.set('a', { count: 2 }), failure('storage_unavailable'));
  config.failing = false;
  assert.deepEqual(await cache.getAll(['a', 'b']), [{ count: 1 }, undefined]);
});
