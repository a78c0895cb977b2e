/**
 * Connections that are kept open between requests, and how far they can be trusted.
 *
 * A process that was stopped (Lambda freezes idle functions) wakes with connections that the other side has closed: a
 * send on one is answered by a reset. So connections that have been idle for some seconds are dropped before a send.
 * When one is reset all the same, used before and without a byte of an answer, it was closed while the request was
 * under way to it; that case is distinguished from a lost answer.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Socket } from 'node:net';

/** Maximum idle time of connections used for a send, ms: services close them somewhat later. */
const IDLE = 4_000;

/** Errors of requests on connections that were closed while they were idle. */
const unheard = new WeakSet<object>();

/** Whether a request was cut off on a connection that had been idle, before a byte of an answer came. */
export function isUnheard(error: unknown): boolean {
  return typeof error === 'object' && error !== null && unheard.has(error);
}

export interface Sockets {
  httpAgent: HttpAgent;
  httpsAgent: HttpsAgent;
  /** Drops connections that have been idle long enough for the other side to close them. */
  dropIdle(): void;
}

/** @param steady clock in ms that never goes back and advances while the process is stopped. */
export function keepSockets(maxSockets: number, steady: () => number): Sockets {
  const options = { maxSockets, keepAlive: true };
  const agents = { httpAgent: new HttpAgent(options), httpsAgent: new HttpsAgent(options) };
  const idleSince = new WeakMap<Socket, number>();
  for (const agent of Object.values(agents)) watch(agent, idleSince, steady);
  return {
    ...agents,
    dropIdle() {
      const since = steady() - IDLE;
      for (const agent of Object.values(agents)) {
        for (const free of Object.values(agent.freeSockets)) {
          for (const socket of free ?? []) if ((idleSince.get(socket) ?? 0) < since) socket.destroy();
        }
      }
    },
  };
}

/** Records when a connection becomes idle, and the result of its next request. */
function watch(agent: HttpAgent, idleSince: WeakMap<Socket, number>, steady: () => number): void {
  const { keepSocketAlive, reuseSocket } = agent;
  agent.keepSocketAlive = (socket: Socket) => {
    idleSince.set(socket, steady());
    return keepSocketAlive.call(agent, socket);
  };
  agent.reuseSocket = (socket: Socket, request) => {
    reuseSocket.call(agent, socket, request);
    const before = socket.bytesRead;
    request.prependOnceListener('error', (error: NodeJS.ErrnoException) => {
      const cut = error.code === 'ECONNRESET' || error.code === 'EPIPE';
      if (cut && socket.bytesRead === before) unheard.add(error);
    });
  };
}
