/**
 * Signs 20,000 generated messages and has `mailauth` verify each signature; about 40 s.
 *
 *     node bench/dkim-verify.ts [count] [seed]
 *
 * Exits with 1 when a signature does not pass, and shows the first such messages.
 */
import { parseArgs } from 'node:util';
import { verifyGenerated } from '../test/support/messages.ts';

const { positionals } = parseArgs({ allowPositionals: true });
const count = Number(positionals[0] ?? 20_000);
const seed = Number(positionals[1] ?? 1);
const started = performance.now();
const failures = await verifyGenerated({ seed, count });
const seconds = ((performance.now() - started) / 1000).toFixed(1);
console.log(`${count} messages signed and verified in ${seconds} s: ${failures.length} did not pass.`);
for (const failure of failures.slice(0, 3)) console.log(failure);
process.exitCode = failures.length ? 1 : 0;
