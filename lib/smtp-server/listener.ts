/**
 * An SMTP listener: what the submission and the inbound listener have in common. It limits what a peer may take
 * (connections, time, commands, failed logins, octets) and hands over whole messages.
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
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import {
  SMTPServer,
  type SMTPServerAuthentication,
  type SMTPServerDataStream,
  type SMTPServerSession,
} from 'smtp-server';
import { canonicalIp } from '../ip.ts';
import type { Log } from '../log.ts';
import type { Clock } from '../time.ts';
import { coalesceWrites } from './coalesce.ts';
import { ServerConnection } from './connection.ts';
import { ConnectionLimiter, type ListenerLimits, type Ticket } from './connection-limiter.ts';
import type { SmtpBudget } from './octet-budget.ts';
import { ClientPeer } from './peer.ts';
import { reply, replyFor } from './reply.ts';

export interface ListenerOptions {
  /** In the log. */
  name: 'submission' | 'inbound';
  host: string;
  port: number;
  hostname: string;
  /** PEM; absent: no STARTTLS. */
  tls?: { key: string; cert: string };
  /** TLS from the first byte (RFC 8314). */
  implicitTls?: boolean;
  /** Absent: no AUTH is offered, and none is needed. */
  login?: Login;
  /** SIZE; a larger message is refused. */
  maxBytes: number;
  /** Octets from the start of a message that are kept; absent: all. */
  keepBytes?: number;
  /** The whole content must arrive within this time, ms. */
  dataDeadline: number;
  limits: ListenerLimits;
  /** Shared by all listeners of the process. */
  budget: SmtpBudget;
  clock: Clock;
  log: Log;
  /** Each throws what is to be answered instead of 250: an error of `reply`, or a PosternError. */
  onMail?: (session: SMTPServerSession) => void;
  onRecipient: (address: string, session: SMTPServerSession) => void | Promise<void>;
  /** @returns the text of the 250. `bytes` are valid until it settles. */
  onMessage: (bytes: Buffer, session: SMTPServerSession) => Promise<string>;
}

export interface Login {
  /** AUTH before TLS: only where no third party can listen, as on a loopback address. */
  insecure: boolean;
  /** @returns what becomes `session.user`; undefined for wrong credentials. */
  check(username: string, password: string, session: SMTPServerSession): object | undefined;
  /** Whether peers of an address need no login. */
  trusts(address: string): boolean;
}

export interface Listener {
  address: AddressInfo;
  /** Connections open now. */
  connections(): number;
  /** Another certificate for the connections that begin from now on. */
  renew(tls: { key: string; cert: string }): void;
  /** Stops taking connections; messages being answered are answered. */
  close(): Promise<void>;
}

const IDLE_TIMEOUT = 60_000;
const CLOSE_TIMEOUT = 10_000;

export function startListener(options: ListenerOptions): Promise<Listener> {
  const { login, limits, budget, clock, log, name } = options;
  const limiter = new ConnectionLimiter(limits, clock);
  const tickets = new Map<string, Ticket>();
  const peers = new Map<string, ClientPeer>();

  class Server extends SMTPServer {
    override connect(
      socket: Socket | TLSSocket,
      socketOptions?: ConstructorParameters<typeof ServerConnection>[2],
    ): void {
      const connection = new ServerConnection(this, socket, socketOptions);
      this.connections.add(connection);
      welcome(connection);
      connection.on('error', (error: Error) => this._onError(error));
      connection.init();
    }
  }

  function welcome(connection: ServerConnection): void {
    const { id, remoteAddress, remotePort } = connection;
    const ticket = tickets.get(placeOf(remoteAddress, remotePort));
    // A socket that was closed before its session began has given its place back.
    if (!ticket) {
      connection.close();
      return;
    }
    const peer = new ClientPeer(connection, ticket, budget, clock);
    peers.set(id, peer);
    if (login?.trusts(remoteAddress)) peer.trust();
    if (login && !login.trusts(remoteAddress)) peer.awaitLogin();
    else peer.awaitMessage();
  }

  const server = new Server({
    ...options.tls,
    name: options.hostname,
    banner: 'Postern',
    secure: options.implicitTls,
    disabledCommands: [...(login ? [] : ['AUTH']), ...(options.tls ? [] : ['STARTTLS'])],
    authMethods: ['PLAIN', 'LOGIN'],
    authOptional: true,
    allowInsecureAuth: login?.insecure,
    size: options.maxBytes,
    rejectOversized: true,
    disableReverseLookup: true,
    socketTimeout: IDLE_TIMEOUT,
    closeTimeout: CLOSE_TIMEOUT,
    logger: false,

    onAuth(auth: SMTPServerAuthentication, session, callback) {
      const peer = peers.get(session.id)!;
      const username = auth.username ?? '';
      const user = login!.check(username, auth.password ?? '', session);
      if (user) {
        peer.trust();
        peer.awaitMessage();
        return callback(null, { user: user as never });
      }
      log.warn('login refused', {
        listener: name,
        address: session.remoteAddress,
        user: username.slice(0, 64),
      });
      const refusal = peer.refuse(peer.failedLogin());
      clock.after(limiter.failedLogin(peer.network), () => callback(refusal));
    },

    onMailFrom(_address, session, callback) {
      const peer = peers.get(session.id)!;
      try {
        const refusal = limiter.message(peer.network);
        if (refusal) throw reply(451, refusal);
        options.onMail?.(session);
        callback();
      } catch (error) {
        callback(peer.refuse(replyFor(error, name, log)));
      }
    },

    onRcptTo({ address }, session, callback) {
      const refuse = (error: unknown): void =>
        callback(peers.get(session.id)!.refuse(replyFor(error, name, log)));
      try {
        const pending = options.onRecipient(address, session);
        if (pending) pending.then(() => callback(), refuse);
        else callback();
      } catch (error) {
        refuse(error);
      }
    },

    onData(stream, session, callback) {
      receive(stream, session, peers.get(session.id)!, callback);
    },

    onClose(session) {
      peers.get(session.id)?.rest();
      peers.delete(session.id);
    },
  });

  function receive(
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
    peer: ClientPeer,
    callback: (error?: Error | null, text?: string) => void,
  ): void {
    const content = peer.buffer(options.keepBytes ?? options.maxBytes);
    let whole = false;
    peer.awaitContent(options.dataDeadline);
    stream.on('data', (chunk: Buffer) => {
      if (stream.sizeExceeded) content.release();
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
        return options.onMessage(content.bytes(), session);
      };
      answer()
        .then(
          (text) => {
            peer.connection.progress();
            callback(null, text);
          },
          (error: unknown) => callback(replyFor(error, name, log)),
        )
        .finally(() => {
          content.release();
          if (peers.has(session.id)) peer.awaitMessage();
        });
    });
  }

  server.on('error', (error: Error) => log.debug(`${name} peer`, { error: error.message }));
  admitFirst(server.server, options.implicitTls === true, (socket) => {
    const ticket = limiter.admit(socket.remoteAddress ?? '');
    if (typeof ticket === 'string') return ticket;
    const place = placeOf(socket.remoteAddress ?? '', socket.remotePort ?? 0);
    tickets.set(place, ticket);
    socket.once('close', () => {
      ticket.release();
      tickets.delete(place);
    });
    if (!options.implicitTls) coalesceWrites(socket);
    return undefined;
  });

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

/** Decides about a socket before the library sees it: a refused one costs no session, and over TLS no handshake. */
function admitFirst(
  sockets: NetServer,
  implicitTls: boolean,
  admit: (socket: Socket) => string | undefined,
): void {
  const accept = sockets.listeners('connection') as ((socket: Socket) => void)[];
  sockets.removeAllListeners('connection');
  sockets.on('connection', (socket: Socket) => {
    const refusal = admit(socket);
    if (refusal === undefined) {
      for (const one of accept) one.call(sockets, socket);
      return;
    }
    socket.on('error', () => undefined);
    if (implicitTls) {
      socket.destroy();
    } else {
      socket.end(`421 ${refusal}\r\n`);
      socket.destroySoon();
    }
  });
}

function placeOf(address: string, port: number): string {
  return `${canonicalIp(address)}|${port}`;
}
