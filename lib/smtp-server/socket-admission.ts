/**
 * Decides about a socket before the library sees it: a refused one costs no session, and over TLS no handshake.
 * The place of an admitted socket is given back when it closes.
 */
import type { Server as NetServer, Socket } from 'node:net';
import { canonicalIp } from '../ip.ts';
import { coalesceWrites } from './coalesce.ts';
import type { ConnectionLimiter, Ticket } from './connection-limiter.ts';

export class SocketAdmission {
  readonly #limiter: ConnectionLimiter;
  readonly #implicitTls: boolean;
  readonly #tickets = new Map<string, Ticket>();

  constructor(limiter: ConnectionLimiter, implicitTls: boolean) {
    this.#limiter = limiter;
    this.#implicitTls = implicitTls;
  }

  /** The ticket of an open socket; undefined once it is closed. */
  ticketOf(address: string, port: number): Ticket | undefined {
    return this.#tickets.get(placeOf(address, port));
  }

  /** Stands before the listeners that `sockets` has now. */
  guard(sockets: NetServer): void {
    const accept = sockets.listeners('connection') as ((socket: Socket) => void)[];
    sockets.removeAllListeners('connection');
    sockets.on('connection', (socket: Socket) => {
      const refusal = this.#admit(socket);
      if (refusal === undefined) {
        for (const one of accept) one.call(sockets, socket);
        return;
      }
      socket.on('error', () => undefined);
      if (this.#implicitTls) {
        socket.destroy();
      } else {
        socket.end(`421 ${refusal}\r\n`);
        socket.destroySoon();
      }
    });
  }

  #admit(socket: Socket): string | undefined {
    const ticket = this.#limiter.admit(socket.remoteAddress ?? '');
    if (typeof ticket === 'string') return ticket;
    const place = placeOf(socket.remoteAddress ?? '', socket.remotePort ?? 0);
    this.#tickets.set(place, ticket);
    socket.once('close', () => {
      ticket.release();
      this.#tickets.delete(place);
    });
    if (!this.#implicitTls) coalesceWrites(socket);
    return undefined;
  }
}

function placeOf(address: string, port: number): string {
  return `${canonicalIp(address)}|${port}`;
}
