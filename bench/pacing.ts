/**
 * How evenly paced messages leave: the real egress, client and sockets, a sink in a process of its own that notes
 * when each message arrived, and a limit in messages/s. A backlog waits all the time.
 *
 *     node bench/pacing.ts [seconds]
 *
 * Prints for each rate how far the gaps between arrivals are from those of the rate, and the share of the rate
 * that was used. Simultaneous messages would show as a gap of 0. `timers p99` is how late timers of
 * 10 ms were in an idle process just before: what the machine itself adds.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { createResolver } from '../lib/dns/resolver.ts';
import { startEgress } from '../lib/egress/egress.ts';
import type { QueueItem } from '../lib/engine/items.ts';
import type { Engine, LeasedItem, LeaseRequest } from '../lib/engine/ports.ts';
import { DAY, systemClock } from '../lib/time.ts';
import { quantile, table } from './support/machine.ts';
import { startSink } from './support/sink.ts';

if (process.send) await sink();
else await main();

/** The child: reports at the end the arrival time of each message, by the steady clock of the machine, ms. */
async function sink(): Promise<void> {
  const arrivals: number[] = [];
  const server = await startSink({ onMessage: () => arrivals.push(Number(process.hrtime.bigint()) / 1e6) });
  process.send!({ port: server.address.port });
  process.on('message', () => {
    process.send!({ arrivals: arrivals.splice(0) });
  });
  process.on('disconnect', () => process.exit());
}

async function main(): Promise<void> {
  const seconds = Number(parseArgs({ allowPositionals: true }).positionals[0] ?? 15);
  const child = fork(import.meta.filename, [], { serialization: 'advanced' });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const rows: Record<string, string | number>[] = [];
  for (const rate of [10, 100, 500]) {
    const timers = await timerError();
    const egress = startEgress({
      engine: endlessQueue(),
      resolver: createResolver({ servers: [], clock: systemClock }),
      clock: systemClock,
      random: Math.random,
      node: 'bench',
      ehloName: 'bench.example',
      routes: [{ domain: '*', host: '127.0.0.1', port }],
      limits: { route: { messageRate: `${rate}/s` } },
    });
    // Connections open and code warms up before it counts.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    child.send('begin');
    await once(child, 'message');
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    child.send('end');
    const [{ arrivals }] = (await once(child, 'message')) as [{ arrivals: number[] }];
    await egress.stop();
    rows.push({ ...row(rate, arrivals), 'timers p99 ms': timers.toFixed(2) });
  }
  child.disconnect();
  process.stdout.write(`${table(rows)}\n`);
}

/** How late timers of 10 ms are, the 99th of a hundred, ms. */
async function timerError(): Promise<number> {
  const late = new Float64Array(200);
  for (let i = 0; i < late.length; i += 1) {
    const began = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 10));
    late[i] = performance.now() - began - 10;
  }
  return quantile(late.sort(), 0.99);
}

function row(rate: number, arrivals: number[]): Record<string, string | number> {
  const spaces = arrivals.slice(1).map((at, i) => at - arrivals[i]!);
  const errors = Float64Array.from(spaces, (space) => Math.abs(space - 1000 / rate)).sort();
  const used = (spaces.length * 1000) / (arrivals.at(-1)! - arrivals[0]!) / rate;
  return {
    'messages/s': rate,
    arrived: arrivals.length,
    'error p50 ms': quantile(errors, 0.5).toFixed(2),
    'p99 ms': quantile(errors, 0.99).toFixed(2),
    'max ms': errors.at(-1)!.toFixed(2),
    'most in 1 s': mostWithin(arrivals, 1000),
    'used %': (used * 100).toFixed(1),
  };
}

/** Maximum number of arrivals in any window of this length. */
function mostWithin(arrivals: number[], length: number): number {
  let first = 0;
  let most = 0;
  for (const [i, at] of arrivals.entries()) {
    while (at - arrivals[first]! >= length) first += 1;
    most = Math.max(most, i - first + 1);
  }
  return most;
}

/** An engine with one lane that is never empty. */
function endlessQueue(): Engine {
  const bytes = Buffer.from(`Subject: bench\r\n\r\n${'x'.repeat(1000)}\r\n`);
  const lane = 'default:bulk:other';
  let n = 0;
  const leased = (): LeasedItem => {
    n += 1;
    const now = Date.now();
    const item: QueueItem = {
      v: 1,
      messageId: `m${n}`,
      n: 0,
      tenant: `tenant-${n % 10}`,
      lane,
      mailFrom: 'bounce@bench.example',
      recipient: `user${n}@recipient.example`,
      domain: 'recipient.example',
      eightBit: false,
      smtpUtf8: false,
      requireTls: false,
      acceptedAt: now,
      expiresAt: now + DAY,
      attempts: 0,
      due: now,
    };
    return { item, bytes, receives: 1, receipt: n };
  };
  return {
    queue: {
      async lease(request: LeaseRequest) {
        if (request.lane === lane) return Array.from({ length: Math.min(request.max, 50) }, leased);
        await new Promise<void>((resolve) => request.signal?.addEventListener('abort', () => resolve()));
        return [];
      },
      settle: async () => undefined,
      extend: async () => undefined,
      lanes: async () => [],
    },
    records: { state: async () => undefined, append: async () => undefined },
    leases: { checkpoint: async () => undefined, saveCheckpoint: async () => undefined },
  } as unknown as Engine;
}
