/**
 * The session of one peer: its commands (RFC 5321 §4.1.1), in which order, and their replies.
 *
 * ```
 *  EHLO ─► [STARTTLS] ─► [AUTH] ─► messages (transaction.ts) ─► QUIT
 * ```
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { canonicalIp } from '../ip.ts';
import type { Turns } from '../turns.ts';
import { Answers } from './answers.ts';
import { type AuthStep, beginAuth, MECHANISMS } from './auth.ts';
import { type Dialogue, ServerConnection } from './connection.ts';
import type { ConnectionLimiter, Ticket } from './connection-limiter.ts';
import type { ClientSession, ListenerOptions, SessionEnvelope } from './options.ts';
import { ClientPeer } from './peer.ts';
import { MailTransaction } from './transaction.ts';

/** The parts of a listener that its sessions use. */
export interface SessionHost {
  readonly options: ListenerOptions;
  readonly limiter: ConnectionLimiter;
  /** Shared by the content of all sessions. */
  readonly turns: Turns;
  /** The certificate of handshakes that begin now; undefined where there is none. */
  secureContext(): SecureContext | undefined;
  /** A session has ended. */
  closed(session: ServerSession): void;
}

const VERB = /^[a-z]+(?= |$)/i;
/** A web page may make a browser send this, with SMTP commands in its body. */
const HTTP = /^(?:OPTIONS|GET|HEAD|POST|PUT|DELETE|TRACE|CONNECT) \S.* HTTP\/\d\.\d$/i;
/** Greetings name a host (255 octets at most) or an address; the limit leaves room for names that are neither. */
const HELLO = /^[^\s\u0000-\u001f\u007f-\u009f]{1,300}$/;
const UNNAMED = '503 5.5.1 Send EHLO first';
const SHUTTING_DOWN = '421 4.3.2 Shutting down; closing';

export class ServerSession implements ClientSession, Dialogue {
  readonly id = newId();
  readonly remoteAddress: string;
  secure = false;
  user: object | undefined;
  readonly #host: SessionHost;
  readonly #connection: ServerConnection;
  readonly #peer: ClientPeer;
  readonly #answers: Answers;
  readonly #transaction: MailTransaction;
  #greeted = false;
  /** Whether the peer has said EHLO or HELO. */
  #named = false;
  /** Reads the next line of an AUTH exchange. */
  #exchange: ((line: string) => AuthStep) | undefined;
  #isLast = false;

  constructor(socket: Socket, ticket: Ticket, host: SessionHost) {
    const { login, budget, clock, implicitTls } = host.options;
    this.#host = host;
    this.remoteAddress = canonicalIp(socket.remoteAddress ?? '');
    this.#connection = new ServerConnection(socket, clock, host.turns, this);
    this.#peer = new ClientPeer(this.#connection, ticket, budget, clock);
    this.#answers = new Answers(this.#connection, host.options);
    this.#transaction = new MailTransaction({
      options: host.options,
      limiter: host.limiter,
      session: this,
      connection: this.#connection,
      peer: this.#peer,
      answers: this.#answers,
      answered: () => {
        if (this.#isLast) this.cutOff();
      },
    });
    const trusted = login?.trusts(this.remoteAddress) === true;
    if (trusted) this.#peer.trust();
    if (login && !trusted) this.#peer.awaitLogin();
    else this.#peer.awaitMessage();
    if (implicitTls) this.#connection.secure(host.secureContext()!);
    else this.#greet();
  }

  get envelope(): SessionEnvelope {
    return this.#transaction.envelope;
  }

  /** Ends the session: now when no message is under way, else with the answer to it. */
  shutDown(): void {
    this.#isLast = true;
    if (!this.#connection.busy && this.envelope.mailFrom === undefined) this.cutOff();
  }

  /** Ends the session now. */
  cutOff(): void {
    this.#connection.end(SHUTTING_DOWN);
  }

  line(text: string): Promise<void> | undefined {
    if (this.#isLast) {
      this.cutOff();
      return undefined;
    }
    const exchange = this.#exchange;
    const verb = exchange ? '' : (VERB.exec(text)?.[0].toUpperCase() ?? '');
    if (verb !== 'RCPT' && this.#peer.command()) {
      this.#connection.end('421 4.7.0 Too many commands without a message; closing');
      return undefined;
    }
    if (!exchange) return this.#command(verb, text);
    this.#exchange = undefined;
    return this.#authenticate(exchange(text));
  }

  contentEnded(): Promise<void> | undefined {
    return this.#transaction.contentEnded();
  }

  /** Nothing that the peer said in clear counts any more (RFC 3207 §4.2). */
  secured(): void {
    this.secure = true;
    this.user = undefined;
    this.#named = false;
    this.#transaction.reset();
    this.#greet();
  }

  failed(error: Error): void {
    const { name, log } = this.#host.options;
    log.debug(`${name} peer`, { error: error.message });
  }

  faulty(error: unknown): string {
    this.#answers.refusalOf(error);
    return '421 4.3.0 A fault of this server; try again later';
  }

  closed(): void {
    this.#peer.leave();
    this.#transaction.abort();
    this.#host.closed(this);
  }

  #greet(): void {
    if (this.#greeted) return;
    this.#greeted = true;
    this.#answers.say(`220 ${this.#host.options.hostname} ESMTP Postern`);
    this.#connection.flush();
  }

  #command(verb: string, text: string): Promise<void> | undefined {
    switch (verb) {
      case 'MAIL':
        return this.#named ? this.#transaction.mail(text.slice(5)) : this.#answers.say(UNNAMED);
      case 'RCPT':
        return this.#named ? this.#transaction.recipient(text.slice(5)) : this.#answers.say(UNNAMED);
      case 'DATA':
        return this.#transaction.data();
      case 'EHLO':
      case 'HELO':
        return this.#hello(verb, text.slice(5).trim());
      case 'RSET':
        this.#transaction.reset();
        return this.#answers.say('250 Flushed');
      case 'NOOP':
        return this.#answers.say('250 OK');
      case 'QUIT':
        this.#connection.end('221 Bye');
        return undefined;
      case 'HELP':
        return this.#answers.say('214 See RFC 5321');
      case 'VRFY':
        return this.#answers.say('252 2.1.5 Not verified; send mail, and see');
      case 'AUTH':
        if (this.#host.options.login) return this.#auth(text.slice(5));
        break;
      case 'STARTTLS':
        if (this.#host.options.tls) return this.#startTls(text);
        break;
    }
    if (HTTP.test(text)) this.#connection.end('421 4.7.0 This is SMTP, not HTTP; closing');
    else if (this.#peer.unknown()) this.#connection.end('421 4.7.0 Too many unknown commands; closing');
    else this.#answers.say('500 5.5.2 Command not recognized');
    return undefined;
  }

  #hello(verb: 'EHLO' | 'HELO', name: string): undefined {
    if (!HELLO.test(name)) return this.#answers.say(`501 Syntax: ${verb} hostname`);
    const { hostname, login, tls, maxBytes } = this.#host.options;
    this.#named = true;
    this.#transaction.reset();
    const lines = [`${hostname} Nice to meet you, [${this.remoteAddress}]`];
    if (verb === 'EHLO') {
      lines.push('PIPELINING', '8BITMIME', 'SMTPUTF8');
      if (login && !this.user) lines.push(`AUTH ${MECHANISMS.join(' ')}`);
      if (tls && !this.secure) lines.push('STARTTLS');
      lines.push(`SIZE ${maxBytes}`);
    }
    const last = lines.length - 1;
    for (const [n, line] of lines.entries()) this.#answers.say(`250${n === last ? ' ' : '-'}${line}`);
    return undefined;
  }

  #startTls(text: string): undefined {
    if (text.trim().length > 'STARTTLS'.length)
      return this.#answers.say('501 5.5.4 STARTTLS takes no argument');
    if (this.secure) return this.#answers.say('503 5.5.1 TLS is active');
    this.#answers.say('220 Ready to start TLS');
    this.#connection.secure(this.#host.secureContext()!);
    return undefined;
  }

  #auth(argument: string): Promise<void> | undefined {
    if (!this.#named) return this.#answers.say(UNNAMED);
    if (!this.secure && !this.#host.options.login!.insecure) {
      return this.#answers.say('538 5.7.11 Must issue a STARTTLS command first');
    }
    if (this.user) return this.#answers.say('503 5.5.1 Logged in already');
    return this.#authenticate(beginAuth(argument));
  }

  #authenticate(step: AuthStep): Promise<void> | undefined {
    if ('refusal' in step) return this.#answers.say(step.refusal);
    if ('username' in step) return this.#logIn(step.username, step.password);
    this.#exchange = step.next;
    return this.#answers.say(`334 ${step.challenge}`);
  }

  async #logIn(username: string, password: string): Promise<void> {
    const { login, name, clock, log } = this.#host.options;
    try {
      const user = await login!.check(username, password, this);
      if (this.#connection.ended) return;
      if (user) {
        this.user = user;
        this.#peer.trust();
        this.#peer.awaitMessage();
        this.#answers.say('235 2.7.0 Authentication successful');
        return;
      }
    } catch (error) {
      this.#answers.refuse(this.#answers.refusalOf(error));
      return;
    }
    const address = this.remoteAddress;
    log.warn('login refused', { listener: name, address, user: username.slice(0, 64) });
    const refusal = this.#peer.refuse(this.#peer.failedLogin());
    const delay = this.#host.limiter.failedLogin(this.#peer.network);
    await new Promise<void>((resolve) => void clock.after(delay, resolve));
    this.#answers.refuse(refusal);
  }
}

/** 16 letters and digits. */
function newId(): string {
  return BigInt(`0x${randomBytes(10).toString('hex')}`)
    .toString(32)
    .padStart(16, '0');
}
