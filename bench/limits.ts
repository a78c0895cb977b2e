/**
 * Limits in virtual time, by the real code, checked at each message:
 *
 * - two dozen limits, nine (IP, site) pairs on three nodes, late timers, over the given number of sends;
 * - one shared limit of many nodes that all have more mail than their part, over the leases of the AWS engine: how much
 *   of it is used, and what its division costs.
 *
 *     node bench/limits.ts [sends]
 */
import { parseArgs } from 'node:util';
import { PRICES } from '../lib/engine/aws/placement.ts';
import { DivisionSimulation } from '../test/support/division-simulation.ts';
import { simulateLimits } from '../test/support/limit-simulation.ts';
import { table } from './support/machine.ts';

const sends = Number(parseArgs({ allowPositionals: true }).positionals[0] ?? 1_000_000);
const SLICE = 1_000_000;
const MINUTE = 60_000;
const MONTH_SECONDS = 30 * 86_400;
/** Round trip of storage, ms. */
const TRIP = 6;

/** Sends beside every kind of limit. */
function binding(): Record<string, string | number> {
  const began = performance.now();
  let simulated = 0;
  let use = 0;
  let runs = 0;
  for (let left = sends; left > 0; left -= SLICE, runs += 1) {
    const result = simulateLimits({ sends: Math.min(SLICE, left), seed: runs + 1 });
    simulated += result.seconds;
    use += result.use;
  }
  return {
    sends,
    violations: 0,
    'use of the binding rate %': ((use / runs) * 100).toFixed(2),
    'hours simulated': (simulated / 3600).toFixed(1),
    'seconds taken': ((performance.now() - began) / 1000).toFixed(1),
  };
}

/** Nodes that share one rate, or one number of messages under way. */
async function divided(
  nodes: number,
  limit: { count: number; per: number; text: string } | number,
  minutes: number,
): Promise<Record<string, string | number>> {
  const of = typeof limit === 'number' ? { concurrency: limit } : { rate: limit };
  const all = new DivisionSimulation({ limit: of, trip: TRIP });
  const rate = typeof limit === 'number' ? 0 : (limit.count * 1000) / limit.per;
  for (let i = 0; i < nodes; i += 1)
    all.start(typeof limit === 'number' ? 1_000 : Math.max(5, (2 * rate) / nodes));
  await all.time.run(MINUTE);
  const { writes, writeUnits, readUnits } = all.tables;
  const before = new Map(all.tables.writesOf);
  let used = 0;
  if (rate > 0) used = (await all.rate(minutes * MINUTE)) / rate;
  else {
    for (let at = 0; at < minutes * MINUTE; at += 100) {
      await all.time.run(100);
      used += (all.running / (limit as number)) * (100 / (minutes * MINUTE));
    }
  }
  const seconds = minutes * 60;
  const perSecond = (count: number): number => count / seconds;
  const hottest = Math.max(
    ...Array.from(all.tables.writesOf, ([item, count]) => count - (before.get(item) ?? 0)),
  );
  const dollars =
    (perSecond(all.tables.writeUnits - writeUnits) * PRICES.writeUnit +
      perSecond(all.tables.readUnits - readUnits) * PRICES.readUnit) /
    1e6;
  return {
    nodes,
    'shared limit': typeof limit === 'number' ? `${limit} under way` : limit.text,
    'used %': (used * 100).toFixed(1),
    'writes/s': perSecond(all.tables.writes - writes).toFixed(1),
    'of one item': perSecond(hottest).toFixed(2),
    'write units/s': perSecond(all.tables.writeUnits - writeUnits).toFixed(1),
    'read units/s': perSecond(all.tables.readUnits - readUnits).toFixed(1),
    '$ a month, node': ((dollars * MONTH_SECONDS) / nodes).toFixed(2),
  };
}

process.stdout.write(`${table([binding()])}\n\n`);
const perSecond = (count: number) => ({ count, per: 1_000, text: `${count}/s` });
const rows = [];
rows.push(await divided(1, { count: 3, per: MINUTE, text: '3/min' }, 60));
rows.push(await divided(1, perSecond(100), 10));
rows.push(await divided(3, perSecond(100), 10));
for (const nodes of [3, 30, 100, 300]) rows.push(await divided(nodes, perSecond(1_000), nodes > 100 ? 3 : 5));
rows.push(await divided(30, { count: 60, per: MINUTE, text: '60/min' }, 30));
for (const nodes of [3, 30]) rows.push(await divided(nodes, 100, 5));
process.stdout.write(
  `One limit, every node with more mail than its part, after the first minute:\n${table(rows)}\n`,
);
