/** A session of an SMTP listener on a socket in memory, so that a test decides which octets arrive in one chunk. */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { silentLog } from '../../lib/log.ts';
import { ConnectionLimiter } from '../../lib/smtp-server/connection-limiter.ts';
import { SmtpBudget } from '../../lib/smtp-server/octet-budget.ts';
import type { ClientSession, ListenerOptions } from '../../lib/smtp-server/options.ts';
import { reply } from '../../lib/smtp-server/reply.ts';
import { ServerSession } from '../../lib/smtp-server/session.ts';
import { Turns } from '../../lib/turns.ts';
import { TestClock } from './clock.ts';

const MB = 1024 * 1024;

/** What the session uses of a socket. */
export class MemorySocket extends Duplex {
  readonly remoteAddress = '192.0.2.1';
  /** What was written, by write. */
  readonly writes: string[] = [];

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(chunk.toString());
    done();
  }

  setTimeout(): this {
    return this;
  }

  destroySoon(): void {
    this.end();
  }
}

export interface TestSession {
  socket: MemorySocket;
  session: ServerSession;
  clock: TestClock;
  budget: SmtpBudget;
  messages: { bytes: Buffer; from: string; to: string[] }[];
  closed: boolean;
  /** All that was written. */
  text(): string;
  /** Lets chunks arrive, each in a turn of its own. */
  arrive(...chunks: (string | Buffer)[]): Promise<void>;
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Resolves when what has arrived is answered: replies leave behind the input of their turn of the event loop. */
const written = async (): Promise<void> => {
  for (let n = 0; n < 2; n += 1) await turn();
};

/** @param turns shared with other sessions. */
export function openTestSession(change: Partial<ListenerOptions> = {}, turns = new Turns()): TestSession {
  const clock = new TestClock();
  const limiter = new ConnectionLimiter(
    { connections: 9, anonymous: 9, anonymousOfOne: 9, messagesOfOne: 1e6 },
    clock,
  );
  const socket = new MemorySocket();
  const budget =
    change.budget ?? new SmtpBudget({ all: 64 * MB, anonymous: 64 * MB, anonymousOfOne: 64 * MB });
  const messages: TestSession['messages'] = [];
  const options: ListenerOptions = {
    name: 'inbound',
    host: '',
    port: 0,
    hostname: 'mail.example.com',
    maxBytes: 40 * MB,
    dataDeadline: 120_000,
    limits: { connections: 9, anonymous: 9, anonymousOfOne: 9, messagesOfOne: 1e6 },
    budget,
    clock,
    log: silentLog,
    onRecipient(address) {
      if (address.startsWith('nobody')) throw reply(550, '5.1.1 No such recipient');
    },
    onMessage(bytes: Buffer, { envelope }: ClientSession) {
      // The memory of a large one is freed when it is answered.
      const kept = bytes.length < 16_384 ? bytes : Buffer.from(bytes);
      messages.push({ bytes: kept, from: envelope.mailFrom!, to: envelope.rcptTo });
      return Promise.resolve(`Ok ${messages.length}`);
    },
    ...change,
  };
  const ticket = limiter.admit(socket.remoteAddress);
  if (typeof ticket === 'string') throw new Error(ticket);
  const opened: TestSession = {
    socket,
    clock,
    budget,
    messages,
    closed: false,
    session: new ServerSession(socket as unknown as Socket, ticket, {
      options,
      limiter,
      turns,
      secureContext: () => undefined,
      closed: () => {
        opened.closed = true;
      },
    }),
    text: () => socket.writes.join(''),
    async arrive(...chunks) {
      for (const chunk of chunks) {
        // A closed socket takes nothing more.
        if (!socket.destroyed && !socket.readableEnded) socket.push(Buffer.from(chunk as string));
        await written();
      }
      await written();
    },
  };
  return opened;
}
