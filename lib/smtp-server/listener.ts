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
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { Turns } from '../turns.ts';
import { ConnectionLimiter } from './connection-limiter.ts';
import type { ListenerOptions } from './options.ts';
import { ServerSession, type SessionHost } from './session.ts';

export interface Listener {
  address: AddressInfo;
  /** Number of open connections. */
  connections(): number;
  /** Sets another certificate for connections that begin from now on. */
  renew(tls: { key: string; cert: string }): void;
  /** Stops accepting connections; messages that arrived are still answered. */
  close(): Promise<void>;
}

/** Time for the messages that are under way when the listener closes, ms. */
const CLOSE_TIMEOUT = 10_000;

/** Starts the listener. @returns resolves when it listens. */
export function startListener(options: ListenerOptions): Promise<Listener> {
  const { clock, tls, proxies } = options;
  const limiter = new ConnectionLimiter(options.limits, clock);
  const sessions = new Set<ServerSession>();
  let context = tls && createSecureContext(tls);
  const host: SessionHost = {
    options,
    limiter,
    turns: new Turns(),
    secureContext: () => context,
    closed: (session) => sessions.delete(session),
  };
  // Each write is a whole answer: to wait for another one would delay it until the peer has acknowledged the last.
  const server = createServer({ noDelay: true }, (socket) => {
    const ticket = limiter.admit(socket.remoteAddress ?? '');
    if (typeof ticket === 'string') turnAway(socket, options.implicitTls ? undefined : `421 ${ticket}\r\n`);
    else sessions.add(new ServerSession(socket, ticket, host));
  });
  proxies?.guard(server);

  const close = (): Promise<void> =>
    new Promise((resolve) => {
      const cancel = clock.after(CLOSE_TIMEOUT, () => {
        for (const session of sessions) session.cutOff();
        resolve();
      });
      server.close(() => {
        cancel();
        resolve();
      });
      for (const session of sessions) session.shutDown();
    });

  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      server.on('error', (error) => options.log.debug(`${options.name} listener`, { error: error.message }));
      resolve({
        address: server.address() as AddressInfo,
        connections: () => sessions.size,
        renew: (renewed) => {
          context = createSecureContext(renewed);
        },
        close,
      });
    });
  });
}

/** Closes a socket before it costs a session or, where TLS comes first, a handshake. */
function turnAway(socket: Socket, text: string | undefined): void {
  socket.on('error', () => undefined);
  if (text === undefined) {
    socket.destroy();
    return;
  }
  socket.end(text);
  socket.destroySoon();
}
