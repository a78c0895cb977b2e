import { describe, it } from 'node:test';
import { simulateLimits } from '../support/limit-simulation.ts';

// The same with ten million sends: node bench/limits.ts 10000000
describe('limits', () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`are exceeded in no window of 100,000 sends (seed ${seed})`, () => {
      simulateLimits({ sends: 100_000, seed });
    });
  }
});
