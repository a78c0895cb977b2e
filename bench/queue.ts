/**
 * Delivery alone: a full queue of signed messages, 4 KB unless told otherwise, and the real process started on it.
 *
 *     node bench/queue.ts [messages] [--size 4|50|100|mix] [--tenants 10]
 *
 * Prints how long after the start the first delivery arrived, messages/s from the first to the last,
 * CPU time a message, and resident memory over the run. The messages are signed beforehand; one signature
 * serves all, since egress neither makes nor checks any.
 */
import { parseArgs } from 'node:util';
import { fillQueue } from './support/full-queue.ts';
import { cpuMicros, residentMb, table } from './support/machine.ts';
import { sizesOf } from './support/messages.ts';
import { startPostern, startSinkProcess } from './support/postern.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    profile: { type: 'string' },
    tenants: { type: 'string', default: '10' },
    /** KB of a message, or `mix`. */
    size: { type: 'string', default: '4' },
  },
});
const sizes = sizesOf(values.size);
const total = Number(positionals[0] ?? 100_000);
const tenants = Number(values.tenants);
const sink = await startSinkProcess();
const postern = await startPostern({
  routes: `*=127.0.0.1:${sink.port}`,
  fill: (directory) => fillQueue(directory, total, tenants, sizes),
  nodeArguments: values.profile ? ['--cpu-prof', `--cpu-prof-dir=${values.profile}`] : [],
});
const memory: number[] = [];
const watch = setInterval(() => memory.push(residentMb(postern.pid)), 250);
const first = await sink.reached(1);
const cpu = { postern: cpuMicros(postern.pid), sink: cpuMicros(sink.pid) };
const before = await sink.count();
const startedAt = Date.now();
const end = await sink.reached(total);
clearInterval(watch);
const count = total - before;
const at = (share: number): string => (memory[Math.floor((memory.length - 1) * share)] ?? 0).toFixed(0);
process.stdout.write(
  `${table([
    {
      queued: total,
      'first after ms': first - postern.startedAt,
      'messages/s': (count / ((end - startedAt) / 1000)).toFixed(0),
      'µs CPU Postern': ((cpuMicros(postern.pid) - cpu.postern) / count).toFixed(0),
      'µs sink': ((cpuMicros(sink.pid) - cpu.sink) / count).toFixed(0),
      'MB at 5 %': at(0.05),
      'at 50 %': at(0.5),
      'at 100 %': at(1),
      'MB peak': Math.max(...memory).toFixed(0),
    },
  ])}\n`,
);
await postern.dispose();
sink.close();
