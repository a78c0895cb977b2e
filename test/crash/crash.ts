/**
 * The crash test (`npm run crash`): load through all three protocols while the process is killed with SIGKILL at
 * random instants and started again. The sink, which is never killed, counts.
 *
 *     node test/crash/crash.ts [kills] [--seed N]
 *
 * Passes when nothing that was answered is lost; when every delivery that came twice was answered by the sink
 * within `WINDOW` before a kill and came again after it (its final reply, or the sync that records it, was in
 * flight: the one window that SMTP leaves open, RFC 1047); and when the state checker finds nothing wrong in
 * the store after each kill.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostern } from '../../bench/support/postern.ts';
import { checkStore } from '../../lib/engine/embedded/check.ts';
import { seededRandom } from '../support/clock.ts';
import { startClients } from './clients.ts';

/** Maximum time from the sink's final reply to the sync of its settlement, ms. */
const WINDOW = 250;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' }, clients: { type: 'string', default: '8' } },
});
const kills = Number(positionals[0] ?? 25);
const random = seededRandom(Number(values.seed));
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const sink = fork(join(import.meta.dirname, 'sink.ts'));
const [{ port }] = (await once(sink, 'message')) as [{ port: number }];
async function ask<T>(what: string): Promise<T> {
  sink.send(what);
  const [answer] = (await once(sink, 'message')) as [Record<string, T>];
  return answer[what]!;
}

const problems: string[] = [];
const postern = await startPostern({ routes: `*=127.0.0.1:${port}` });
const load = startClients(postern, Number(values.clients));
/** Of each kill, when its signal was sent and when the process was gone. */
const deaths: { from: number; to: number }[] = [];

for (let kill = 1; kill <= kills; kill++) {
  await pause(200 + random() * 2000);
  const from = Date.now();
  await postern.kill();
  deaths.push({ from, to: Date.now() });
  const check = checkStore(join(postern.directory, 'data'));
  for (const problem of check.problems) problems.push(`after kill ${kill}: ${problem}`);
  say(
    `kill ${String(kill).padStart(2)}: ${load.answered.size} answered, ${await ask<number>('count')} at the sink, ` +
      `store ${check.problems.length === 0 ? 'in order' : `has ${check.problems.length} problems`}`,
  );
  await postern.start();
}
await pause(1000);
await load.stop();

/** Waits until everything promised has arrived, or nothing has come for 20 s. */
let answered: [string, number][] = [];
for (let quiet = 0, last = -1; quiet < 100; quiet++) {
  answered = await ask<[string, number][]>('answered');
  const arrived = new Set(answered.map(([recipient]) => recipient));
  if ([...load.answered.keys()].every((recipient) => arrived.has(recipient))) break;
  if (answered.length !== last) quiet = 0;
  last = answered.length;
  await pause(200);
}
// A late duplicate would come within the visibility time of nothing: leases die with the process.
await pause(1000);
answered = await ask<[string, number][]>('answered');

const deliveries = new Map<string, number[]>();
for (const [recipient, at] of answered) deliveries.set(recipient, [...(deliveries.get(recipient) ?? []), at]);
const lost = [...load.answered.keys()].filter((recipient) => !deliveries.has(recipient));
const twice = [...deliveries].filter(([, times]) => times.length > 1);
/** Of each second delivery, how long before the signal the sink had answered the first, ms. */
const gaps: number[] = [];
for (const [recipient, times] of twice) {
  for (let i = 1; i < times.length; i++) {
    const death = deaths.find(({ to }) => to >= times[i - 1]!);
    const gap = death === undefined || death.from > times[i]! ? WINDOW + 1 : death.from - times[i - 1]!;
    if (gap > WINDOW) problems.push(`${recipient} was delivered again without a kill in its window`);
    gaps.push(gap);
  }
}
if (lost.length > 0)
  problems.push(`${lost.length} lost, the first: ${lost[0]} answered at ${load.answered.get(lost[0]!)}`);
await postern.stop();
const end = checkStore(join(postern.directory, 'data'));
for (const problem of end.problems) problems.push(`at the end: ${problem}`);

say(
  `\n${kills} kills, ${load.begun} messages begun, ${load.answered.size} answered, ${deliveries.size} delivered\n` +
    `lost after an answer: ${lost.length}\n` +
    `delivered twice: ${gaps.length}, ${(gaps.length / kills).toFixed(2)} a kill: ` +
    `${gaps.filter((gap) => gap <= 0).length} answered by the sink after the signal, ` +
    `${gaps.filter((gap) => gap > 0 && gap <= 5).length} at most 5 ms before it, ` +
    `${gaps.filter((gap) => gap > 5).length} at most ${Math.max(0, ...gaps)} ms\n` +
    `state checker: ${problems.length === 0 ? 'in order after every kill' : 'see below'}`,
);
for (const problem of problems.slice(0, 20)) say(`PROBLEM ${problem}`);
await postern.dispose();
sink.disconnect();
process.exitCode = problems.length === 0 ? 0 : 1;
