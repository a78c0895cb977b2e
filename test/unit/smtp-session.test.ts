import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLog } from '../../lib/log.ts';
import { MAX_LINE } from '../../lib/smtp-server/input.ts';
import { Turns } from '../../lib/turns.ts';
import { openTestSession } from '../support/smtp-session.ts';

const KB = 1024;
const ENVELOPE = 'MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n';
const ACCEPTED = '250 Accepted\r\n250 Accepted\r\n354 End data with <CR><LF>.<CR><LF>\r\n';
const LOGIN = {
  insecure: true,
  check: async (name: string, password: string) =>
    name === 'ann' && password === 'right' ? { name } : undefined,
  trusts: () => false,
};
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const codes = (text: string): string => text.match(/^\d{3}(?= )/gm)?.join(' ') ?? '';

describe('the replies of a session', () => {
  it('to the commands of one packet leave in one write', async () => {
    const { socket, arrive } = openTestSession();
    await arrive('EHLO x\r\n', ENVELOPE);
    assert.deepEqual(socket.writes.slice(2), [ACCEPTED]);
  });

  it('leave in one write too when the owner answers within the turn', async () => {
    const { socket, arrive } = openTestSession({ onMail: () => Promise.resolve() });
    await arrive('EHLO x\r\n', ENVELOPE);
    assert.deepEqual(socket.writes.slice(2), [ACCEPTED]);
  });

  it('do not wait for an answer that takes longer', async () => {
    let answer = (): void => undefined;
    const onRecipient = (): Promise<void> => new Promise((resolve) => (answer = resolve));
    const { socket, arrive } = openTestSession({ onRecipient });
    await arrive('EHLO x\r\n', ENVELOPE);
    assert.deepEqual(socket.writes.slice(2), ['250 Accepted\r\n']);
    answer();
    await arrive();
    assert.deepEqual(socket.writes.slice(3), [ACCEPTED.slice('250 Accepted\r\n'.length)]);
  });

  it('to chunks of one turn of the event loop leave in one write', async () => {
    const { socket, arrive } = openTestSession();
    await arrive('EHLO x\r\n');
    for (const line of ENVELOPE.split(/(?<=\n)/)) socket.push(line);
    await arrive();
    assert.deepEqual(socket.writes.slice(2), [ACCEPTED]);
  });

  it('do not wait for the end of the turn when a peer sends commands by the megabyte', async () => {
    const { socket, arrive } = openTestSession();
    await arrive('EHLO x\r\n', 'MAIL FROM:<a@x.test>\r\n');
    const octetsOf = (): number => socket.writes.slice(3).join('').length;
    const lines = 1 + Math.floor((16 * KB) / '250 Accepted\r\n'.length);
    for (const more of [lines - 2, 1]) socket.push('RCPT TO:<b@x.test>\r\n'.repeat(more));
    await new Promise((done) => process.nextTick(done));
    assert.equal(octetsOf(), 0);
    socket.push('RCPT TO:<b@x.test>\r\n');
    await new Promise((done) => process.nextTick(done));
    assert.equal(octetsOf(), lines * '250 Accepted\r\n'.length);
    await arrive('QUIT\r\n');
  });

  it('come in order when envelopes travel with bodies, and QUIT behind them', async () => {
    const { arrive, text, messages } = openTestSession();
    await arrive(`EHLO x\r\n${ENVELOPE}one\r\n.\r\n${ENVELOPE}two\r\n.\r\nQUIT\r\nNOOP\r\n`);
    assert.match(
      text(),
      /354 [^\n]*\n250 Ok 1\r\n250 Accepted\r\n250 Accepted\r\n354 [^\n]*\n250 Ok 2\r\n221 Bye\r\n$/,
    );
    assert.deepEqual(
      messages.map(({ bytes }) => bytes.toString()),
      ['one\r\n', 'two\r\n'],
    );
  });

  it('have no line break that the owner of the listener passes on', async () => {
    const onMessage = async (): Promise<string> => 'Ok\r\n250 forged';
    const { arrive, text } = openTestSession({ onMessage });
    await arrive('EHLO x\r\n', ENVELOPE, 'x\r\n.\r\n');
    assert.ok(text().endsWith('\r\n250 Ok  250 forged\r\n'));
  });

  it('are 451 when the owner of the listener fails, and the session goes on', async () => {
    const onRecipient = (): void => {
      throw new TypeError('a fault');
    };
    const { arrive, text } = openTestSession({ onRecipient });
    await arrive('EHLO x\r\n', ENVELOPE, 'NOOP\r\n');
    assert.match(codes(text()), /^220 250 250 [45]\d\d 503 250$/);
    assert.doesNotMatch(text(), /a fault/);
  });
});

describe('the content of a message', () => {
  it('is not copied when one chunk holds it', async () => {
    const { arrive, messages, socket } = openTestSession();
    await arrive('EHLO x\r\n', ENVELOPE);
    // A chunk of a socket has memory of its own.
    const chunk = Buffer.alloc(4003, `${'x'.repeat(78)}\r\n`);
    chunk.write('.\r\n', 4000);
    socket.push(chunk);
    await arrive();
    assert.ok(messages[0]!.bytes.buffer === chunk.buffer);
    assert.equal(messages[0]!.bytes.length, 4000);
  });

  it('arrives from a peer that sends one octet at a time', async () => {
    const { arrive, messages, text } = openTestSession();
    const octets = `EHLO x\r\n${ENVELOPE}..a\r\n\r\n...\r\n.\r\nQUIT\r\n`;
    await arrive(...Array.from(octets));
    assert.equal(messages[0]!.bytes.toString(), '.a\r\n\r\n..\r\n');
    assert.equal(codes(text()), '220 250 250 250 354 250 221');
  });

  it('of dots alone arrives, and takes at most twice its octets', async () => {
    const { arrive, messages, budget } = openTestSession();
    const lines = 64 * KB;
    await arrive('EHLO x\r\n', ENVELOPE);
    for (let n = 0; n < 8; n += 1) {
      await arrive('..\r\n'.repeat(lines / 8));
      assert.ok(budget.trusted.used <= 2 * 3 * (n + 1) * (lines / 8), String(budget.trusted.used));
    }
    await arrive('.\r\n');
    assert.equal(messages[0]!.bytes.toString(), '.\r\n'.repeat(lines));
  });

  it('may be one line of ten megabytes', async () => {
    const { arrive, messages } = openTestSession();
    await arrive('EHLO x\r\n', ENVELOPE);
    for (let n = 0; n < 160; n += 1) await arrive(Buffer.alloc(64 * KB, 'x'));
    await arrive('\r\n.\r\n');
    assert.equal(messages[0]!.bytes.length, 160 * 64 * KB + 2);
  });

  it('is dropped as it arrives past the size limit, which it may reach', async () => {
    const { arrive, messages, budget, text } = openTestSession({ maxBytes: 100 });
    await arrive('EHLO x\r\n', ENVELOPE, `${'x'.repeat(98)}\r\n.\r\n`);
    assert.equal(messages.length, 1);
    await arrive(ENVELOPE, 'x'.repeat(60));
    assert.ok(budget.trusted.used > 0);
    await arrive('x'.repeat(41));
    assert.equal(budget.trusted.used, 0);
    await arrive('\r\n.\r\n', 'NOOP\r\n');
    assert.match(text(), /552 5\.3\.4 Message too large\r\n250 OK\r\n$/);
  });

  it('waits for its turn when others have poured in theirs, and its peer is not read meanwhile', async () => {
    let now = 0;
    const turns = new Turns(() => now);
    const flood = openTestSession({}, turns);
    const other = openTestSession({}, turns);
    for (const { arrive } of [flood, other]) await arrive('EHLO x\r\n', ENVELOPE);
    await new Promise((done) => setImmediate(done));
    flood.socket.push('..\r\n'.repeat(1000));
    now += 3;
    flood.socket.push('..\r\n'.repeat(1000));
    other.socket.push('x'.repeat(100));
    await new Promise((done) => process.nextTick(done));
    assert.deepEqual([flood.budget.trusted.used >= 3000, other.budget.trusted.used], [true, 0]);
    assert.deepEqual([flood.socket.isPaused(), other.socket.isPaused()], [true, true]);
    await other.arrive('\r\n.\r\nNOOP\r\n');
    await flood.arrive('.\r\n');
    assert.deepEqual([other.messages[0]!.bytes.length, flood.messages[0]!.bytes.length], [102, 6000]);
    assert.match(other.text(), /Ok 1\r\n250 OK\r\n$/);
  });

  it('takes no memory when its peer leaves in the middle', async () => {
    const opened = openTestSession();
    await opened.arrive('EHLO x\r\n', ENVELOPE, 'x'.repeat(10_000));
    assert.equal(opened.budget.trusted.used, 10_000);
    opened.socket.destroy();
    await opened.arrive();
    assert.deepEqual([opened.budget.trusted.used, opened.closed, opened.clock.pending], [0, true, 0]);
  });
});

describe('a session ends', () => {
  for (const [what, octets] of [
    ['a command without an end', 'x'.repeat(MAX_LINE + 2)],
    ['a command too long', `${'x'.repeat(MAX_LINE + 1)}\r\n`],
  ] as const) {
    it(`at ${what}, and not before`, async () => {
      const { arrive, text } = openTestSession();
      await arrive(`${'x'.repeat(MAX_LINE)}\r\n`);
      assert.equal(codes(text()), '220 500');
      await arrive(octets);
      assert.match(text(), /500 [^\n]*\n421 4\.7\.0 Command line too long; closing\r\n$/);
      await arrive('NOOP\r\n');
      assert.equal(codes(text()), '220 500 421');
    });
  }

  it('at the request of a web page, whose body is not read', async () => {
    const { arrive, text, messages } = openTestSession();
    await arrive(`POST / HTTP/1.1\r\nEHLO x\r\n${ENVELOPE}x\r\n.\r\n`);
    assert.equal(codes(text()), '220 421');
    assert.deepEqual(messages, []);
  });

  it('at a fault of this side, which is logged and does not end the process', async () => {
    const logged: unknown[] = [];
    const log = { ...silentLog, error: (line: string) => void logged.push(line) };
    const keepBytes = (): number => {
      throw new TypeError('a fault');
    };
    const { arrive, text } = openTestSession({ keepBytes, log });
    await arrive('EHLO x\r\n', `${ENVELOPE}QUIT\r\n`);
    assert.match(text(), /250 Accepted\r\n421 4\.3\.0 A fault of this server; try again later\r\n$/);
    assert.deepEqual(logged, ['inbound failed']);
  });

  it('at its tenth unknown command', async () => {
    const { arrive, text } = openTestSession();
    await arrive('HELLO\r\n'.repeat(12));
    assert.equal(codes(text()), `220 ${'500 '.repeat(9)}421`);
  });

  it('at once when the listener closes, and after its message when one is under way', async () => {
    const idle = openTestSession();
    idle.session.shutDown();
    assert.match(idle.text(), /421 4\.3\.2 Shutting down; closing\r\n$/);
    const busy = openTestSession();
    await busy.arrive('EHLO x\r\n', ENVELOPE);
    busy.session.shutDown();
    await busy.arrive('x\r\n.\r\n');
    assert.equal(codes(busy.text()), '220 250 250 250 354 250 421');
    assert.equal(busy.messages.length, 1);
  });

  it('when content takes too long, a later deadline than its own notwithstanding', async () => {
    const { arrive, text, clock } = openTestSession({ dataDeadline: 1000 });
    await arrive('EHLO x\r\n', ENVELOPE);
    clock.advance(999);
    await arrive('x\r\n.\r\n', ENVELOPE);
    clock.advance(1000);
    assert.equal(codes(text()), '220 250 250 250 354 250 250 250 354 421');
  });

  it('when its peer does not close its side in five seconds, whatever that sends', async () => {
    const { arrive, clock, socket } = openTestSession();
    await arrive('QUIT\r\n', 'NOOP\r\n');
    assert.equal(socket.isPaused(), false, 'the end of the peer would not be seen');
    clock.advance(4999);
    assert.equal(socket.destroyed, false);
    clock.advance(1);
    assert.equal(socket.destroyed, true);
  });
});

describe('a command', () => {
  it('is refused out of order, by its code', async () => {
    const { arrive, text } = openTestSession();
    const steps = [
      'MAIL FROM:<a@b.test>',
      'RCPT TO:<a@b.test>',
      'DATA',
      'EHLO',
      'EHLO x',
      'RCPT TO:<a@b.test>',
      'DATA',
    ];
    await arrive(
      `${[...steps, 'MAIL FROM:<a@b.test>', 'MAIL FROM:<a@b.test>', 'DATA', 'AUTH PLAIN', 'STARTTLS'].join('\r\n')}\r\n`,
    );
    assert.equal(codes(text()), '220 503 503 503 501 250 503 503 250 503 503 500 500');
  });

  it('names each recipient once', async () => {
    const { arrive, messages } = openTestSession();
    const rcpt = ['b@x.test', 'B@X.test', 'c@x.test', 'c@x.test'].map((one) => `RCPT TO:<${one}>\r\n`);
    await arrive(`EHLO x\r\nMAIL FROM:<>\r\n${rcpt.join('')}DATA\r\nx\r\n.\r\n`);
    assert.deepEqual([messages[0]!.from, messages[0]!.to], ['', ['b@x.test', 'c@x.test']]);
  });
});

describe('AUTH', () => {
  const open = (): ReturnType<typeof openTestSession> => openTestSession({ login: LOGIN });

  for (const [mechanism, lines] of [
    ['PLAIN at once', [`AUTH PLAIN ${base64('\0ann\0right')}`]],
    ['PLAIN when asked', ['auth plain', base64('\0ann\0right')]],
    ['PLAIN with the name to act for alone', [`AUTH PLAIN ${base64('ann\0\0right')}`]],
    ['LOGIN', ['AUTH LOGIN', base64('ann'), base64('right')]],
    ['LOGIN with the name', [`AUTH LOGIN ${base64('ann')}`, base64('right')]],
  ] as const) {
    it(`${mechanism} logs in, once`, async () => {
      const { arrive, text } = open();
      await arrive('EHLO x\r\n');
      for (const line of lines) await arrive(`${line}\r\n`);
      await arrive('AUTH PLAIN\r\n');
      assert.equal(codes(text()), `220 250 ${'334 '.repeat(lines.length - 1)}235 503`);
    });
  }

  for (const [why, lines, code] of [
    ['an aborted exchange', ['AUTH LOGIN', base64('ann'), '*'], '501'],
    ['credentials that are none', [`AUTH PLAIN ${base64('ann')}`], '501'],
    ['a name with a line break', [`AUTH LOGIN ${base64('ann\nx')}`], '501'],
    ['an unknown mechanism', ['AUTH CRAM-MD5'], '504'],
    ['an argument too many', ['AUTH PLAIN a b'], '501'],
  ] as const) {
    it(`refuses ${why}, and reads commands again`, async () => {
      const { arrive, text } = open();
      await arrive(`EHLO x\r\n${lines.join('\r\n')}\r\nNOOP\r\n`);
      assert.ok(codes(text()).endsWith(`${code} 250`), text());
    });
  }

  it('before TLS does not count behind it, nor does an envelope (RFC 3207 §4.2)', async () => {
    const { arrive, session, socket, text } = open();
    await arrive('EHLO x\r\n', `AUTH PLAIN ${base64('\0ann\0right')}\r\n`, 'MAIL FROM:<a@b.test>\r\n');
    session.secured();
    socket.writes.length = 0;
    await arrive('RCPT TO:<b@b.test>\r\n', 'EHLO x\r\n', 'RCPT TO:<b@b.test>\r\n');
    assert.match(text(), /^503 [\s\S]*\n250-AUTH PLAIN LOGIN\r\n[\s\S]*\n503 [^\n]*\n$/);
  });

  it('of a peer that has left is neither logged nor answered', async () => {
    const logged: string[] = [];
    let refuse = (): void => undefined;
    const check = (): Promise<undefined> => new Promise((resolve) => (refuse = () => resolve(undefined)));
    const log = { ...silentLog, warn: (line: string) => void logged.push(line) };
    const { arrive, text, socket } = openTestSession({ login: { ...LOGIN, check }, log });
    await arrive('EHLO x\r\n', `AUTH PLAIN ${base64('\0ann\0wrong')}\r\n`);
    socket.destroy();
    await arrive();
    refuse();
    await arrive();
    assert.deepEqual([logged, codes(text())], [[], '220 250']);
  });

  it('holds back what is pipelined behind it until it is answered', async () => {
    const { arrive, text, clock } = open();
    await arrive(`EHLO x\r\nAUTH PLAIN ${base64('\0ann\0wrong')}\r\nNOOP\r\n`);
    assert.equal(codes(text()), '220 250');
    clock.advance(1000);
    await arrive();
    assert.equal(codes(text()), '220 250 535 250');
  });
});
