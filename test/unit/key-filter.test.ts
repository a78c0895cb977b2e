import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addKey, filterFor, KeyFilter } from '../../lib/engine/embedded/key-filter.ts';

const address = (n: number): string => `user${n}@example.net`;

function wrong(filter: KeyFilter, tenant: string, from: number, count: number): number {
  let passed = 0;
  for (let n = from; n < from + count; n += 1) if (filter.has(tenant, address(n))) passed += 1;
  return passed;
}

describe('the key filter', () => {
  test('contains all its keys, and less than 0.4 % of others', () => {
    const bits = filterFor(2 * 10_000);
    for (let n = 0; n < 10_000; n += 1) addKey(bits, 'tenant', address(n));
    const filter = new KeyFilter(bits);
    assert.equal(wrong(filter, 'tenant', 0, 10_000), 10_000);
    assert.ok(wrong(filter, 'tenant', 10_000, 10_000) < 40);
    assert.ok(wrong(filter, 'other', 0, 10_000) < 40);
  });

  test('grows with added keys, and keeps its rate of false positives', () => {
    const filter = new KeyFilter(filterFor(0));
    for (let n = 0; n < 50_000; n += 1) filter.add('tenant', address(n));
    assert.equal(wrong(filter, 'tenant', 0, 50_000), 50_000);
    assert.ok(wrong(filter, 'tenant', 50_000, 10_000) < 150);
  });

  test('distinguishes pairs with the same concatenation', () => {
    const filter = new KeyFilter(filterFor(0));
    filter.add('ab', 'c');
    assert.equal(filter.has('ab', 'c'), true);
    assert.equal(filter.has('a', 'bc'), false);
    assert.equal(filter.has('c', 'ab'), false);
  });
});
