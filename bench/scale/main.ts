/**
 * The AWS engine's own classes in virtual time, under the limits that DynamoDB, SQS and Lambda document, with the load of
 * 100 million messages a day.
 *
 *     node bench/scale/main.ts [scenario …] [--seed 1] [--out data/scale]
 *
 * Prints a table of verdicts for each scenario and writes its plots as SVG. Exits with 1 when a figure is broken.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { table } from '../support/machine.ts';
import { accepting, storm } from './accepting.ts';
import { coldStarts } from './cold-starts.ts';
import { ledger } from './ledger.ts';
import { zone } from './zone.ts';

const SCENARIOS = [accepting, storm, ledger, zone, coldStarts];

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' }, out: { type: 'string', default: 'data/scale' } },
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
  const begun = performance.now();
  const { rows, plots, failed } = await run(Number(values.seed));
  console.log(`\n${title}\n\n${table(rows.map((row) => ({ ...row })))}\n`);
  for (const [plot, svg] of Object.entries(plots)) {
    const file = join(values.out, `${plot}.svg`);
    writeFileSync(file, svg);
    console.log(`  ${file}`);
  }
  console.log(`  ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  if (failed) process.exitCode = 1;
}
process.exit();
