/**
 * How far one delivery travels through egress, from its lane to its settlement, on a connection that is open: the
 * files, functions and calls of lib/egress that it takes, by V8's precise coverage. The queue and the peer are in
 * memory, the clock stands still.
 *
 *     node bench/path.ts [--list]
 */
import { Session } from 'node:inspector/promises';
import { addressesOfAll, TestEgress } from '../test/support/egress.ts';
import { settled } from '../test/support/engine.ts';
import { table } from './support/machine.ts';

const WARM = 20;

const node = new TestEgress(addressesOfAll(['8.8.8.8']));
node.start();
await settled();
const send = async (): Promise<void> => {
  node.enqueue();
  await settled();
  node.sessions.at(-1)!.finish();
  await settled();
};
node.enqueue();
await settled();
node.sessions[0]!.opened();
node.sessions[0]!.finish();
await settled();
for (let i = 0; i < WARM; i += 1) await send();

const inspector = new Session();
inspector.connect();
await inspector.post('Profiler.enable');
await inspector.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
await send();
const { result } = await inspector.post('Profiler.takePreciseCoverage');
inspector.disconnect();

const rows = result
  .filter(({ url }) => /\/(lib|egress-node)\/egress\//.test(url))
  .map(({ url, functions }) => {
    const called = functions.filter(
      ({ functionName, ranges }) => functionName !== '' || ranges[0]!.count > 0,
    );
    const counts = called.map(({ functionName, ranges }) => ({ functionName, count: ranges[0]!.count }));
    return { file: url.replace(/.*\//, ''), counts: counts.filter(({ count }) => count > 0) };
  })
  .filter(({ counts }) => counts.length > 0);
const functions = rows.reduce((sum, { counts }) => sum + counts.length, 0);
const calls = rows.reduce((sum, { counts }) => sum + counts.reduce((all, { count }) => all + count, 0), 0);
if (process.argv.includes('--list')) {
  for (const { file, counts } of rows) {
    const list = counts.map(({ functionName, count }) => `${functionName || '(anonymous)'} ${count}`);
    process.stdout.write(`${file}: ${list.join(', ')}\n`);
  }
}
process.stdout.write(`${table([{ files: rows.length, functions, calls }])}\n`);
await node.stop();
