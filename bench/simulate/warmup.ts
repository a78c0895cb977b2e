/**
 * Thirty days of warm-up: 50 new IPs on three nodes that crash and hand over, 8 providers, 300 million
 * messages, ten warm IPs for mail beyond the budgets. Budgets, routing and checkpoints are the real code; only mail and
 * providers are modelled.
 *
 * Time goes in steps of ten minutes while nothing happens, and of one while a provider defers. Within a
 * step the mail of a provider moves in batches, each with a choice of its own.
 */
import { performance } from 'node:perf_hooks';
import { DAY } from '../../lib/time.ts';
import type { Report, Scenario } from './report.ts';
import { PROFILES } from './warming-provider.ts';
import { report } from './warmup-report.ts';
import { DAYS, MINUTE, Run, START } from './warmup-run.ts';

const MESSAGES = 300_000_000;
const QUIET = 10 * MINUTE;
const BUSY = MINUTE;

/** Share of all mail that has arrived by an instant: more by day than by night, the same each day. */
function arrived(at: number): number {
  const days = (at - START) / DAY;
  return (days - (0.7 * Math.sin(2 * Math.PI * (days - 0.1))) / (2 * Math.PI) - 0.7 * OFFSET) / DAYS;
}
const OFFSET = Math.sin(0.2 * Math.PI) / (2 * Math.PI);

function run(seed: number): Report {
  const began = performance.now();
  const simulation = new Run(seed);
  const come = PROFILES.map(() => 0);
  const end = START + DAYS * DAY;
  let steps = 0;
  let fine = 0;
  simulation.dawn(0);
  for (let now = START; now < end; ) {
    // The last step before midnight ends there.
    const midnight = START + (Math.floor((now - START) / DAY) + 1) * DAY;
    const ms = Math.min(simulation.pushed ? BUSY : QUIET, midnight - now);
    const fresh = PROFILES.map(({ share }, p) => {
      const total = Math.round(MESSAGES * share * arrived(now + ms));
      const count = total - come[p]!;
      come[p] = total;
      return count;
    });
    simulation.step(now, ms, fresh);
    steps += 1;
    if (ms === BUSY) fine += 1;
    now += ms;
    if (now === midnight) simulation.dawn((now - START) / DAY);
  }
  const seconds = (performance.now() - began) / 1000;
  return report(simulation, { seconds, steps, fine, messages: come.reduce((a, b) => a + b, 0) });
}

export const warmup: Scenario = {
  name: 'warmup',
  title: '30-day warm-up of 50 IPs × 8 providers, 300 million messages',
  run,
};
