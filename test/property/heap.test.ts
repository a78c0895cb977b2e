import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Heap } from '../../lib/heap.ts';

test('a heap pops its least item, in any order of pushes and pops', () => {
  const step = fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const heap = new Heap<number>((a, b) => a < b);
      const sorted: number[] = [];
      for (const value of steps) {
        if (value === undefined) assert.equal(heap.pop(), sorted.shift());
        else {
          heap.push(value);
          sorted.push(value);
          sorted.sort((a, b) => a - b);
        }
        assert.equal(heap.first, sorted[0]);
      }
    }),
    { seed: 5 },
  );
});
