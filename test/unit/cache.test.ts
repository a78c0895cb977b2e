import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cache, TtlCache } from '../../lib/cache.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

test('a cache never exceeds its capacity, and always holds the most recently used half', () => {
  const cache = new Cache<number, string>(100);
  for (const i of range(0, 1_000)) {
    cache.set(i, `value ${i}`);
    assert.ok(cache.size <= 100);
    for (const kept of range(Math.max(0, i - 49), i + 1)) assert.equal(cache.get(kept), `value ${kept}`);
  }
  assert.equal(cache.get(0), undefined);
});

test('an entry in use stays while others come and go', () => {
  const cache = new Cache<string, number>(10);
  cache.set('own', 1);
  for (const i of range(0, 1_000)) {
    cache.set(`stranger ${i}`, i);
    assert.equal(cache.get('own'), 1);
  }
});

test('entries have the weight of the given function; one over half of the capacity is not kept', () => {
  const cache = new Cache<string, string>(20, (value) => value.length);
  cache.set('a', 'xxxxx');
  cache.set('b', 'xxxxx');
  assert.deepEqual([cache.get('a'), cache.get('b')], ['xxxxx', 'xxxxx']);
  cache.set('c', 'x'.repeat(11));
  assert.equal(cache.get('c'), undefined);
  cache.set('a', 'y');
  cache.set('d', 'xxxx');
  assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('d'), cache.size], ['y', 'xxxxx', 'xxxx', 3]);
  for (const i of range(0, 20)) cache.set(`e${i}`, 'xxxxxxxxxx');
  assert.equal(cache.size, 2);
});

test('a deleted entry is gone from both generations, and its weight with it', () => {
  const cache = new Cache<number, number>(4);
  for (const i of range(0, 3)) cache.set(i, i);
  cache.delete(0);
  cache.delete(2);
  cache.delete(9);
  assert.deepEqual([cache.get(0), cache.get(1), cache.get(2), cache.size], [undefined, 1, undefined, 1]);
  cache.set(3, 3);
  assert.deepEqual([cache.get(1), cache.get(3)], [1, 3]);
  cache.clear();
  assert.deepEqual([cache.get(1), cache.size], [undefined, 0]);
});

test('an entry expires at its time', () => {
  const cache = new TtlCache<string>(10);
  cache.set('a', 'x', 1_000);
  assert.equal(cache.get('a', 999), 'x');
  assert.equal(cache.get('a', 1_000), undefined);
  assert.equal(cache.size, 0);
  cache.set('b', 'x', 1_000, 6);
  assert.equal(cache.get('b', 0), undefined, 'heavier than half');
});
