import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DocumentMirror } from '../../lib/control/document-mirror.ts';
import { TestClock } from '../support/clock.ts';
import { failure } from '../support/control.ts';
import { settled, TestConfig } from '../support/engine.ts';

interface Thing {
  count: number;
}

function open(config = new TestConfig(), clock = new TestClock()) {
  const cache = new DocumentMirror<Thing>(config, 'thing', clock);
  config.watch(({ key }) => cache.changed(key));
  return { config, clock, cache };
}

test('reads every page of a kind, and no other kind', async () => {
  const { config, cache } = open();
  for (let n = 0; n < 1_001; n += 1) await config.put('thing', String(n).padStart(4, '0'), { count: n });
  await config.put('other', 'x', { count: -1 });
  await cache.load();
  assert.deepEqual(
    cache.all().map((thing) => thing.count),
    Array.from({ length: 1_001 }, (_, n) => n),
  );
});

test('a write is read back at once, and soon by another cache', async () => {
  const { config, cache } = open();
  const other = open(config).cache;
  await cache.create('a', { count: 1 }, 'Thing a');
  assert.equal(cache.get('a')?.count, 1);
  await settled();
  assert.equal(other.get('a')?.count, 1);
  await other.delete('a');
  await settled();
  assert.equal(cache.get('a'), undefined);
  assert.deepEqual(cache.all(), []);
});

test('values shared by readers are frozen', async () => {
  const { cache } = open();
  const given = { count: 1 };
  await cache.create('a', given, 'Thing a');
  given.count = 2;
  assert.throws(() => {
    cache.get('a')!.count = 3;
  }, TypeError);
  assert.equal(cache.get('a')?.count, 1);
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

test('concurrent updates of several processes all count', async () => {
  const { config, cache } = open();
  const other = open(config).cache;
  await cache.create('a', { count: 0 }, 'Thing a');
  await settled();
  const add = (thing: Thing) => ({ count: thing.count + 1 });
  await Promise.all([
    cache.update('a', add),
    other.update('a', add),
    cache.update('a', add),
    other.update('a', add),
  ]);
  assert.deepEqual((await config.get('thing', 'a'))?.value, { count: 4 });
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
  assert.equal(await cache.update('none', (thing) => thing), undefined);
});

test('an old read never undoes a newer write', async () => {
  const { config, cache } = open();
  await cache.create('a', { count: 1 }, 'Thing a');
  await settled();
  // A refresh has read count 2 and is on its way back while count 3 is written here.
  let release: () => void = () => {};
  config.delayGet = () => new Promise((resolve) => (release = resolve));
  await config.put('thing', 'a', { count: 2 });
  config.delayGet = undefined;
  await cache.set('a', { count: 3 });
  release();
  await settled();
  assert.equal(cache.get('a')?.count, 3);
});

test('a change during the first load is not lost to an older page', async () => {
  const config = new TestConfig();
  await config.put('thing', 'a', { count: 1 });
  const { cache } = open(config);
  const list = config.list.bind(config);
  config.list = async (...args) => {
    const page = await list(...args);
    await config.put('thing', 'a', { count: 2 });
    await settled();
    return page;
  };
  await cache.load();
  assert.equal(cache.get('a')?.count, 2);
});

test('a change is read when the store is back', async () => {
  const { config, clock, cache } = open();
  await cache.create('a', { count: 1 }, 'Thing a');
  await settled();
  const get = config.get.bind(config);
  config.get = () => Promise.reject(new Error('away'));
  await config.put('thing', 'a', { count: 2 });
  await settled();
  assert.equal(cache.get('a')?.count, 1, 'what is known stays in force');
  config.get = get;
  clock.advance(1_000);
  await settled();
  assert.equal(cache.get('a')?.count, 2);

  config.get = () => Promise.reject(new Error('away'));
  await config.put('thing', 'a', { count: 3 });
  await settled();
  assert.equal(clock.pending, 1);
  cache.close();
  assert.equal(clock.pending, 0);
});

test('a write that the store refuses changes nothing', async () => {
  const { config, cache } = open();
  await cache.create('a', { count: 1 }, 'Thing a');
  config.failing = true;
  await assert.rejects(cache.set('a', { count: 2 }), failure('storage_unavailable'));
  await assert.rejects(cache.delete('a'), failure('storage_unavailable'));
  assert.equal(cache.get('a')?.count, 1);
});
