/**
 * The request as it came over the wire. Signatures are computed over the raw path, the raw query and the
 * headers as sent; whatever a URL parser, a proxy or a framework makes tidy breaks them. So every door that
 * verifies a signature reads this, never `c.req`.
 *
 * A body is read once, to a limit in bytes and against a lower limit in bytes a second, so that a caller who
 * sends one byte at a time, or a thousand callers who send nothing of the 50 MB they announced, hold neither a
 * connection nor memory for long.
 */
import type { IncomingMessage } from 'node:http';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';

/** Everything of a request but its body. */
export interface RequestHead {
  method: string;
  /** Path as sent, percent-encoding and all, without the query. */
  rawPath: string;
  /** What followed the first `?`, without it; empty when there was none. */
  rawQuery: string;
  /** Names in lower case, values as latin1 (one character is one byte), in wire order, duplicates kept. */
  headers: [name: string, value: string][];
  /** Address of the peer. */
  sourceIp: string;
}

export interface RawRequest extends RequestHead {
  body: Buffer;
}

/** A request as its server hands it over: Node's HTTP server while it still comes in, Lambda whole. */
export type Incoming = IncomingMessage | RawRequest;

/** The head of a request. */
export function headOf(incoming: Incoming): RequestHead {
  if ('rawPath' in incoming) return incoming;
  const url = incoming.url ?? '/';
  const question = url.indexOf('?');
  const raw = incoming.rawHeaders;
  const headers: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) headers.push([raw[i]!.toLowerCase(), raw[i + 1]!]);
  return {
    method: incoming.method ?? 'GET',
    rawPath: question < 0 ? url : url.slice(0, question),
    rawQuery: question < 0 ? '' : url.slice(question + 1),
    headers,
    sourceIp: incoming.socket.remoteAddress ?? '',
  };
}

/** The first value of a header. `name` in lower case. */
export function headerOf(head: RequestHead, name: string): string | undefined {
  for (const [other, value] of head.headers) if (other === name) return value;
  return undefined;
}

export interface BodyLimits {
  /** Most bytes of one body; one more is `too_large`. */
  bytes: number;
  /** Milliseconds before the rate counts. */
  grace: number;
  /** Bytes a second that a body must come at after that; a slower one is `request_timeout`. */
  rate: number;
  /** Most bytes of all bodies held at one time; a body that would exceed it is `throttled`. */
  buffered: number;
}

/** A body this small is taken whatever the others hold: large uploads must not lock out small calls. */
const ALWAYS_TAKEN = 64 * 1024;

const EMPTY = Buffer.alloc(0);

/** Reads bodies within limits that they share. `release` is called when a body is no longer needed. */
export interface BodyReader {
  /** @throws PosternError `too_large`, `request_timeout`, `throttled`, or `bad_request` for a cut connection. */
  read(incoming: Incoming): Promise<Buffer>;
  release(body: Buffer): void;
}

/** Makes a reader of bodies. `clock` measures their rate. */
export function createBodyReader(limits: BodyLimits, clock: Clock): BodyReader {
  let held = 0;

  function read(incoming: Incoming): Promise<Buffer> {
    if (!('rawPath' in incoming)) return receive(incoming);
    const { body } = incoming;
    if (body.length > limits.bytes) return Promise.reject(tooLarge(limits.bytes));
    held += body.length;
    return Promise.resolve(body);
  }

  function receive(incoming: IncomingMessage): Promise<Buffer> {
    const { 'content-length': length, 'transfer-encoding': encoding } = incoming.headers;
    if (length === undefined && encoding === undefined) return Promise.resolve(EMPTY);
    // Refused before a byte is read: the announced length alone is enough.
    if (Number(length) > limits.bytes) return Promise.reject(tooLarge(limits.bytes));

    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      const started = clock.now();
      let size = 0;
      let stopTimer = clock.after(limits.grace, checkRate);

      function checkRate(): void {
        // Each byte received buys its share of time; who stays ahead of the rate is never cut off.
        const allowed = limits.grace + (size / limits.rate) * 1000;
        const left = started + allowed - clock.now();
        if (left > 0) stopTimer = clock.after(Math.ceil(left), checkRate);
        else fail(new PosternError('request_timeout', 'The body of the request came too slowly.'));
      }

      function onData(chunk: Buffer): void {
        size += chunk.length;
        held += chunk.length;
        chunks.push(chunk);
        if (size > limits.bytes) fail(tooLarge(limits.bytes));
        else if (size > ALWAYS_TAKEN && held > limits.buffered)
          fail(new PosternError('throttled', 'Too many large requests at one time. Try again shortly.'));
      }

      function onEnd(): void {
        finish();
        resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size));
      }

      function onClose(): void {
        fail(new PosternError('bad_request', 'The connection closed before the whole body had come.'));
      }

      function fail(error: PosternError): void {
        finish();
        held -= size;
        incoming.pause();
        reject(error);
      }

      function finish(): void {
        stopTimer();
        incoming.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
        // A socket error that comes after the answer must find a listener, or it ends the process.
        incoming.on('error', ignore);
      }

      incoming.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
      // Cut off before anyone listened: no event will come any more.
      if (incoming.destroyed) onClose();
    });
  }

  return {
    read,
    release(body) {
      held -= body.length;
    },
  };
}

function ignore(): void {}

function tooLarge(limit: number): PosternError {
  return new PosternError('too_large', `The request is larger than ${limit} bytes.`);
}
