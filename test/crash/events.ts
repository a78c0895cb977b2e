/**
 * The crash test of events (`npm run crash:events`): while mail is sent, the process, the receiver of its events, and
 * on AWS the functions that send them, are killed at random instants.
 *
 *     node test/crash/events.ts [kills] [--seed N]
 *
 * Half of the kills meet standalone and its receiver by turns, half the functions over emulators. Passes when each event
 * of each message that was accepted has arrived, and each that came twice came with the id that it had.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostern, startSinkProcess } from '../../bench/support/postern.ts';
import { openControl } from '../../lib/control/control.ts';
import { openAws } from '../../lib/engine/aws/open.ts';
import { newMessageId } from '../../lib/mail/message-id.ts';
import { MINUTE, systemClock } from '../../lib/time.ts';
import { startTestAws } from '../support/aws.ts';
import { seededRandom } from '../support/clock.ts';
import { attempt, messageRecord, outcome } from '../support/outcomes.ts';
import { startClients } from './clients.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' } },
});
const kills = Number(positionals[0] ?? 50);
const random = seededRandom(Number(values.seed));
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const problems: string[] = [];

/** A receiver of events that is cut off and comes back, and remembers everything. */
class Receiver {
  /** Ids by event: who it went to, its type, its recipient or message. A repeat adds none. */
  readonly ids = new Map<string, Set<string>>();
  received = 0;
  port = 0;
  #server: Server | undefined;

  async open(): Promise<void> {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        if (request.url === '/hook') {
          this.#note('hook', body, String(request.headers['webhook-id']));
          response.end();
          return;
        }
        const form = new URLSearchParams(body);
        const ids: string[] = [];
        for (let n = 1; form.has(`PublishBatchRequestEntries.member.${n}.Id`); n += 1) {
          ids.push(form.get(`PublishBatchRequestEntries.member.${n}.Id`)!);
          // SNS has no id of ours: a repeat is the same text.
          const text = form.get(`PublishBatchRequestEntries.member.${n}.Message`)!;
          this.#note('sns', text, createHash('sha256').update(text).digest('hex'));
        }
        const members = ids.map((id) => `<member><Id>${id}</Id><MessageId>m</MessageId></member>`).join('');
        response.setHeader('content-type', 'text/xml');
        response.end(
          '<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult>' +
            `<Successful>${members}</Successful><Failed/></PublishBatchResult></PublishBatchResponse>`,
        );
      });
    });
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  /** As a kill of its process: what it has read is known, what it has not answered is tried again. */
  kill(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  has(event: string): boolean {
    return this.ids.has(event);
  }

  get repeats(): number {
    return this.received - this.ids.size;
  }

  #note(to: string, json: string, id: string): void {
    const { eventType, mail } = JSON.parse(json);
    for (const about of [mail.destination[0], mail.messageId]) {
      const key = `${to} ${eventType} ${about}`;
      const ids = this.ids.get(key) ?? new Set();
      if (ids.size > 0 && !ids.has(id))
        problems.push(`${key} came with the ids ${[...ids, id].join(' and ')}`);
      ids.add(id);
      this.ids.set(key, ids);
    }
    this.received += 2;
  }
}

/** Waits until all is there, or nothing has come for a minute. @returns what is missing. */
async function awaited(receiver: Receiver, expected: () => string[]): Promise<string[]> {
  for (let quiet = 0, last = -1; quiet < 120; quiet += 1) {
    const missing = expected().filter((event) => !receiver.has(event));
    if (missing.length === 0) return [];
    if (receiver.received !== last) quiet = 0;
    last = receiver.received;
    await pause(500);
  }
  return expected().filter((event) => !receiver.has(event));
}

function judge(what: string, receiver: Receiver, expected: number, missing: readonly string[]): void {
  say(`${what}: ${expected} events, ${missing.length} lost, ${receiver.repeats / 2} came again`);
  for (const event of missing.slice(0, 5)) problems.push(`lost: ${event}`);
}

async function standalone(count: number): Promise<void> {
  const receiver = new Receiver();
  await receiver.open();
  const sink = await startSinkProcess();
  const postern = await startPostern({
    routes: `*=127.0.0.1:${sink.port}`,
    environment: { POSTERN_WEBHOOK_ALLOW: `127.0.0.1:${receiver.port}` },
  });
  const { accessKeyId, secretAccessKey } = postern.credentials;
  const made = await fetch(`http://127.0.0.1:${postern.api.port}/v1/event-destinations`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${accessKeyId}.${secretAccessKey}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({
      name: 'hook',
      allTenants: true,
      types: ['SEND', 'DELIVERY'],
      target: { kind: 'webhook', url: `http://127.0.0.1:${receiver.port}/hook` },
    }),
  });
  if (made.status !== 201) throw new Error(await made.text());
  const load = startClients(postern, 2);
  for (let kill = 1; kill <= count; kill += 1) {
    await pause(100 + random() * 900);
    if (kill % 2 === 0) {
      receiver.kill();
      await pause(random() * 500);
      await receiver.open();
    } else {
      await postern.kill();
      await postern.start();
    }
    say(
      `kill ${kill}: ${kill % 2 === 0 ? 'the receiver' : 'standalone'}; ${receiver.received / 2} events so far`,
    );
  }
  await load.stop();
  const expected = () =>
    [...load.answered.keys()].flatMap((to) => [`hook Send ${to}`, `hook Delivery ${to}`]);
  judge('standalone', receiver, expected().length, await awaited(receiver, expected));
  await postern.dispose();
  sink.close();
  receiver.kill();
}

async function functions(count: number): Promise<void> {
  const receiver = new Receiver();
  await receiver.open();
  const aws = await startTestAws([]);
  const { resources, client } = aws;
  const engine = await openAws({ resources, client, clock: systemClock });
  const control = await openControl({
    config: engine.config,
    masterKey: Buffer.alloc(32, 7),
    clock: systemClock,
    verifyIdentities: false,
  });
  const types = ['DELIVERY'] as const;
  const targets = [
    {
      kind: 'webhook',
      url: `http://127.0.0.1:${receiver.port}/hook`,
      secret: `whsec_${Buffer.alloc(24).toString('base64')}`,
    },
    { kind: 'sns', topicArn: 'arn:aws:sns:us-east-1:123456789012:mail' },
  ] as const;
  for (const target of targets)
    await control.eventDestinations.create({
      name: target.kind,
      tenant: 'default',
      enabled: true,
      types,
      target,
    });

  const sent: string[] = [];
  let running = true;
  const load = (async () => {
    while (running) {
      const now = Date.now();
      const records = Array.from({ length: 10 }, () => {
        const id = newMessageId(now);
        const recipients = [`${id}@example.net`];
        return messageRecord({
          id,
          recipients,
          tenant: 'default',
          acceptedAt: now,
          expiresAt: now + 60 * MINUTE,
        });
      });
      await engine.queue.admit(records.map((record) => ({ record, body: Buffer.alloc(0), deliveries: [] })));
      await engine.records.append(
        records.map(({ id }) =>
          outcome('attempt', { messageId: id, tenant: 'default', at: now, attempt: attempt({ at: now }) }),
        ),
      );
      sent.push(...records.map(({ id }) => id));
      await pause(20);
    }
  })();

  const start = async (): Promise<ChildProcess> => {
    const child = fork(join(import.meta.dirname, 'event-functions.ts'), [
      JSON.stringify({ aws: { resources, client }, receiver: receiver.port }),
    ]);
    await once(child, 'message');
    return child;
  };
  let child = await start();
  for (let kill = 1; kill <= count; kill += 1) {
    // In the middle of work: some events have come, and others are under way.
    const before = receiver.received;
    for (let tries = 0; tries < 500 && receiver.received === before; tries += 1) await pause(20);
    await pause(random() * 300);
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    child = await start();
    say(`kill ${kill}: the functions; ${receiver.received / 2} events so far`);
  }
  running = false;
  await load;
  const expected = () => sent.flatMap((id) => [`hook Delivery ${id}`, `sns Delivery ${id}`]);
  judge('functions', receiver, expected().length, await awaited(receiver, expected));
  child.kill('SIGKILL');
  await control.close();
  await engine.close();
  await aws.stop();
  receiver.kill();
}

await standalone(Math.ceil(kills / 2));
await functions(Math.floor(kills / 2));
for (const problem of problems.slice(0, 20)) say(`PROBLEM ${problem}`);
say(problems.length === 0 ? 'Nothing lost; what came twice had its id.' : `${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;
