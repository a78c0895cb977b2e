import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import { ownCertificate } from '../../lib/certificate.ts';
import { silentLog } from '../../lib/log.ts';
import { type Listener, startListener } from '../../lib/smtp-server/listener.ts';
import { SmtpBudget } from '../../lib/smtp-server/octet-budget.ts';
import type { ListenerOptions } from '../../lib/smtp-server/options.ts';
import { reply } from '../../lib/smtp-server/reply.ts';
import { TestClock } from '../support/clock.ts';

const KB = 1024;
const MB = 1024 * KB;

let directory: string;
let tls: { key: string; cert: string };
const listeners: Listener[] = [];

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-listener-'));
  tls = await ownCertificate(directory, 'mail.example.com');
});
after(async () => {
  await Promise.all(listeners.map((listener) => listener.close()));
  await rm(directory, { recursive: true });
});

interface Opened {
  port: number;
  clock: TestClock;
  budget: SmtpBudget;
  messages: string[];
  recipients: string[];
  logins: number;
  connections(): number;
}

const LOGIN: ListenerOptions['login'] = {
  insecure: true,
  check: async (_, password) => (password === 'right' ? { name: 'ann' } : undefined),
  trusts: () => false,
};

async function open(change: Partial<ListenerOptions> = {}): Promise<Opened> {
  const clock = new TestClock();
  const budget =
    change.budget ?? new SmtpBudget({ all: 64 * MB, anonymous: 16 * MB, anonymousOfOne: 16 * MB });
  const opened: Opened = {
    port: 0,
    clock,
    budget,
    messages: [],
    recipients: [],
    logins: 0,
    connections: () => listener.connections(),
  };
  const listener = await startListener({
    name: 'inbound',
    host: '127.0.0.1',
    port: 0,
    hostname: 'mail.example.com',
    tls,
    maxBytes: 40 * MB,
    dataDeadline: 120_000,
    limits: { connections: 100, anonymous: 100, anonymousOfOne: 100, messagesOfOne: 1000 },
    budget,
    clock,
    log: {
      ...silentLog,
      warn() {
        opened.logins += 1;
      },
    },
    onRecipient(address) {
      if (address.startsWith('nobody')) throw reply(550, '5.1.1 No such recipient');
      opened.recipients.push(address);
    },
    onMessage(bytes) {
      opened.messages.push(bytes.toString('latin1'));
      return Promise.resolve('Ok');
    },
    ...change,
  });
  listeners.push(listener);
  opened.port = listener.address.port;
  return opened;
}

/** A client that speaks raw SMTP. */
class Client {
  readonly socket: Socket;
  #text = '';
  #wake = (): void => undefined;
  closed = false;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('data', (chunk) => {
      this.#text += chunk.toString('latin1');
      this.#wake();
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** The last line of the next reply, or undefined when the connection ends without. */
  async reply(): Promise<string | undefined> {
    for (;;) {
      const match = /^(?:\d{3}-.*\r\n)*(\d{3}(?: .*)?)\r\n/.exec(this.#text);
      if (match) {
        this.#text = this.#text.slice(match[0].length);
        return match[1];
      }
      if (this.closed) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async say(line: string): Promise<string | undefined> {
    this.socket.write(`${line}\r\n`);
    return this.reply();
  }

  /** Sends each line and expects its code. */
  async follow(...steps: [line: string, code: number][]): Promise<void> {
    for (const [line, code] of steps)
      assert.match((await this.say(line)) ?? 'closed', new RegExp(`^${code}`), line);
  }

  end(): void {
    this.socket.destroy();
  }
}

async function greeted(port: number): Promise<Client> {
  const client = new Client(port);
  assert.match((await client.reply())!, /^220 /);
  return client;
}

const ENVELOPE: [string, number][] = [
  ['EHLO x', 250],
  ['MAIL FROM:<>', 250],
  ['RCPT TO:<a@example.com>', 250],
  ['DATA', 354],
];

/** Resolves when a condition holds. */
async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 5000 && !holds(); i++) await new Promise((resolve) => setImmediate(resolve));
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('the memory of a message under way', () => {
  it('is bounded by its octets, in dot-stuffed lines that never end', async () => {
    const { port, budget } = await open({ keepBytes: () => 128 * KB });
    const attackers = await Promise.all(Array.from({ length: 8 }, () => greeted(port)));
    await Promise.all(attackers.map((attacker) => attacker.follow(...ENVELOPE)));
    const lines = Buffer.from('..\r\n'.repeat(64 * KB));
    let most = 0;
    for (const { socket } of attackers) socket.write(lines);
    await until(() => {
      most = Math.max(most, budget.trusted.used);
      return budget.trusted.used === 8 * 128 * KB;
    });
    assert.equal(most, 8 * 128 * KB);
    for (const attacker of attackers) attacker.end();
    await until(() => budget.trusted.used === 0);
  });

  it('is cut off past the octets that its address takes, and not at them', async () => {
    const { port, budget, messages } = await open({ cutBytes: () => 64 * KB });
    const client = await greeted(port);
    await client.follow(...ENVELOPE);
    await client.follow([`${'x'.repeat(62)}\r\n`.repeat(KB).concat('.'), 250]);
    assert.equal(messages[0]!.length, 64 * KB);
    await client.follow(...ENVELOPE.slice(1));
    client.socket.write(`${'x'.repeat(62)}\r\n`.repeat(KB));
    assert.match((await client.say('x'))!, /^552 5\.3\.4 Message too large; closing/);
    await until(() => client.socket.destroyed || client.socket.readableEnded);
    assert.equal(budget.trusted.used, 0);
  });

  it('arrives whole when its lines are dot-stuffed', async () => {
    const { port, messages } = await open();
    const client = await greeted(port);
    await client.follow(...ENVELOPE);
    await client.follow([`${'..\r\n..x\r\n'.repeat(20_000)}.`, 250]);
    assert.equal(messages[0], '.\r\n.x\r\n'.repeat(20_000));
    client.end();
  });

  it('is refused with 452 when the budget has no room, and granted when it has room again', async () => {
    const budget = new SmtpBudget({ all: 2 * MB, anonymous: 2 * MB, anonymousOfOne: 2 * MB });
    const { port } = await open({ budget });
    const [first, second] = [await greeted(port), await greeted(port)];
    await first.follow(...ENVELOPE);
    first.socket.write('x\r\n'.repeat(MB / 2));
    await until(() => budget.trusted.used >= 1.5 * MB);
    await second.follow(...ENVELOPE);
    assert.match(
      (await second.say(`${'x\r\n'.repeat(MB / 2)}.`))!,
      /^452 4\.3\.1 Too much mail is under way/,
    );
    first.end();
    await until(() => budget.trusted.used === 0);
    await second.follow(...ENVELOPE.slice(1), [`${'x\r\n'.repeat(MB / 2)}.`, 250]);
    second.end();
  });

  it('is held until the message is answered, and then released', async () => {
    let answer = (): void => undefined;
    const pending = new Promise<string>((resolve) => {
      answer = () => resolve('Ok');
    });
    const { port, budget } = await open({ onMessage: () => pending });
    const client = await greeted(port);
    await client.follow(...ENVELOPE);
    client.socket.write(`${'x\r\n'.repeat(10_000)}.\r\n`);
    await until(() => budget.trusted.used >= 30_000);
    answer();
    assert.match((await client.reply())!, /^250 /);
    await until(() => budget.trusted.used === 0);
    client.end();
  });
});

describe('a connection', () => {
  it('beyond the limit of its network is answered 421 at once', async () => {
    const limits = { connections: 100, anonymous: 100, anonymousOfOne: 2, messagesOfOne: 1000 };
    const { port } = await open({ limits });
    const clients = [await greeted(port), await greeted(port)];
    const third = new Client(port);
    assert.match((await third.reply())!, /^421 4\.7\.0 Too many connections from your network/);
    for (const client of clients) client.end();
  });

  it('beyond the limit of its network is closed before a handshake where TLS comes first', async () => {
    const limits = { connections: 100, anonymous: 100, anonymousOfOne: 1, messagesOfOne: 1000 };
    const { port } = await open({ limits, implicitTls: true });
    const idle = connect(port, '127.0.0.1');
    await once(idle, 'connect');
    const second = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await assert.rejects(once(second, 'secureConnect'));
    idle.destroy();
  });

  it('must log in within a minute, whichever other commands it sends', async () => {
    const { port, clock } = await open({ login: LOGIN });
    const client = await greeted(port);
    await client.follow(['EHLO x', 250]);
    clock.advance(59_999);
    await client.follow(['NOOP', 250]);
    clock.advance(1);
    assert.match((await client.reply())!, /^421 4\.7\.0 Log in sooner/);
    const user = await greeted(port);
    await user.follow(['EHLO x', 250], [`AUTH PLAIN ${credentials('right')}`, 235]);
    clock.advance(60_000);
    await user.follow(['NOOP', 250]);
    user.end();
  });

  it('must begin each message within five minutes', async () => {
    const { port, clock } = await open();
    const client = await greeted(port);
    await client.follow(...ENVELOPE, ['x\r\n.', 250]);
    clock.advance(299_999);
    await client.follow(...ENVELOPE.slice(1), ['x\r\n.', 250]);
    clock.advance(299_999);
    await client.follow(['NOOP', 250]);
    clock.advance(1);
    assert.match((await client.reply())!, /^421 4\.4\.2 No message came in time/);
  });

  it('ends after 100 commands without a message', async () => {
    const { port } = await open();
    const client = await greeted(port);
    await client.follow(...ENVELOPE, ['x\r\n.', 250]);
    for (let i = 0; i < 100; i++) await client.follow(['NOOP', 250]);
    assert.match((await client.say('NOOP'))!, /^421 4\.7\.0 Too many commands/);
  });

  it('may name 1,000 recipients', async () => {
    const { port } = await open();
    const client = await greeted(port);
    await client.follow(...ENVELOPE.slice(0, 2));
    for (let i = 0; i < 1000; i++) await client.follow([`RCPT TO:<u${i}@example.com>`, 250]);
    await client.follow(['DATA', 354], ['x\r\n.', 250]);
    client.end();
  });

  it('ends at its twentieth refused recipient', async () => {
    const { port } = await open();
    const client = await greeted(port);
    await client.follow(...ENVELOPE.slice(0, 2));
    for (let i = 1; i < 20; i++) await client.follow([`RCPT TO:<nobody${i}@example.com>`, 550]);
    assert.match(
      (await client.say('RCPT TO:<nobody@example.com>'))!,
      /^421 4\.7\.0 Too many refused commands/,
    );
  });

  it('ends at its third failed login, each of which is logged and answered later', async () => {
    const opened = await open({ login: LOGIN });
    const { port, clock } = opened;
    const client = await greeted(port);
    await client.follow(['EHLO x', 250]);
    for (const [delay, code] of [
      [1000, 535],
      [2000, 535],
      [3000, 421],
    ] as const) {
      const waiting = clock.pending;
      const answer = client.say(`AUTH PLAIN ${credentials('wrong')}`);
      await until(() => clock.pending > waiting);
      clock.advance(delay - 1);
      assert.equal(clock.pending, waiting + 1, 'answered too soon');
      clock.advance(1);
      assert.match((await answer)!, new RegExp(`^${code} `));
    }
    assert.equal(opened.logins, 3);
  });

  it('drops plaintext commands behind STARTTLS (command injection)', async () => {
    const { port, recipients, messages } = await open();
    const client = await greeted(port);
    await client.follow(['EHLO x', 250]);
    const injected = 'EHLO y\r\nMAIL FROM:<>\r\nRCPT TO:<injected@example.com>\r\nDATA\r\nx\r\n.\r\n';
    client.socket.removeAllListeners('data');
    client.socket.write(`STARTTLS\r\n${injected}`);
    const [answer] = (await once(client.socket, 'data')) as [Buffer];
    assert.match(answer.toString(), /^220 [^\r]*\r\n$/);
    const secure = tlsConnect({ socket: client.socket, rejectUnauthorized: false });
    await once(secure, 'secureConnect');
    secure.write('NOOP\r\n');
    const [first] = (await once(secure, 'data')) as [Buffer];
    assert.match(first.toString(), /^250 [^\r]*\r\n$/);
    secure.write('MAIL FROM:<>\r\n');
    const [second] = (await once(secure, 'data')) as [Buffer];
    assert.match(second.toString(), /^503 /, 'the EHLO in clear is forgotten');
    assert.deepEqual([recipients, messages], [[], []]);
    secure.destroy();
  });
});

describe('a recipient', () => {
  for (const address of [
    '"a b"@example.net',
    '"a@b"@example.net',
    '"a\\"b"@example.net',
    'üser@example.net',
  ]) {
    it(`${address} is accepted as written`, async () => {
      const { port, recipients } = await open();
      const client = await greeted(port);
      await client.follow(...ENVELOPE.slice(0, 2));
      const line = Buffer.from(`RCPT TO:<${address}> \r\n`);
      client.socket.write(line);
      assert.match((await client.reply())!, /^250 /);
      assert.deepEqual(recipients, [address]);
      client.end();
    });
  }

  for (const address of [
    '(c)x@example.net',
    'x(c)@example.net',
    'a b@example.net',
    '"a@example.net',
    'a,b@example.net',
  ]) {
    it(`${address} is refused`, async () => {
      const { port, recipients } = await open();
      const client = await greeted(port);
      await client.follow(...ENVELOPE.slice(0, 2), [`RCPT TO:<${address}>`, 501]);
      assert.deepEqual(recipients, []);
      client.end();
    });
  }
});

function credentials(password: string): string {
  return Buffer.from(`\0ann\0${password}`).toString('base64');
}
