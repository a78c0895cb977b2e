/**
 * The session of one peer: its commands (RFC 5321 §4.1.1), what it may do, and the replies.
 *
 * ```
 *  EHLO ─► [STARTTLS] ─► [AUTH] ─► MAIL ─► RCPT … ─► DATA ─► content ─► onMessage ─► 250
 *                                   ▲                                                 │
 *                                   └─────────────────────────────────────────────────┘
 * ```
 */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { canonicalIp } from '../ip.ts';
import { type AuthStep, beginAuth, MECHANISMS } from './auth.ts';
import { type Dialogue, ServerConnection } from './connection.ts';
import type { ConnectionLimiter, Ticket } from './connection-limiter.ts';
import { IncomingContent } from './content.ts';
import type { ClientSession, ListenerOptions, SessionEnvelope } from './options.ts';
import { readPath, refusalOfMail } from './path.ts';
import { ClientPeer } from './peer.ts';
import { type RefusedCommand, reply, replyFor, replyLine } from './reply.ts';

/** The parts of a listener that its sessions use. */
export interface SessionHost {
  readonly options: ListenerOptions;
  readonly limiter: ConnectionLimiter;
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
const SHUTTING_DOWN = '421 4.3.2 Shutting down; closing';

export class ServerSession implements ClientSession, Dialogue {
  readonly id = newId();
  readonly remoteAddress: string;
  secure = false;
  user: object | undefined;
  envelope: SessionEnvelope = { mailFrom: undefined, rcptTo: [] };
  readonly #host: SessionHost;
  readonly #connection: ServerConnection;
  readonly #peer: ClientPeer;
  #greeted = false;
  /** Whether the peer has said EHLO or HELO. */
  #named = false;
  /** Recipients in lower case, once there are two. */
  #recipients: Set<string> | undefined;
  /** Reads the next line of an AUTH exchange. */
  #exchange: ((line: string) => AuthStep) | undefined;
  #content: IncomingContent | undefined;
  #isLast = false;

  constructor(socket: Socket, ticket: Ticket, host: SessionHost) {
    const { login, budget, clock, implicitTls } = host.options;
    this.#host = host;
    this.remoteAddress = canonicalIp(socket.remoteAddress ?? '');
    this.#connection = new ServerConnection(socket, clock, this);
    this.#peer = new ClientPeer(this.#connection, ticket, budget, clock);
    const trusted = login?.trusts(this.remoteAddress) === true;
    if (trusted) this.#peer.trust();
    if (login && !trusted) this.#peer.awaitLogin();
    else this.#peer.awaitMessage();
    if (implicitTls) this.#connection.secure(host.secureContext()!);
    else this.#greet();
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
    const content = this.#content!;
    this.#content = undefined;
    this.#peer.rest();
    if (content.isTooLarge) this.#refuse(reply(552, '5.3.4 Message too large'));
    else if (content.buffer.refused) {
      this.#refuse(reply(452, '4.3.1 Too much mail is under way, try again later'));
    } else return this.#pass(content);
    this.#finish(content);
    return undefined;
  }

  /** Nothing that the peer said in clear counts any more (RFC 3207 §4.2). */
  secured(): void {
    this.secure = true;
    this.user = undefined;
    this.#named = false;
    this.#reset();
    this.#greet();
  }

  failed(error: Error): void {
    const { name, log } = this.#host.options;
    log.debug(`${name} peer`, { error: error.message });
  }

  faulty(error: unknown): string {
    this.#refusalOf(error);
    return '421 4.3.0 A fault of this server; try again later';
  }

  closed(): void {
    this.#peer.leave();
    this.#content?.buffer.release();
    this.#content = undefined;
    this.#host.closed(this);
  }

  #greet(): void {
    if (this.#greeted) return;
    this.#greeted = true;
    this.#say(`220 ${this.#host.options.hostname} ESMTP Postern`);
    this.#connection.flush();
  }

  #say(text: string): undefined {
    this.#connection.reply(text);
  }

  #command(verb: string, text: string): Promise<void> | undefined {
    switch (verb) {
      case 'MAIL':
        return this.#mail(text.slice(5));
      case 'RCPT':
        return this.#recipient(text.slice(5));
      case 'DATA':
        return this.#data();
      case 'EHLO':
      case 'HELO':
        return this.#hello(verb, text.slice(5).trim());
      case 'RSET':
        this.#reset();
        return this.#say('250 Flushed');
      case 'NOOP':
        return this.#say('250 OK');
      case 'QUIT':
        this.#connection.end('221 Bye');
        return undefined;
      case 'HELP':
        return this.#say('214 See RFC 5321');
      case 'VRFY':
        return this.#say('252 2.1.5 Not verified; send mail, and see');
      case 'AUTH':
        if (this.#host.options.login) return this.#auth(text.slice(5));
        break;
      case 'STARTTLS':
        if (this.#host.options.tls) return this.#startTls(text);
        break;
    }
    if (HTTP.test(text)) this.#connection.end('421 4.7.0 This is SMTP, not HTTP; closing');
    else if (this.#peer.unknown()) this.#connection.end('421 4.7.0 Too many unknown commands; closing');
    else this.#say('500 5.5.2 Command not recognized');
    return undefined;
  }

  #hello(verb: 'EHLO' | 'HELO', name: string): undefined {
    if (!HELLO.test(name)) return this.#say(`501 Syntax: ${verb} hostname`);
    const { hostname, login, tls, maxBytes } = this.#host.options;
    this.#named = true;
    this.#reset();
    const lines = [`${hostname} Nice to meet you, [${this.remoteAddress}]`];
    if (verb === 'EHLO') {
      lines.push('PIPELINING', '8BITMIME', 'SMTPUTF8');
      if (login && !this.user) lines.push(`AUTH ${MECHANISMS.join(' ')}`);
      if (tls && !this.secure) lines.push('STARTTLS');
      lines.push(`SIZE ${maxBytes}`);
    }
    const last = lines.length - 1;
    for (const [n, line] of lines.entries()) this.#say(`250${n === last ? ' ' : '-'}${line}`);
    return undefined;
  }

  #startTls(text: string): undefined {
    if (text.trim().length > 'STARTTLS'.length) return this.#say('501 5.5.4 STARTTLS takes no argument');
    if (this.secure) return this.#say('503 5.5.1 TLS is active');
    this.#say('220 Ready to start TLS');
    this.#connection.secure(this.#host.secureContext()!);
    return undefined;
  }

  #auth(argument: string): Promise<void> | undefined {
    if (!this.#named) return this.#say('503 5.5.1 Send EHLO first');
    if (!this.secure && !this.#host.options.login!.insecure) {
      return this.#say('538 5.7.11 Must issue a STARTTLS command first');
    }
    if (this.user) return this.#say('503 5.5.1 Logged in already');
    return this.#authenticate(beginAuth(argument));
  }

  #authenticate(step: AuthStep): Promise<void> | undefined {
    if ('refusal' in step) return this.#say(step.refusal);
    if ('username' in step) return this.#logIn(step.username, step.password);
    this.#exchange = step.next;
    return this.#say(`334 ${step.challenge}`);
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
        this.#say('235 2.7.0 Authentication successful');
        return;
      }
    } catch (error) {
      this.#refuse(this.#refusalOf(error));
      return;
    }
    const address = this.remoteAddress;
    log.warn('login refused', { listener: name, address, user: username.slice(0, 64) });
    const refusal = this.#peer.refuse(this.#peer.failedLogin());
    const delay = this.#host.limiter.failedLogin(this.#peer.network);
    await new Promise<void>((resolve) => void clock.after(delay, resolve));
    this.#refuse(refusal);
  }

  #mail(argument: string): Promise<void> | undefined {
    if (!this.#named) return this.#say('503 5.5.1 Send EHLO first');
    const { onMail, maxBytes } = this.#host.options;
    const path = readPath('FROM', argument);
    if (path === undefined) return this.#say('501 5.1.7 Bad sender address; write MAIL FROM:<address>');
    if (typeof path === 'string') return this.#say(path);
    if (this.envelope.mailFrom !== undefined)
      return this.#say('503 5.5.1 There is a MAIL already; send RSET');
    const refusal = refusalOfMail(path, maxBytes);
    if (refusal !== undefined) return this.#say(refusal);
    return this.#judge(
      () => {
        const excess = this.#host.limiter.message(this.#peer.network);
        if (excess !== undefined) throw reply(451, excess);
        return onMail?.(this);
      },
      () => {
        this.envelope.mailFrom = path.address;
      },
    );
  }

  #recipient(argument: string): Promise<void> | undefined {
    if (!this.#named) return this.#say('503 5.5.1 Send EHLO first');
    const path = readPath('TO', argument);
    if (path === undefined || (typeof path === 'object' && path.address === '')) {
      return this.#say('501 5.1.3 Bad recipient address; write RCPT TO:<address>');
    }
    if (typeof path === 'string') return this.#say(path);
    if (this.envelope.mailFrom === undefined) return this.#say('503 5.5.1 Send MAIL first');
    const { address } = path;
    return this.#judge(
      () => this.#host.options.onRecipient(address, this),
      () => this.#add(address),
    );
  }

  #add(address: string): void {
    const { rcptTo } = this.envelope;
    if (rcptTo.length > 0) {
      this.#recipients ??= new Set([rcptTo[0]!.toLowerCase()]);
      const lower = address.toLowerCase();
      if (this.#recipients.has(lower)) return;
      this.#recipients.add(lower);
    }
    rcptTo.push(address);
  }

  /** Answers a command as the owner of the listener judges it. */
  #judge(judgement: () => void | Promise<void>, accepted: () => void): Promise<void> | undefined {
    const accept = (): void => {
      accepted();
      this.#say('250 Accepted');
    };
    const refuse = (error: unknown): void => this.#refuse(this.#peer.refuse(this.#refusalOf(error)));
    try {
      const pending = judgement();
      if (pending) return pending.then(accept, refuse);
      accept();
    } catch (error) {
      refuse(error);
    }
    return undefined;
  }

  #data(): undefined {
    if (this.envelope.rcptTo.length === 0) return this.#say('503 5.5.1 Send RCPT first');
    const { keepBytes, cutBytes, maxBytes, dataDeadline } = this.#host.options;
    const cut = (): void => this.#connection.cut('552 5.3.4 Message too large; closing');
    this.#content = new IncomingContent(this.#peer.buffer(keepBytes?.(this) ?? maxBytes), {
      most: maxBytes,
      cut: cutBytes?.(this) ?? Number.POSITIVE_INFINITY,
      onCut: cut,
    });
    this.#peer.awaitContent(dataDeadline);
    this.#say('354 End data with <CR><LF>.<CR><LF>');
    this.#connection.receive(this.#content);
    return undefined;
  }

  async #pass(content: IncomingContent): Promise<void> {
    try {
      const text = await this.#host.options.onMessage(content.buffer.bytes(), this);
      this.#peer.progress();
      this.#say(replyLine(250, text));
    } catch (error) {
      this.#refuse(this.#refusalOf(error));
    }
    this.#finish(content);
  }

  /** After the answer to a message. */
  #finish(content: IncomingContent): void {
    content.buffer.release();
    this.#reset();
    if (this.#connection.ended) return;
    this.#peer.awaitMessage();
    if (this.#isLast) this.cutOff();
  }

  #reset(): void {
    this.envelope = { mailFrom: undefined, rcptTo: [] };
    this.#recipients = undefined;
  }

  #refusalOf(error: unknown): RefusedCommand {
    return replyFor(error, this.#host.options.name, this.#host.options.log);
  }

  #refuse({ responseCode, message }: RefusedCommand): void {
    const line = replyLine(responseCode, message);
    if (responseCode === 421) this.#connection.end(line);
    else this.#say(line);
  }
}

/** 16 letters and digits. */
function newId(): string {
  return BigInt(`0x${randomBytes(10).toString('hex')}`)
    .toString(32)
    .padStart(16, '0');
}
