/**
 * The power-cut test (`npm run powercut [points] [--seed N]`): the system calls of a loaded run are recorded, and at
 * random points of it the disk is rebuilt as a power cut would leave it (`disk.ts`). Passes when at each point the state
 * checker finds nothing wrong, the store opens, and every message whose answer had been written by then is in it.
 *
 * Needs `strace` (Debian: apt-get install strace), and ends with one line where it is not.
 */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostern } from '../../bench/support/postern.ts';
import { startSink } from '../../bench/support/sink.ts';
import { checkStore } from '../../lib/engine/embedded/check.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import { JOURNAL } from '../../lib/engine/embedded/store/schema.ts';
import { seededRandom, TestClock } from '../support/clock.ts';
import { TracedDisk } from './disk.ts';
import { CALLS, readTrace } from './trace.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' }, messages: { type: 'string', default: '600' } },
});
const points = Number(positionals[0] ?? 200);
const messages = Number(values.messages);
const random = seededRandom(Number(values.seed));
const say = (text: string): void => void process.stdout.write(`${text}\n`);

if (spawnSync('strace', ['-o', '/dev/null', 'true']).status !== 0) {
  say(
    'SKIPPED: strace is not here, or may not trace. Install it (apt-get install strace), and run this again.',
  );
  process.exit(0);
}
/** Calls that one client makes after another. */
const CLIENTS = 12;
/** What of the data directory is written with a promise. */
const STORE = /^(?:postern\.db(?:-wal)?|journal\/.*)$/;

// — a loaded run —

const directory = await mkdtemp(join(tmpdir(), 'postern-powercut-'));
const trace = join(directory, 'trace');
const sink = await startSink();
const postern = await startPostern({
  routes: `*=127.0.0.1:${sink.address.port}`,
  // As a grandchild, so that the process itself is our child.
  wrapper: [
    'strace',
    '-D',
    '-f',
    '-y',
    '-xx',
    '-s',
    '4000000',
    '--seccomp-bpf',
    '-e',
    `trace=${CALLS.join(',')}`,
    '-o',
    trace,
  ],
});
const data = join(postern.directory, 'data');
let sent = 0;
await Promise.all(
  Array.from({ length: CLIENTS }, async () => {
    while (sent < messages) {
      sent += 1;
      await postern.call('/v2/email/outbound-emails', {
        FromEmailAddress: 'news@bench.example',
        Destination: { ToAddresses: [`r${sent}@recipient.example`] },
        Content: {
          Simple: {
            Subject: { Data: 'Power' },
            Body: { Text: { Data: 'It goes on.\r\n'.repeat(20 + Math.floor(random() * 400)) } },
          },
        },
      });
    }
  }),
);
await postern.kill();
await sink.close();

// — the points: calls after the first answer —

const isAnswer = /"MessageId":"([^"]+)"/;
let first = 0;
let last = 0;
for await (const call of readTrace(trace)) {
  last += 1;
  if (first === 0 && call.kind === 'write' && isAnswer.test(call.bytes.toString('latin1'))) first = last;
}
const cuts = new Set<number>();
while (cuts.size < Math.min(points, last - first))
  cuts.add(first + 1 + Math.floor(random() * (last - first)));
say(
  `${messages} messages, ${last} calls, ${((await stat(trace)).size / 1e6).toFixed(0)} MB of trace; ${cuts.size} power cuts`,
);

// — each of them —

const problems: string[] = [];
const answered: string[] = [];
const disk = new TracedDisk();
let at = 0;
let unsynced = 0;
let noted = 0;
let examined = 0;
for await (const call of readTrace(trace)) {
  at += 1;
  if (call.path.startsWith(`${data}/`)) {
    const path = call.path.slice(data.length + 1);
    if (!STORE.test(path)) continue;
    if (call.kind === 'write') disk.write(path, call.at, call.bytes);
    else if (call.kind === 'truncate') disk.truncate(path, call.size);
    else if (call.kind === 'sync') disk.sync(path);
    else disk.remove(path);
  } else if (call.kind === 'write') {
    const [, id] = isAnswer.exec(call.bytes.toString('latin1')) ?? [];
    if (id !== undefined) answered.push(id);
  }
  if (!cuts.has(at)) continue;
  unsynced += disk.unsynced;
  await examine(at);
}

/** Checks what is left of the disk after a cut behind a call. */
async function examine(point: number): Promise<void> {
  const left = await mkdtemp(join(directory, 'left-'));
  const fault = (text: string): void => void problems.push(`after call ${point}: ${text}`);
  try {
    await disk.cut(left, random);
    const clock = new TestClock();
    const engine = await openEmbedded({ directory: left, clock, minimumFree: 0 });
    await Promise.all(
      answered.map(async (id) => {
        const state = await engine.records.state(id, 0);
        if (state === undefined) fault(`${id} was answered and is not stored`);
      }),
    );
    await engine.close();
    const { problems: found } = checkStore(left);
    for (const one of found) fault(one);
    examined += 1;
  } catch (error) {
    fault(String(error));
  } finally {
    await rm(left, { recursive: true, force: true });
  }
}

// — the whole run, as the process left it: the journal was part of it —

for await (const call of readTrace(trace))
  if (call.kind === 'write' && call.path.startsWith(join(data, JOURNAL))) noted += 1;

say(
  `${examined} of ${cuts.size} states sound, each with ${(unsynced / cuts.size).toFixed(1)} unsynced calls on average; ` +
    `${answered.length} answers; ${noted} writes of the settlement journal`,
);
for (const problem of problems.slice(0, 20)) say(`PROBLEM ${problem}`);
say(problems.length === 0 ? 'PASSED' : `FAILED: ${problems.length} problems`);
await postern.dispose();
await rm(directory, { recursive: true });
process.exit(problems.length === 0 ? 0 : 1);
