/**
 * How long transactional mail takes from its acceptance to its delivery, alone and beside a backlog of bulk mail
 * for the same site that never ends: the real process, a sink that is 40 ms away, a limit of the site that binds.
 *
 *     node bench/latency.ts [seconds]
 *
 * Two limits are tried: the message rate, and the connections. For each, ten transactional messages a second go
 * alone for the given seconds, and then as long beside the backlog. A message is accepted when its 200 arrives, and
 * delivered when the sink has all of it. Exits with 1 when the 99th percentile under load is more than three
 * times that of no load, or when the backlog did not last.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { farAway } from './support/distance.ts';
import { quantile, table } from './support/machine.ts';
import { type BenchPostern, startPostern } from './support/postern.ts';
import { startSink } from './support/sink.ts';

const RTT = 40;
/** Transactional messages a second. */
const TRICKLE = 10;
const RECIPIENTS = 500;
const MOST = 3;
const DOMAIN = 'recipient.example';

interface Case {
  binding: string;
  limits: { connections: number; messageRate: string };
  /** Messages a second that the limit never lets through: a backlog for it lasts. */
  over: number;
}
const CASES: Case[] = [
  { binding: 'messageRate 100/s', limits: { connections: 20, messageRate: '100/s' }, over: 110 },
  {
    binding: 'connections 4',
    limits: { connections: 4, messageRate: 'unlimited' },
    over: 250,
  },
];

if (process.send) await sink();
else await main();

/** The child: reports the arrival time of each transactional message, by the steady clock, ms, and the number of bulk ones. */
async function sink(): Promise<void> {
  const arrivals: [string, number][] = [];
  let bulk = 0;
  const server = await startSink({
    onMessage(recipient) {
      if (recipient.startsWith('t-')) arrivals.push([recipient, steady()]);
      else bulk += 1;
    },
  });
  const { port } = await farAway(server.address.port, RTT);
  process.send!({ port });
  process.on('message', () => process.send!({ arrivals: arrivals.splice(0), bulk }));
  process.on('disconnect', () => process.exit());
}

/** One clock for both processes. */
function steady(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

async function main(): Promise<void> {
  const seconds = Number(parseArgs({ allowPositionals: true }).positionals[0] ?? 40);
  const rows: Record<string, string | number>[] = [];
  for (const one of CASES) rows.push(...(await measure(one, seconds)));
  process.stdout.write(`${table(rows)}\n`);
}

async function measure(one: Case, seconds: number): Promise<Record<string, string | number>[]> {
  const child = fork(import.meta.filename, [], { serialization: 'advanced' });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const sinkReport = async (): Promise<Taken> => {
    child.send('tell');
    const [message] = (await once(child, 'message')) as [Taken];
    return message;
  };
  const postern = await startPostern({
    routes: `*=127.0.0.1:${port}`,
    fill: (data) =>
      writeFile(
        join(dirname(data), 'postern.config.ts'),
        `export default { limits: { route: ${JSON.stringify(one.limits)} } };\n`,
      ),
  });
  try {
    return await compare(postern, sinkReport, one, seconds);
  } finally {
    await postern.dispose();
    child.disconnect();
  }
}

/** Messages that the sink accepted since the last call. */
interface Taken {
  arrivals: [string, number][];
  /** In all. */
  bulk: number;
}

async function compare(
  postern: BenchPostern,
  sinkReport: () => Promise<Taken>,
  { binding, over }: Case,
  seconds: number,
): Promise<Record<string, string | number>[]> {
  /** Latencies of a trickle, sorted, ms. */
  const trickle = async (name: string, count: number): Promise<Float64Array> => {
    const acceptedAt = new Map<string, number>();
    const began = performance.now();
    const calls: Promise<unknown>[] = [];
    for (let n = 0; n < count; n += 1) {
      // Not in step with the pace of the limit.
      const at = began + ((n + Math.random()) * 1000) / TRICKLE;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, at - performance.now())));
      const address = `t-${name}-${n}@${DOMAIN}`;
      calls.push(send(postern, 'transactional', [address]).then(() => acceptedAt.set(address, steady())));
    }
    await Promise.all(calls);
    const arrived = new Map<string, number>();
    while (arrived.size < count) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      for (const [address, at] of (await sinkReport()).arrivals) arrived.set(address, at);
    }
    return Float64Array.from(arrived, ([address, at]) => at - acceptedAt.get(address)!).sort();
  };

  await trickle('warm', 3 * TRICKLE);
  const alone = await trickle('alone', seconds * TRICKLE);
  const backlog = Math.ceil((over * (seconds + 5)) / RECIPIENTS) * RECIPIENTS;
  for (let n = 0; n < backlog; n += RECIPIENTS) {
    await send(
      postern,
      'bulk',
      Array.from({ length: RECIPIENTS }, (_, i) => `b-${n + i}@${DOMAIN}`),
    );
  }
  const before = await sinkReport();
  const since = performance.now();
  const beside = await trickle('beside', seconds * TRICKLE);
  const after = await sinkReport();
  const bulk = (after.bulk - before.bulk) / ((performance.now() - since) / 1000);
  const ratio = quantile(beside, 0.99) / quantile(alone, 0.99);
  const left = backlog - after.bulk;
  if (ratio > MOST || left <= 0) process.exitCode = 1;
  const row = (load: string, sorted: Float64Array, more: Record<string, string> = {}) => ({
    binding,
    load,
    messages: sorted.length,
    'p50 ms': quantile(sorted, 0.5).toFixed(1),
    'p99 ms': quantile(sorted, 0.99).toFixed(1),
    'max ms': sorted.at(-1)!.toFixed(1),
    ...more,
  });
  return [
    row('none', alone, { ratio: '', 'bulk/s': '', 'bulk left': '' }),
    row('backlog', beside, {
      ratio: ratio.toFixed(2),
      'bulk/s': bulk.toFixed(0),
      'bulk left': String(left),
    }),
  ];
}

async function send(
  postern: BenchPostern,
  messageClass: 'transactional' | 'bulk',
  addresses: string[],
): Promise<void> {
  const { accessKeyId, secretAccessKey } = postern.credentials;
  const answer = await fetch(`http://${postern.api.host}:${postern.api.port}/v1/messages`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${accessKeyId}.${secretAccessKey}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({
      from: 'Bench <news@bench.example>',
      recipients: addresses.map((address) => ({ address })),
      subject: 'Your code',
      text: 'Your code is 123456.\r\n'.repeat(40),
      class: messageClass,
    }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status} ${text}`);
}
