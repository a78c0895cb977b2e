/**
 * One egress node on emulators: how fast it empties a lane, and whose CPU bounds it.
 *
 *     node bench/node.ts [messages] [--profile DIRECTORY]
 *
 * The queue is filled first; then the node starts, as its unit starts it, and sends to a sink. Two thirds of the messages,
 * 30,000 at most, go before the measurement: the compiler is not done earlier. Beside the rate it prints the CPU that each
 * process took for a message: what the emulators take, SQS and DynamoDB take elsewhere.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nodeEnvironment } from '../egress-node/service/node-environment.ts';
import { openAws } from '../lib/engine/aws/open.ts';
import { systemClock } from '../lib/time.ts';
import { SECRETS } from '../test/cluster/emulators.ts';
import { awsEnvironment, type Emulators } from '../test/cluster/node-process.ts';
import { mail } from '../test/contract/harness.ts';
import { cpuMicros, table } from './support/machine.ts';
import { smtpMessage } from './support/messages.ts';
import { startSinkProcess } from './support/postern.ts';

const ROOT = join(import.meta.dirname, '..');
const LANE = 'default:bulk:other';
const AT_ONCE = 50;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { profile: { type: 'string' } },
});
const total = Number(positionals[0] ?? 45_000);
const warm = Math.min(30_000, Math.ceil((total / 3) * 2));

const emulatorsProcess = fork(join(ROOT, 'test', 'cluster', 'emulators.ts'));
const [emulators] = (await once(emulatorsProcess, 'message')) as [Emulators];
const { resources, endpoints } = emulators;
const engine = await openAws({
  resources,
  clock: systemClock,
  client: { region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' }, endpoints },
});
const body = smtpMessage(1).data.toString('latin1').slice(0, -3);
for (let n = 0; n < total; n += AT_ONCE) {
  const recipients = Array.from({ length: AT_ONCE }, (_, i) => `user${n + i}@recipient.example`);
  await engine.queue.admit(
    recipients.map((one) => mail(Date.now(), { lane: LANE, recipients: [one], body })),
  );
}
await engine.close();

const sink = await startSinkProcess();
const state = mkdtempSync(join(tmpdir(), 'postern-bench-node-'));
const node = fork(join(ROOT, 'egress-node', 'node.ts'), {
  env: {
    PATH: process.env.PATH,
    MALLOC_ARENA_MAX: '1',
    STATE_DIRECTORY: state,
    ...awsEnvironment(emulators),
    ...nodeEnvironment({ resources, node: 'bench', secrets: SECRETS }),
    POSTERN_SOURCES: '127.0.0.1=bench.example:default',
    POSTERN_ROUTES: `*=127.0.0.1:${sink.port}`,
    POSTERN_INBOUND: '127.0.0.1:0',
    POSTERN_API: '127.0.0.1:0',
  },
  execArgv: [
    '--max-semi-space-size=4',
    ...(values.profile ? ['--cpu-prof', `--cpu-prof-dir=${values.profile}`] : []),
  ],
  stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
});
const sqs = emulatorsProcess.pid!;
const dynamodb = Number(readFileSync(`/proc/${sqs}/task/${sqs}/children`, 'utf8').split(' ')[0]);
const pids = { node: node.pid!, 'SQS emulator': sqs, 'DynamoDB emulator': dynamodb };
const first = await sink.reached(warm);
const already = await sink.count();
const before = Object.values(pids).map(cpuMicros);
const last = await sink.reached(total);
const seconds = (last - first) / 1000;
const measured = total - already;
const rows = Object.entries(pids).map(([name, pid], at) => {
  const used = cpuMicros(pid) - before[at]!;
  return {
    process: name,
    'µs a message': Math.round(used / measured),
    'of a core': `${((used / (seconds * 1e6)) * 100).toFixed(0)} %`,
  };
});
process.stdout.write(
  `${measured} messages in ${seconds.toFixed(1)} s: ${Math.round(measured / seconds)} a second\n`,
);
process.stdout.write(`${table(rows)}\n`);
const exited = once(node, 'exit');
node.kill('SIGTERM');
await exited;
rmSync(state, { recursive: true, force: true });
emulatorsProcess.disconnect();
process.exit();
