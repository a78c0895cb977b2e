/**
 * How the clients of the hot paths speak HTTP: a request, and its whole answer. The SDK's own handler can stream, keeps
 * five timers for a request and pipes each answer through two streams, which took more than all else that the SDK
 * does. Bodies of S3 keep that one.
 *
 * Failures have the names by which the SDK decides about another try: `TimeoutError` for what was too slow or was cut off.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Sockets } from './sockets.ts';

/** A request as the SDK has signed it: JSON is always sent by POST, and has no query. */
interface SignedRequest {
  protocol: string;
  hostname: string;
  port?: number;
  path: string;
  method: string;
  headers: Record<string, string>;
  body?: string | Uint8Array;
}

interface SdkAnswer {
  statusCode: number;
  headers: Record<string, string>;
  body: Buffer;
}

export interface Deadlines {
  /** Time until a connection is there: until one of the agent's is free, or a new one is open, ms. */
  connection: number;
  /** Time until the answer is complete, the connection's time included, ms. */
  answer: number;
}

/** Codes of a connection that was cut off. */
const CUT = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT']);

/** The SDK's `HttpHandler`. */
export class HttpExchange {
  readonly metadata = { handlerProtocol: 'http/1.1' };
  readonly #sockets: Pick<Sockets, 'httpAgent' | 'httpsAgent'>;
  readonly #deadlines: Deadlines;

  constructor(sockets: Pick<Sockets, 'httpAgent' | 'httpsAgent'>, deadlines: Deadlines) {
    this.#sockets = sockets;
    this.#deadlines = deadlines;
  }

  handle({
    protocol,
    hostname,
    port,
    path,
    method,
    headers,
    body,
  }: SignedRequest): Promise<{ response: SdkAnswer }> {
    const { httpAgent, httpsAgent } = this.#sockets;
    const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
    const options = { host, port, path, method, headers };
    return new Promise((resolve, reject) => {
      const request =
        protocol === 'https:'
          ? httpsRequest({ ...options, agent: httpsAgent })
          : httpRequest({ ...options, agent: httpAgent });
      const fail = (error: NodeJS.ErrnoException): void => {
        end();
        reject(CUT.has(error.code ?? '') ? Object.assign(error, { name: 'TimeoutError' }) : error);
      };
      const end = limit(request, this.#deadlines, fail);
      request.on('error', fail);
      request.on('response', (answer) => {
        collect(answer, fail, (whole) => {
          end();
          resolve({
            response: {
              statusCode: answer.statusCode ?? 0,
              headers: answer.headers as Record<string, string>,
              body: whole,
            },
          });
        });
      });
      request.end(body);
    });
  }

  destroy(): void {
    this.#sockets.httpAgent.destroy();
    this.#sockets.httpsAgent.destroy();
  }

  /** Of the SDK's interface, for what is changed after the client was made: nothing is. */
  updateHttpClientConfig(): void {}

  httpHandlerConfigs(): Record<string, never> {
    return {};
  }
}

/**
 * Fails the request when a deadline has passed. One timer at a time: most answers are there before the first rings.
 * @returns what ends it.
 */
function limit(
  request: ClientRequest,
  { connection, answer }: Deadlines,
  fail: (error: Error) => void,
): () => void {
  const late = (text: string): void => {
    // One that waits for a connection would report its end only with one.
    fail(Object.assign(new Error(text), { code: 'ETIMEDOUT' }));
    request.destroy();
  };
  let timer = setTimeout(() => {
    if (request.socket === null || request.socket.connecting) {
      late(`No connection was there within ${connection} ms.`);
    } else timer = setTimeout(() => late(`No answer came within ${answer} ms.`), answer - connection);
  }, connection);
  return () => clearTimeout(timer);
}

function collect(answer: IncomingMessage, fail: (error: Error) => void, done: (whole: Buffer) => void): void {
  const parts: Buffer[] = [];
  answer.on('data', (part: Buffer) => void parts.push(part));
  answer.on('error', fail);
  answer.on('end', () => done(parts.length === 1 ? parts[0]! : Buffer.concat(parts)));
}
