/**
 * The shaping code on a simulated clock against modelled providers.
 *
 *     node bench/simulate/main.ts [scenario …] [--seed 1] [--out data/simulation]
 *
 * Prints a table for each scenario and writes its plots as SVG. Exits with 1 when a figure is not reached.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { table } from '../support/machine.ts';
import { fairness } from './fairness.ts';
import { movingLimit } from './moving-limit.ts';
import { outage } from './outage.ts';
import { warmup } from './warmup.ts';

const SCENARIOS = [warmup, movingLimit, outage, fairness];

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' }, out: { type: 'string', default: 'data/simulation' } },
});
const unknown = positionals.find((name) => !SCENARIOS.some((scenario) => scenario.name === name));
if (unknown !== undefined) {
  console.error(
    `There is no scenario "${unknown}". There are: ${SCENARIOS.map(({ name }) => name).join(', ')}.`,
  );
  process.exit(2);
}

mkdirSync(values.out, { recursive: true });
for (const { name, title, run } of SCENARIOS) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const { rows, plots, failed } = await run(Number(values.seed));
  console.log(`\n${title}\n\n${table(rows.map((row) => ({ ...row })))}\n`);
  for (const [plot, svg] of Object.entries(plots)) {
    const file = join(values.out, `${plot}.svg`);
    writeFileSync(file, svg);
    console.log(`  ${file}`);
  }
  if (failed) process.exitCode = 1;
}
