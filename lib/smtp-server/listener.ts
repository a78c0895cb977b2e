/**
 * An SMTP listener, the common part of the submission and the inbound listener. It limits what a peer may use
 * (connections, time, commands, failed logins, octets) and passes on whole messages.
 *
 * ```
 *  accepted socket ── no place ─► 421 (over TLS: closed)
 *    │ deadline: login, where it is needed · a message begun
 *    ├─ AUTH failed ─► logged, delayed, 535; the third ─► 421
 *    ├─ MAIL, RCPT ─► onMail, onRecipient; too many refused, too many commands without a message ─► 421
 *    └─ DATA ─► deadline of the whole content
 *         over the size ─► 552     no room in the budget ─► 452
 *         whole ─► onMessage ─► 250 with its text, or what it throws
 * ```
 */
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import {
  SMTPServer,
  type SMTPServerAuthentication,
  type SMTPServerDataStream,
  type SMTPServerOptions,
  type SMTPServerSession,
} from 'smtp-server';
import type { Log } from '../log.ts';
import type { ProxyProtocol } from '../proxy-protocol.ts';
import type { Clock } from '../time.ts';
import { ServerConnection } from './connection.ts';
import { ConnectionLimiter, type ListenerLimits } from './connection-limiter.ts';
import type { SmtpBudget } from './octet-budget.ts';
import { ClientPeer } from './peer.ts';
import { reply, replyFor } from './reply.ts';
import { SocketAdmission } from './socket-admission.ts';

export interface ListenerOptions {
  /** Name in the log. */
  name: 'submission' | 'inbound';
  host: string;
  port: number;
  hostname: string;
  /** PEM; absent: no STARTTLS. */
  tls?: { key: string; cert: string };
  /** Whether TLS starts at the first byte (RFC 8314). */
  implicitTls?: boolean;
  /** How clients log in; absent: no AUTH is offered, and none is needed. */
  login?: Login;
  /** Value of SIZE, octets; a larger message is refused. */
  maxBytes: number;
  /** Octets from the start of a message that are kept; absent: all. */
  keepBytes?: (session: SMTPServerSession) => number;
  /**
   * Octets at which a message is refused and its connection closed, without the rest of it: for addresses that anyone
   * may write to, and where nothing honest is as long. Absent, or undefined: its end is awaited.
   */
  cutBytes?: (session: SMTPServerSession) => number | undefined;
  /** Maximum time for the whole content, ms. */
  dataDeadline: number;
  limits: ListenerLimits;
  /** Octet budget, shared by all listeners of the process. */
  budget: SmtpBudget;
  clock: Clock;
  log: Log;
  /** Proxies in front; absent: none is trusted. */
  proxies?: ProxyProtocol;
  /** Each throws the reply that replaces the 250: an error of `reply`, or a PosternError. */
  onMail?: (session: SMTPServerSession) => Promise<void>;
  onRecipient: (address: string, session: SMTPServerSession) => void | Promise<void>;
  /** @returns the text of the 250. `bytes` are valid until it settles. */
  onMessage: (bytes: Buffer, session: SMTPServerSession) => Promise<string>;
}

export interface Login {
  /** Whether AUTH is allowed before TLS: only where no third party can listen, as on a loopback address. */
  insecure: boolean;
  /**
   * Checks credentials. @returns the value of `session.user`; undefined for wrong credentials. @throws PosternError
   * when they cannot be checked now.
   */
  check(username: string, password: string, session: SMTPServerSession): Promise<object | undefined>;
  /** Whether peers at an address need no login. */
  trusts(address: string): boolean;
}

export interface Listener {
  address: AddressInfo;
  /** Number of open connections. */
  connections(): number;
  /** Sets another certificate for connections that begin from now on. */
  renew(tls: { key: string; cert: string }): void;
  /** Stops accepting connections; messages that arrived are still answered. */
  close(): Promise<void>;
}

const IDLE_TIMEOUT = 60_000;
const CLOSE_TIMEOUT = 10_000;

/** Starts the listener. @returns resolves when it listens. */
export function startListener(options: ListenerOptions): Promise<Listener> {
  const limiter = new ConnectionLimiter(options.limits, options.clock);
  const admission = new SocketAdmission(limiter, options.implicitTls === true);
  const sessions = new Sessions(options, limiter, admission);
  const { proxies } = options;
  const server = new PeerServer(
    { ...protocolOf(options), ...sessions.handlers() },
    (connection) => sessions.begin(connection),
    (socket) => proxies?.name(socket),
  );
  server.on('error', (error: Error) => options.log.debug(`${options.name} peer`, { error: error.message }));
  admission.guard(server.server);
  proxies?.guard(server.server);

  return new Promise((resolve, reject) => {
    server.server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.server.off('error', reject);
      resolve({
        address: server.server.address() as AddressInfo,
        connections: () => server.connections.size,
        renew: ({ key, cert }) => server.updateSecureContext({ key, cert }),
        close: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}

function protocolOf({ login, tls, ...options }: ListenerOptions): SMTPServerOptions {
  return {
    ...tls,
    name: options.hostname,
    banner: 'Postern',
    secure: options.implicitTls,
    disabledCommands: [...(login ? [] : ['AUTH']), ...(tls ? [] : ['STARTTLS'])],
    authMethods: ['PLAIN', 'LOGIN'],
    authOptional: true,
    allowInsecureAuth: login?.insecure,
    size: options.maxBytes,
    rejectOversized: true,
    disableReverseLookup: true,
    socketTimeout: IDLE_TIMEOUT,
    closeTimeout: CLOSE_TIMEOUT,
    logger: false,
  };
}

/** The library's server, with connections of our own class. */
class PeerServer extends SMTPServer {
  readonly #begin: (connection: ServerConnection) => void;
  readonly #name: (socket: Socket) => void;

  constructor(
    options: SMTPServerOptions,
    begin: (connection: ServerConnection) => void,
    name: (socket: Socket) => void,
  ) {
    super(options);
    this.#begin = begin;
    this.#name = name;
  }

  override connect(
    socket: Socket | TLSSocket,
    socketOptions?: ConstructorParameters<typeof ServerConnection>[2],
  ): void {
    this.#name(socket);
    const connection = new ServerConnection(this, socket, socketOptions);
    this.connections.add(connection);
    this.#begin(connection);
    connection.on('error', (error: Error) => this._onError(error));
    connection.init();
  }
}

/** The peers of the open sessions, and the answers to their commands. */
class Sessions {
  readonly #options: ListenerOptions;
  readonly #limiter: ConnectionLimiter;
  readonly #admission: SocketAdmission;
  readonly #peers = new Map<string, ClientPeer>();

  constructor(options: ListenerOptions, limiter: ConnectionLimiter, admission: SocketAdmission) {
    this.#options = options;
    this.#limiter = limiter;
    this.#admission = admission;
  }

  begin(connection: ServerConnection): void {
    const { login, budget, clock } = this.#options;
    const { id, remoteAddress, remotePort } = connection;
    const ticket = this.#admission.ticketOf(remoteAddress, remotePort);
    // A socket that was closed before its session began has released its place.
    if (!ticket) {
      connection.close();
      return;
    }
    const peer = new ClientPeer(connection, ticket, budget, clock);
    this.#peers.set(id, peer);
    if (login?.trusts(remoteAddress)) peer.trust();
    if (login && !login.trusts(remoteAddress)) peer.awaitLogin();
    else peer.awaitMessage();
  }

  handlers(): SMTPServerOptions {
    return {
      onAuth: (auth, session, callback) => this.#logIn(auth, session, callback),
      onMailFrom: (_address, session, callback) => this.#mail(session, callback),
      onRcptTo: ({ address }, session, callback) => this.#recipient(address, session, callback),
      onData: (stream, session, callback) => this.#content(stream, session, callback),
      onClose: ({ id }) => {
        this.#peers.get(id)?.rest();
        this.#peers.delete(id);
      },
    };
  }

  #logIn(
    auth: SMTPServerAuthentication,
    session: SMTPServerSession,
    callback: Parameters<NonNullable<SMTPServerOptions['onAuth']>>[2],
  ): void {
    const username = auth.username ?? '';
    this.#options.login!.check(username, auth.password ?? '', session).then(
      (user) => this.#loggedIn(user, username, session, callback),
      (error: unknown) => callback(this.#replyFor(error)),
    );
  }

  #loggedIn(
    user: object | undefined,
    username: string,
    session: SMTPServerSession,
    callback: Parameters<NonNullable<SMTPServerOptions['onAuth']>>[2],
  ): void {
    const { name, clock, log } = this.#options;
    const peer = this.#peers.get(session.id);
    // The connection was closed while the credentials were checked.
    if (!peer) return;
    if (user) {
      peer.trust();
      peer.awaitMessage();
      callback(null, { user: user as never });
      return;
    }
    log.warn('login refused', {
      listener: name,
      address: session.remoteAddress,
      user: username.slice(0, 64),
    });
    const refusal = peer.refuse(peer.failedLogin());
    clock.after(this.#limiter.failedLogin(peer.network), () => callback(refusal));
  }

  #mail(session: SMTPServerSession, callback: (error?: Error) => void): void {
    const peer = this.#peers.get(session.id)!;
    const refuse = (error: unknown): void => callback(peer.refuse(this.#replyFor(error)));
    const refusal = this.#limiter.message(peer.network);
    if (refusal) refuse(reply(451, refusal));
    else if (this.#options.onMail) this.#options.onMail(session).then(() => callback(), refuse);
    else callback();
  }

  #recipient(address: string, session: SMTPServerSession, callback: (error?: Error) => void): void {
    const refuse = (error: unknown): void =>
      callback(this.#peers.get(session.id)!.refuse(this.#replyFor(error)));
    try {
      const pending = this.#options.onRecipient(address, session);
      if (pending) pending.then(() => callback(), refuse);
      else callback();
    } catch (error) {
      refuse(error);
    }
  }

  #content(
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
    callback: (error?: Error | null, text?: string) => void,
  ): void {
    const { keepBytes, cutBytes, maxBytes, dataDeadline, onMessage } = this.#options;
    const peer = this.#peers.get(session.id)!;
    const content = peer.buffer(keepBytes?.(session) ?? maxBytes);
    const cut = cutBytes?.(session) ?? Number.POSITIVE_INFINITY;
    let received = 0;
    let whole = false;
    peer.awaitContent(dataDeadline);
    stream.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > cut) {
        content.release();
        peer.cut();
      } else if (stream.sizeExceeded) content.release();
      else content.append(chunk);
    });
    stream.on('close', () => {
      if (!whole) content.release();
    });
    stream.on('end', () => {
      whole = true;
      peer.rest();
      const answer = async (): Promise<string> => {
        if (stream.sizeExceeded) throw reply(552, '5.3.4 Message too large');
        if (content.refused) throw reply(452, '4.3.1 Too much mail is under way, try again later');
        return onMessage(content.bytes(), session);
      };
      answer()
        .then(
          (text) => {
            peer.connection.progress();
            callback(null, text);
          },
          (error: unknown) => callback(this.#replyFor(error)),
        )
        .finally(() => {
          content.release();
          if (this.#peers.has(session.id)) peer.awaitMessage();
        });
    });
  }

  #replyFor(error: unknown): ReturnType<typeof replyFor> {
    return replyFor(error, this.#options.name, this.#options.log);
  }
}
