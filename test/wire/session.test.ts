import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { PosternError } from '../../lib/errors.ts';
import { DEFAULT_DEADLINES } from '../../lib/smtp/deadlines.ts';
import { openSession } from '../../lib/smtp/session.ts';
import type { SessionEnd, SessionOptions } from '../../lib/smtp/types.ts';
import { TestClock } from '../support/clock.ts';
import { body, deafen, hear, hold, octets, Peer, say } from './peer.ts';
import { BIG, BODY, BYE, envelope, LOCKSTEP, MINUTE, mail, opening, PIPED, play, QUIT } from './run.ts';

const TAKEN = ['250 a', '250 b', '354 c'];
const MAIL = (to: string): string => `MAIL FROM:<from@a.test>\r\nRCPT TO:<${to}>\r\nDATA\r\n`;

/** A session without a peer; `connect` runs as soon as it is there. */
function lone(port: number, more: Partial<SessionOptions> = {}) {
  const ended = Promise.withResolvers<SessionEnd>();
  const clock = new TestClock();
  const session = openSession({
    address: '127.0.0.1',
    port,
    host: 'mx.peer.test',
    ehloName: 'client.test',
    tls: 'off',
    deadlines: DEFAULT_DEADLINES,
    maxTransactions: 10,
    idle: 1000,
    clock,
    next: () => undefined,
    done: () => {},
    ended: ended.resolve,
    ...more,
  });
  return { session, clock, ended: ended.promise };
}

test('a session whose source address was lost writes nothing, not even a body after 354', async () => {
  let ours = true;
  const taken = [mail('b@x')];
  const peer = await Peer.listen([...PIPED, envelope('b@x'), hold, say(...TAKEN), hold]);
  const done = Promise.withResolvers<string>();
  const { session, ended } = lone(peer.port, {
    mayWrite: () => ours,
    next: () => taken.shift(),
    done: (_, { results }) => done.resolve(`${results[0]!.kind} ${results[0]!.code}`),
  });
  await peer.holding;
  // The state to which a paused process wakes.
  ours = false;
  peer.release();
  assert.equal(await done.promise, 'unsent no_source_ip');
  assert.equal((await ended).code, 'no_source_ip');
  assert.equal(session.state, 'closed');
  await peer.close();
  assert.deepEqual(peer.packets.map(String), ['EHLO client.test\r\n', MAIL('b@x')]);
});

test('a process paused while it prepares a command does not write it when it wakes', async () => {
  let ours = true;
  const peer = await Peer.listen([...PIPED, hold]);
  const done = Promise.withResolvers<string>();
  const { ended } = lone(peer.port, {
    mayWrite: () => ours,
    next() {
      ours = false;
      return mail('b@x');
    },
    done: (_, { results }) => done.resolve(`${results[0]!.kind} ${results[0]!.code}`),
  });
  assert.equal(await done.promise, 'unsent no_source_ip');
  assert.equal((await ended).code, 'no_source_ip');
  peer.release();
  await peer.close();
  assert.deepEqual(peer.packets.map(String), ['EHLO client.test\r\n']);
});

test('a session waits for the reply to a body sent before its source address was lost', async () => {
  let ours = true;
  const taken = [mail('b@x'), mail('c@x')];
  const peer = await Peer.listen([
    ...LOCKSTEP,
    hear('MAIL FROM:<from@a.test>'),
    say('250 a'),
    hear('RCPT TO:<b@x>'),
    say('250 b'),
    hear('DATA'),
    say('354 c'),
    body(`${BODY}.\r\n`),
    hold,
    say('250 d'),
    hold,
  ]);
  const done = Promise.withResolvers<string>();
  const { ended } = lone(peer.port, {
    mayWrite: () => ours,
    next: () => taken.shift(),
    done: (_, { results }) => done.resolve(results[0]!.kind),
  });
  await peer.holding;
  ours = false;
  peer.release();
  assert.equal(await done.promise, 'accepted');
  assert.equal((await ended).code, 'no_source_ip');
  await peer.close();
});

test('the next envelope travels in the packet of the last body: one packet per message', async () => {
  const peer = await Peer.listen([
    ...PIPED,
    envelope('b@x'),
    say(...TAKEN),
    body(),
    envelope('c@x'),
    say('250 d', ...TAKEN),
    body(),
    envelope('d@x'),
    say('250 d', ...TAKEN),
    body(),
    say('250 d'),
    ...BYE,
  ]);
  const queue = [mail('b@x'), mail('c@x'), mail('d@x')];
  const { session, ended } = lone(peer.port, {
    next: () => {
      if (queue.length === 1) session.quit();
      return queue.shift();
    },
  });
  assert.equal((await ended).code, 'quit');
  await peer.close();
  assert.equal(peer.problem, undefined);
  assert.deepEqual(
    peer.packets.map((packet) => packet.toString()),
    [
      'EHLO client.test\r\n',
      MAIL('b@x'),
      `${BODY}.\r\n${MAIL('c@x')}`,
      `${BODY}.\r\n${MAIL('d@x')}`,
      `${BODY}.\r\n`,
      'QUIT\r\n',
    ],
  );
});

test('one connection carries 1,000 messages, then closes at its limit', async () => {
  const rounds = Array.from({ length: 999 }, () => [body(), envelope('b@x'), say('250 d', ...TAKEN)]).flat();
  const { results, end } = await play({
    dialog: [...PIPED, envelope('b@x'), say(...TAKEN), ...rounds, body(), say('250 d'), ...BYE],
    items: Array.from({ length: 1200 }, () => mail('b@x')),
  });
  assert.equal(results.length, 1000);
  assert.ok(results.every((result) => result === 'b@x accepted in body: 250'));
  assert.equal(end, QUIT);
});

test('the record holds every reply of the peer', async () => {
  const { raw, transcript } = await play({
    dialog: [
      ...PIPED,
      envelope('b@x'),
      say('250 2.1.0 a', '550-5.1.1 no', '550 5.1.1 such', '503 5.5.1 c'),
      ...BYE,
    ],
    items: [mail('b@x')],
  });
  assert.deepEqual(raw[0]!.replies, [
    { phase: 'mail', code: 250, text: '2.1.0 a' },
    { phase: 'rcpt', code: 550, text: '5.1.1 no such' },
    { phase: 'data', code: 503, text: '5.5.1 c' },
  ]);
  assert.deepEqual(raw[0]!.results[0]!.reply, { code: 550, enhanced: '5.1.1', lines: ['no', 'such'] });
  assert.deepEqual(transcript, [
    '< 220 peer ESMTP',
    '> EHLO client.test',
    '< 250 peer PIPELINING',
    '> MAIL FROM:<from@a.test>',
    '> RCPT TO:<b@x>',
    '> DATA',
    '< 250 2.1.0 a',
    '< 550 5.1.1 no such',
    '< 503 5.5.1 c',
    '> QUIT',
    '< 221 bye',
  ]);
});

test('what a peer has answered can be put on record before anything more is written', async () => {
  const order: string[] = [];
  const { end } = await play({
    dialog: [
      ...LOCKSTEP,
      ...['a@x', 'b@x'].flatMap((to) => [
        hear('MAIL FROM:<from@a.test>'),
        say('250 a'),
        hear(`RCPT TO:<${to}>`),
        say('250 b'),
        hear('DATA'),
        say('354 c'),
        body(`${BODY}.\r\n`),
        say('250 d'),
      ]),
      ...BYE,
    ],
    items: [mail('a@x'), mail('b@x')],
    options: {
      // As the settler does it.
      done: () => process.nextTick(() => order.push('on record')),
      transcript: (direction, line) => {
        if (direction === '>' && !line.startsWith('[')) order.push(line.slice(0, 4));
      },
    },
  });
  assert.equal(end, QUIT);
  const message = 'MAIL RCPT DATA on record';
  assert.equal(order.join(' '), `EHLO ${message} ${message} QUIT`);
});

test('an idle session closes at its deadline, not 1 ms before', async () => {
  const { end } = await play({
    dialog: [...PIPED, hold, ...BYE],
    options: { idle: 5000, next: () => undefined },
    advance: 5000,
    whenHolding: (_session, peer) => peer.release(),
  });
  assert.equal(end, QUIT);
});

test('wake() makes the session take new work', async () => {
  let ready = false;
  const { results } = await play({
    dialog: [...PIPED, hold, envelope('b@x'), say(...TAKEN), body(), say('250 d'), ...BYE],
    options: {
      maxTransactions: 1,
      idle: 5000,
      next: () => (ready ? mail('b@x') : undefined),
    },
    whenHolding: (session, peer) => {
      session.wake();
      assert.equal(session.busy, 0);
      ready = true;
      session.wake();
      assert.equal(session.busy, 1);
      assert.equal(session.state, 'open');
      assert.equal(session.extensions.has('PIPELINING'), true);
      peer.release();
    },
  });
  assert.deepEqual(results, ['b@x accepted in body: 250']);
});

test('quit() finishes the message under way', async () => {
  const { results, end } = await play({
    dialog: [
      ...LOCKSTEP,
      hear('MAIL FROM:<from@a.test>'),
      hold,
      say('250 a'),
      hear('RCPT TO:<b@x>'),
      say('550 b'),
      ...BYE,
    ],
    items: [mail('b@x'), mail('c@x')],
    whenHolding: (session, peer) => {
      session.quit();
      assert.equal(session.state, 'closing');
      peer.release();
    },
  });
  assert.deepEqual(results, ['b@x refused in rcpt: 550']);
  assert.equal(end, QUIT);
});

test('destroy() before the body: not sent; after it: outcome unknown', async () => {
  const destroy = {
    whenHolding: (session: { destroy(text: string): void }) => session.destroy('The IP was given up.'),
  };
  const early = await play({ dialog: [...PIPED, envelope('b@x'), hold], items: [mail('b@x')], ...destroy });
  assert.deepEqual(early.results, ['b@x unsent in mail: shutting_down']);
  assert.equal(early.end, 'shutting_down in mail');
  const late = await play({
    dialog: [...PIPED, envelope('b@x'), say(...TAKEN), body(), hold],
    items: [mail('b@x')],
    ...destroy,
  });
  assert.deepEqual(late.results, ['b@x uncertain in body: uncertain']);
});

test('a session may be destroyed from any of its callbacks', async () => {
  const dialog = [...PIPED, envelope('b@x'), say('250 a', '550 b', '503 c'), hold];
  for (const where of ['next', 'done'] as const) {
    const calls: string[] = [];
    const peer = await Peer.listen(dialog);
    const ended = Promise.withResolvers<void>();
    const { session } = lone(peer.port, {
      next: () => {
        calls.push('next');
        if (where === 'next') session.destroy('Now.');
        return mail('b@x');
      },
      done: (_item, { results }) => {
        calls.push(`done ${results[0]!.kind}`);
        session.destroy('Now.');
      },
      ended: () => {
        calls.push('ended');
        setImmediate(() => ended.resolve());
      },
    });
    await ended.promise;
    await peer.close();
    assert.deepEqual(
      calls,
      where === 'next' ? ['next', 'ended', 'done unsent'] : ['next', 'done refused', 'ended'],
    );
  }
});

test('a body must drain at a minimum rate', async () => {
  const { results, end } = await play({
    dialog: [...PIPED, envelope('b@x'), say(...TAKEN), deafen, hold],
    items: [mail('b@x', { bytes: BIG })],
    advance: Math.ceil(BIG.length / 2 ** 20) * DEFAULT_DEADLINES.dataBlock,
  });
  assert.deepEqual(results, ['b@x unsent in body: peer_timeout']);
  assert.equal(end, 'peer_timeout in body');
});

test('a large body arrives whole, with its dots doubled', async () => {
  const line = '..dots\r\n.\r\n';
  const bytes = Buffer.from(line.repeat(50_000));
  const { results } = await play({
    dialog: [
      ...PIPED,
      envelope('b@x'),
      say(...TAKEN),
      octets(Buffer.from(`${'...dots\r\n..\r\n'.repeat(50_000)}.\r\n`)),
      envelope('c@x'),
      say('250 d', '451 a', '503 b', '503 c'),
      ...BYE,
    ],
    items: [mail('b@x', { bytes }), mail('c@x')],
  });
  assert.deepEqual(results, ['b@x accepted in body: 250', 'c@x refused in mail: 451']);
});

test('a failed connection is reported with its reason', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));

  const refused = await lone(port).ended;
  assert.equal(refused.code, 'connect_failed');
  assert.match(refused.text, /ECONNREFUSED/);

  const foreign = await lone(port, { localAddress: '192.0.2.1' }).ended;
  assert.equal(foreign.code, 'no_source_ip');

  const slow = lone(port);
  slow.clock.advance(DEFAULT_DEADLINES.connect);
  assert.deepEqual([(await slow.ended).code, slow.session.state], ['connect_failed', 'closed']);

  const unwanted = lone(port);
  unwanted.session.quit();
  assert.equal((await unwanted.ended).code, 'quit');
});

test('the session connects from the given source address', async () => {
  const peer = await Peer.listen([...PIPED, ...BYE]);
  const { session, ended } = lone(peer.port, {
    localAddress: '127.0.0.5',
    next: () => session.quit() as undefined,
  });
  await ended;
  assert.equal(session.localAddress, '127.0.0.5');
  await peer.close();
});

test('an EHLO name that could carry a command is refused before anything is opened', () => {
  const open = () => lone(1, { ehloName: 'a.test\r\nMAIL FROM:<x@y>' });
  assert.throws(open, (error) => error instanceof PosternError && error.code === 'bad_request');
});

test('deadlines use no timer per command', async () => {
  let timers = 0;
  class CountingClock extends TestClock {
    override after(delay: number, task: () => void): () => void {
      timers += 1;
      return super.after(delay, task);
    }
  }
  const rounds = Array.from({ length: 99 }, () => [body(), envelope('b@x'), say('250 d', ...TAKEN)]).flat();
  await play({
    dialog: [
      ...opening('PIPELINING'),
      envelope('b@x'),
      say(...TAKEN),
      ...rounds,
      body(),
      say('250 d'),
      ...BYE,
    ],
    items: Array.from({ length: 100 }, () => mail('b@x')),
    options: { clock: new CountingClock(Date.UTC(2026, 0, 1)), idle: MINUTE },
  });
  assert.ok(timers < 10, `${timers} timers`);
});
