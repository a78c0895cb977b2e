/**
 * Events: how fast outcomes become events, how fast these reach a webhook and SNS, and what they cost mail.
 *
 *     node bench/events.ts [outcomes] [messages]
 *
 * Processing is CPU time of this process alone, with destinations that take at once; end to end is wall time, over the
 * embedded engine on disk, to receivers in another process; mail is measured with no destination and with a file that
 * takes every event, in turn, in one run on one machine.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventDestination, EventTarget } from '../lib/control/event-destination.ts';
import type { EventDestinations } from '../lib/control/event-destinations.ts';
import type { Resolver } from '../lib/dns/resolver.ts';
import { openEmbedded } from '../lib/engine/embedded/open.ts';
import { openMemory } from '../lib/engine/memory/open.ts';
import type { Engine } from '../lib/engine/ports.ts';
import { startFollower } from '../lib/events/follower.ts';
import { openEvents } from '../lib/events/open.ts';
import { silentLog } from '../lib/log.ts';
import { newMessageId } from '../lib/mail/message-id.ts';
import { MINUTE, systemClock } from '../lib/time.ts';
import { attempt, messageRecord, outcome } from '../test/support/outcomes.ts';
import { table } from './support/machine.ts';
import { smtpMessage } from './support/messages.ts';
import { startPostern, startSinkProcess } from './support/postern.ts';
import { smtpLoad } from './support/smtp-load.ts';

const total = Number(process.argv[2] ?? 20_000);
const MAIL = Number(process.argv[3] ?? 6_000);
const ROUNDS = 4;
const CONTEXT = { region: 'us-east-1', accountId: '123456789012', hostname: 'mta.example.com' };
/** As mail has them: some ten fields, 1.5 KB. */
const FIELDS: [string, string][] = Array.from({ length: 12 }, (_, n) => [
  `X-Field-${n}`,
  'a usual value of a field '.repeat(4),
]);

function destination(id: string, target: EventTarget): EventDestination {
  return { id, name: id, enabled: true, types: ['DELIVERY'], target, createdAt: 0 };
}

/** Messages that were delivered: an outcome each. */
async function fill(engine: Engine, count: number): Promise<void> {
  const now = systemClock.now();
  for (let done = 0; done < count; done += 500) {
    await engine.queue.admit(
      Array.from({ length: Math.min(500, count - done) }, () => {
        const id = newMessageId(now);
        const headers = { fields: FIELDS, truncated: false };
        const record = messageRecord({ id, acceptedAt: now, expiresAt: now + MINUTE, headers });
        const over = outcome('attempt', { messageId: id, at: now, attempt: attempt({ at: now }) });
        return { record, body: Buffer.alloc(0), deliveries: [], settled: [over] };
      }),
    );
  }
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((done) => setTimeout(done, 5));
}

/** @returns events a second of CPU time: two destinations, that take at once. */
async function processing(): Promise<number> {
  const engine = openMemory({ clock: systemClock });
  await fill(engine, total);
  let taken = 0;
  const before = process.cpuUsage();
  const follower = await startFollower({
    ...engine,
    destinations: () => [
      destination('a', { kind: 'file', path: '-' }),
      destination('b', { kind: 'file', path: '-' }),
    ],
    senders: {
      file: {
        batch: 500,
        send: async (_, events) => {
          taken += events.length;
          return events.map(() => ({ kind: 'taken' }));
        },
      },
    },
    context: CONTEXT,
    clock: systemClock,
    log: silentLog,
  });
  await until(() => taken >= 2 * total);
  const { user, system } = process.cpuUsage(before);
  await follower.stop();
  await engine.close();
  return (total / (user + system)) * 1e6;
}

async function startReceiver(): Promise<{
  child: ChildProcess;
  port: number;
  counts(): Promise<{ hook: number; sns: number }>;
}> {
  const child = fork(join(import.meta.dirname, 'support', 'event-receiver.ts'));
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return {
    child,
    port,
    async counts() {
      child.send('counts');
      const [counts] = (await once(child, 'message')) as [{ hook: number; sns: number }];
      return counts;
    },
  };
}

/** @returns events a second until a webhook and SNS both have them all, by wall time, and by CPU time of this process. */
async function endToEnd(): Promise<[wall: number, cpu: number]> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-bench-events-'));
  const receiver = await startReceiver();
  const engine = await openEmbedded({ directory, clock: systemClock });
  await fill(engine, total);
  const all = [
    destination('hook', {
      kind: 'webhook',
      url: `http://127.0.0.1:${receiver.port}/hook`,
      secret: `whsec_${Buffer.alloc(24, 1).toString('base64')}`,
    }),
    destination('topic', { kind: 'sns', topicArn: 'arn:aws:sns:us-east-1:123456789012:mail' }),
  ];
  const destinations = {
    follow: async () => ({ all: () => all, close() {} }),
  } as unknown as EventDestinations;
  const begin = performance.now();
  const before = process.cpuUsage();
  const events = await openEvents({
    engine,
    destinations,
    resolver: {} as Resolver,
    context: CONTEXT,
    clock: systemClock,
    log: silentLog,
    webhookAllow: [`127.0.0.1:${receiver.port}`],
    aws: {
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      endpoints: { sns: `http://127.0.0.1:${receiver.port}` },
    },
  });
  await until(async () => {
    const { hook, sns } = await receiver.counts();
    return hook >= total && sns >= total;
  });
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(before);
  await events.close();
  await engine.close();
  receiver.child.disconnect();
  await rm(directory, { recursive: true });
  return [total / seconds, (total / (user + system)) * 1e6];
}

/** @returns messages a second from the first byte in to the last delivery, without and with events, medians of turns. */
async function besideMail(): Promise<[off: number, on: number]> {
  const sink = await startSinkProcess();
  const rates: [number[], number[]] = [[], []];
  const services = await Promise.all(
    [false, true].map(async (on) => {
      const postern = await startPostern({ routes: `*=127.0.0.1:${sink.port}` });
      if (on) {
        const { accessKeyId, secretAccessKey } = postern.credentials;
        const target = { kind: 'file', path: join(postern.directory, 'events.jsonl') };
        const body = { name: 'all', allTenants: true, types: ['SEND', 'DELIVERY', 'BOUNCE'], target };
        const answer = await fetch(`http://127.0.0.1:${postern.api.port}/v1/event-destinations`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${accessKeyId}.${secretAccessKey}`,
            'content-type': 'application/json',
          },
          body: JSON.stringify(body),
        });
        if (answer.status !== 201) throw new Error(await answer.text());
      }
      return postern;
    }),
  );
  for (let round = 0; round <= ROUNDS; round += 1) {
    // By turns, each first in every second round: what else the machine does meets both.
    for (const which of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const postern = services[which]!;
      const before = await sink.count();
      const reached = sink.reached(before + MAIL);
      const from = (round * 2 + which) * MAIL;
      const result = await smtpLoad({
        ...postern.submission,
        connections: 40,
        total: MAIL,
        message: (n) => smtpMessage(from + n),
      });
      const seconds = ((await reached) - result.beganAt) / 1000;
      // The first round warms both up.
      if (round > 0) rates[which]!.push(MAIL / seconds);
    }
  }
  for (const one of services) await one.dispose();
  sink.close();
  const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
  return [median(rates[0]), median(rates[1])];
}

const rows: Record<string, string | number>[] = [];
const show = (figure: string, value: number, reach: number, digits = 0): void => {
  rows.push({ figure, measured: value.toFixed(digits), reach });
  if (value < reach) process.exitCode = 1;
};
show('outcomes to events for two destinations, a second of one core', await processing(), 10_000);
const [wall, cpu] = await endToEnd();
show('end to end to a webhook and an SNS topic, events/s', wall, 2_000);
rows.push({ figure: '… a second of CPU time of the sender', measured: cpu.toFixed(0), reach: '' });
const [off, on] = await besideMail();
rows.push({ figure: 'mail in and out without events, messages/s', measured: off.toFixed(0), reach: '' });
rows.push({
  figure: 'mail in and out with every event in a file, messages/s',
  measured: on.toFixed(0),
  reach: '',
});
show('… of the rate without', on / off, 0.95, 2);
process.stdout.write(`${table(rows)}\n`);
