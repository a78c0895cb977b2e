/** What a session learns about a peer and the next session applies. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { SMTPServer } from 'smtp-server';
import tlsOptions from 'smtp-server/lib/tls-options.js';
import { createSmtpClient } from '../../lib/smtp/client.ts';
import { DEFAULT_DEADLINES } from '../../lib/smtp/deadlines.ts';
import { HostMemory } from '../../lib/smtp/host-memory.ts';
import type { PeerHabits, SessionOptions } from '../../lib/smtp/types.ts';
import { DAY, systemClock } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';
import { body, hear, hold, octets, type PeerStep, say } from './peer.ts';
import { BIG, BODY, BYE, envelope, mail, opening, PIPED, play } from './run.ts';

const habitsOf = (): PeerHabits => new HostMemory(new TestClock()).of('mx.peer.test', 25);
const taken: PeerStep[] = [say('250 a', '250 b', '354 c'), body()];

test('an envelope that a peer drops behind the final dot is sent again after 10 s; later ones wait for the reply', async () => {
  const habits = habitsOf();
  const first = await play({
    dialog: [...PIPED, envelope('b@x'), ...taken, envelope('c@x'), say('250 d'), hold],
    items: [mail('b@x'), mail('c@x')],
    options: { habits },
    advance: 10_000,
  });
  assert.deepEqual(first.results, ['b@x accepted in body: 250', 'c@x unsent in mail: connection_lost']);
  assert.equal(first.raw[1]!.again, true, 'it may go at once, without an attempt');
  assert.deepEqual(first.raw[1]!.replies, []);

  const second = await play({
    dialog: [
      ...PIPED,
      envelope('c@x'),
      ...taken,
      say('250 d'),
      envelope('e@x'),
      ...taken,
      say('250 f'),
      ...BYE,
    ],
    items: [mail('c@x'), mail('e@x')],
    options: { habits },
  });
  assert.deepEqual(second.results, ['c@x accepted in body: 250', 'e@x accepted in body: 250']);
  const { transcript } = second;
  assert.ok(transcript.indexOf('< 250 d') < transcript.indexOf('> RCPT TO:<e@x>'), transcript.join('\n'));
});

test('a peer that answers the early MAIL has its usual deadlines', async () => {
  const habits = habitsOf();
  const { end } = await play({
    dialog: [...PIPED, envelope('b@x'), ...taken, envelope('c@x'), say('250 d', '250 e'), hold],
    items: [mail('b@x'), mail('c@x')],
    options: { habits },
    advance: 300_000,
  });
  assert.equal(end, 'peer_timeout in rcpt');
  assert.equal(habits.earlyEnvelope, true);
});

const chunked = opening('PIPELINING', 'CHUNKING');
const bdat = (bytes: Buffer): PeerStep[] => [
  hear('MAIL FROM:<from@a.test>', 'RCPT TO:<b@x>', `BDAT ${bytes.length} LAST`),
  octets(bytes),
];

for (const code of [500, 502, 503, 504]) {
  test(`a peer that offers CHUNKING and answers BDAT with ${code} gets DATA, now and from then on`, async () => {
    const habits = habitsOf();
    const first = await play({
      dialog: [...chunked, ...bdat(Buffer.from(BODY)), say('250 a', '250 b', `${code} what?`)],
      items: [mail('b@x')],
      options: { habits },
    });
    assert.deepEqual(first.results, ['b@x unsent in body: connection_lost']);
    assert.equal(first.raw[0]!.again, true);
    const second = await play({
      dialog: [...chunked, envelope('b@x'), ...taken, say('250 d'), ...BYE],
      items: [mail('b@x')],
      options: { habits },
    });
    assert.deepEqual(second.results, ['b@x accepted in body: 250']);
  });
}

test('a large body whose BDAT is refused with 502 is sent again by DATA', async () => {
  const habits = habitsOf();
  const { results, raw } = await play({
    dialog: [
      ...chunked,
      hear('MAIL FROM:<from@a.test>', 'RCPT TO:<b@x>'),
      say('250 a', '250 b'),
      hear(`BDAT ${BIG.length} LAST`),
      say('502 what?'),
      hold,
    ],
    items: [mail('b@x', { bytes: BIG })],
    options: { habits },
  });
  assert.deepEqual(results, ['b@x unsent in body: connection_lost']);
  assert.equal(raw[0]!.again, true);
  assert.equal(habits.chunking, false);
});

test('503 to BDAT after all recipients were refused, and 552 to a body, leave CHUNKING on', async () => {
  const habits = habitsOf();
  await play({
    dialog: [...chunked, ...bdat(Buffer.from(BODY)), say('250 a', '550 b', '503 c'), ...BYE],
    items: [mail('b@x')],
    options: { habits },
  });
  const { results } = await play({
    dialog: [...chunked, ...bdat(Buffer.from(BODY)), say('250 a', '250 b', '552 c'), ...BYE],
    items: [mail('b@x')],
    options: { habits },
  });
  assert.deepEqual(results, ['b@x refused in body: 552']);
  assert.equal(habits.chunking, true);
});

test('host memory expires after a week and is bounded in octets', () => {
  const clock = new TestClock();
  const memory = new HostMemory(clock, 10_000);
  const courier = memory.of('courier.test', 25);
  courier.earlyEnvelope = false;
  assert.equal(memory.of('courier.test', 25), courier);
  assert.notEqual(memory.of('courier.test', 26), courier, 'another port is another server');
  clock.advance(7 * DAY);
  assert.equal(memory.of('courier.test', 25).earlyEnvelope, true);
  const ticket = { session: Buffer.alloc(4_000), verified: true };
  for (const host of ['a', 'b', 'c']) memory.of(host, 25).keepTicket(ticket);
  assert.deepEqual(
    ['a', 'b', 'c'].map((host) => memory.of(host, 25).ticket !== undefined),
    [false, true, true],
  );
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a TLS session is resumed on the next connection (${version})`, async () => {
    const { key, cert } = tlsOptions({});
    const server = new SMTPServer({
      authOptional: true,
      key,
      cert,
      minVersion: version,
      maxVersion: version,
    });
    server.on('error', () => {});
    const listener = server.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const client = createSmtpClient(systemClock);
    const { port } = listener.address() as AddressInfo;
    const seen: string[] = [];
    const resumed: boolean[] = [];
    for (let i = 0; i < 3; i += 1) {
      const ended = Promise.withResolvers<void>();
      const session = client.open({
        address: '127.0.0.1',
        port,
        host: 'localhost',
        ehloName: 'client.test',
        tls: 'required',
        deadlines: DEFAULT_DEADLINES,
        maxTransactions: 1,
        idle: 0,
        clock: systemClock,
        next: () => {
          seen.push(`${session.tls!.protocol} ${session.tls!.verified}`);
          session.quit();
          return undefined;
        },
        done: () => {},
        ended: () => ended.resolve(),
      } satisfies SessionOptions);
      await ended.promise;
      resumed.push(session.resumed === true);
    }
    assert.deepEqual(seen, Array(3).fill(`${version} false`));
    assert.deepEqual(resumed, [false, true, true]);
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
}

test('health fails after failed connections to five hosts, and is good again after one succeeds', async () => {
  const clock = new TestClock();
  const client = createSmtpClient(clock);
  const open = (address: string, port: number) =>
    new Promise<void>((resolve) => {
      const session = client.open({
        address,
        port,
        host: address,
        ehloName: 'client.test',
        tls: 'off',
        deadlines: DEFAULT_DEADLINES,
        maxTransactions: 1,
        idle: 0,
        clock,
        next: () => {
          session.quit();
          return undefined;
        },
        done: () => {},
        ended: () => resolve(),
      });
    });
  for (const n of [1, 2, 3, 4, 4]) await open(`127.0.0.${n}`, 1);
  assert.deepEqual(client.health(), { ok: true }, 'four hosts that are down prove nothing');
  await open('127.0.0.5', 1);
  assert.match(JSON.stringify(client.health()), /"ok":false.*may block the port.*127\.0\.0\.5/);
  const server = new SMTPServer({ authOptional: true, disabledCommands: ['STARTTLS'] });
  const listener = server.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  await open('127.0.0.1', (listener.address() as AddressInfo).port);
  assert.deepEqual(client.health(), { ok: true });
  await new Promise<void>((resolve) => server.close(() => resolve()));
});
