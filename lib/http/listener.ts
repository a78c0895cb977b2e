/**
 * Node's HTTP server in front of the APIs.
 *
 * ```
 *  request ─┬─ a plain path that an API answers in one piece ─► the API itself: bytes in, text out
 *           └─ any other ────────────────────────────────────► Hono
 * ```
 * Hono leads the first to the same function (`lib/api/app.ts`), as it does on Lambda. The short way spares a call that sends
 * the Web objects and the router, which cost as much as the rest of its HTTP. What the URL parser in front of Hono would
 * change or refuse (dot segments, encoded octets, odd hosts) is not plain, so both ways see the same paths.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { getRequestListener } from '@hono/node-server';
import type { Clock } from '../time.ts';
import type { DirectRoutes, WholeAnswer } from './answer.ts';
import { hasOneHost, headOf } from './raw-request.ts';

/** Handles a request as Hono does. */
export type FetchHandler = Parameters<typeof getRequestListener>[0];

export interface HttpServerOptions {
  fetch: FetchHandler;
  /** What goes the short way. */
  direct: DirectRoutes;
  /** Host of requests that name none, as HTTP/1.0 has them. */
  host?: string;
  clock: Clock;
  /** Key and certificate in PEM; absent: plain HTTP. */
  tls?: { key: string; cert: string };
}

/** Paths without a query of which every reader makes the same. */
const PLAIN_PATH = /^\/[A-Za-z0-9_~/-]*$/;
/** Hosts of which a URL parser makes the same, ports that are no scheme's among them. */
const PLAIN_HOST = /^[a-z0-9._-]+(?::(?:[1-5]\d{3,4}|[6-9]\d{3}))?$/;

/** What is left of a body after its answer is read for this time and to this size, ms and octets; then the connection ends. */
const DRAIN_TIME = 500;
const DRAIN_SIZE = 64 * 1024 * 1024;

/** Makes the server; it does not listen yet. */
export function createHttpServer({ fetch, direct, host, clock, tls }: HttpServerOptions): Server {
  const rest = getRequestListener(fetch, { hostname: host });
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const shortWay = isPlain(incoming) ? direct(incoming.method!, incoming.url!) : undefined;
    const head = shortWay && headOf(incoming);
    // Neither rejects.
    if (!head || !hasOneHost(head)) return void rest(incoming, outgoing);
    void shortWay(head, incoming).then((answer) => {
      write(answer, outgoing);
      // After `connection: close` Node ends the connection itself.
      if (!incoming.complete && answer.headers.connection !== 'close') drain(incoming, clock);
    });
  };
  return tls ? createHttpsServer(tls, listener) : createServer(listener);
}

/** Whether Hono would see the path and the host of a request as they were sent. */
function isPlain({ method, url, headers }: IncomingMessage): boolean {
  // The answer to HEAD has no body, which Hono takes care of.
  return method !== 'HEAD' && PLAIN_PATH.test(url!) && PLAIN_HOST.test(headers.host ?? '');
}

function write({ status, headers, body }: WholeAnswer, outgoing: ServerResponse): void {
  headers['content-length'] = String(Buffer.byteLength(body));
  outgoing.writeHead(status, headers).end(body);
}

/**
 * Reads the rest of a body that was refused: a client that sends all of it before it reads must find its answer, and one
 * that never ends must not hold the connection.
 */
function drain(incoming: IncomingMessage, clock: Clock): void {
  let size = 0;
  const cut = (): void => {
    stop();
    incoming.socket.destroySoon();
  };
  const stopTimer = clock.after(DRAIN_TIME, cut);
  const onData = (chunk: Buffer): void => {
    size += chunk.length;
    if (size > DRAIN_SIZE) cut();
  };
  const stop = (): void => {
    stopTimer();
    incoming.off('data', onData).off('end', stop).off('close', stop);
  };
  incoming.on('data', onData).on('end', stop).on('close', stop).resume();
}
