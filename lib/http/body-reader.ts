/**
 * Reads request bodies within shared limits, so that a caller who sends one octet at a time, or a thousand callers
 * who send nothing of the 50 MB that they announced, hold neither a connection nor memory for long.
 *
 * ```
 *  caller proven before its body (bearer key, declared hash)  ─► `buffered`; small bodies always
 *  caller proven by its body alone (no x-amz-content-sha256)  ─► `unproven`, a small budget that counts every octet
 *                                    └─ signature right: proven(), the octets move to `buffered`
 * ```
 * So a stranger who learnt a key id, which is no secret, can delay other unproven bodies only. The number of
 * connections bounds the small bodies that are always read.
 */
import type { IncomingMessage } from 'node:http';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import type { Incoming } from './raw-request.ts';

export interface BodyLimits {
  /** Maximum size of one body, octets; one more is `too_large`. */
  bytes: number;
  /** Time before the rate counts, ms. */
  grace: number;
  /** Minimum rate of a body after that, octets a second; a slower one is `request_timeout`. */
  rate: number;
  /** Maximum of all bodies of proven callers at one time, octets; a body that would exceed it is `throttled`. */
  buffered: number;
  /** Maximum of all bodies of unproven callers at one time, octets. */
  unproven: number;
}

/** A body of a proven caller up to this size is always read, octets: large uploads must not stop small calls. */
const ALWAYS_READ = 64 * 1024;

const EMPTY = Buffer.alloc(0);

/** A body in memory. */
export interface HeldBody {
  readonly bytes: Buffer;
  /** Marks the caller as proven: the octets count with those of proven callers. */
  proven(): void;
  /** The octets are no longer needed. */
  release(): void;
}

export interface BodyReader {
  /**
   * @param proven whether the caller is proven already.
   * @throws PosternError `too_large`, `request_timeout`, `throttled`, or `bad_request` for a cut connection.
   */
  read(incoming: Incoming, proven: boolean): Promise<HeldBody>;
  /**
   * The body of a proven caller as it arrives, of any length: it holds a piece at a time. While its reader is busy
   * nothing is read.
   * @throws PosternError `request_timeout`, or `bad_request` for a cut connection.
   */
  stream(incoming: Incoming): AsyncIterable<Uint8Array>;
}

/** The octets of one kind of bodies. */
interface BodyBudget {
  held: number;
  readonly most: number;
  readonly always: number;
}

class CountedBody implements HeldBody {
  readonly bytes: Buffer;
  readonly #buffered: BodyBudget;
  /** Where its octets count; undefined: nowhere any more. */
  #counted: BodyBudget | undefined;

  /** @param buffered of proven callers. */
  constructor(bytes: Buffer, counted: BodyBudget, buffered: BodyBudget) {
    this.bytes = bytes;
    this.#counted = counted;
    this.#buffered = buffered;
  }

  proven(): void {
    if (this.#counted === undefined || this.#counted === this.#buffered) return;
    this.#counted.held -= this.bytes.length;
    this.#buffered.held += this.bytes.length;
    this.#counted = this.#buffered;
  }

  release(): void {
    if (this.#counted) this.#counted.held -= this.bytes.length;
    this.#counted = undefined;
  }
}

/** Makes a reader of bodies. `clock` measures their rate. */
export function createBodyReader(limits: BodyLimits, clock: Clock): BodyReader {
  const buffered: BodyBudget = { held: 0, most: limits.buffered, always: ALWAYS_READ };
  const unproven: BodyBudget = { held: 0, most: limits.unproven, always: 0 };

  function hold(bytes: Buffer, budget: BodyBudget): HeldBody {
    return new CountedBody(bytes, budget, buffered);
  }

  /**
   * The body when all of it has come, as a short one does in the packet of its head: there is nothing to wait for, so
   * neither listeners nor a timer are set up. Undefined: it is to be received, or refused.
   */
  function arrived(incoming: IncomingMessage, budget: BodyBudget): Buffer | undefined {
    const { readableLength: size } = incoming;
    if (size === 0 || String(size) !== incoming.headers['content-length'] || incoming.destroyed)
      return undefined;
    if (size > limits.bytes || (size > budget.always && budget.held + size > budget.most)) return undefined;
    const body = incoming.read() as Buffer;
    // Lets the request end, as it does for who listens: the server forgets it then.
    incoming.resume();
    budget.held += size;
    return body;
  }

  /** Receives a body; the budget counts its octets until the body is released or fails. */
  function receive(incoming: IncomingMessage, budget: BodyBudget): Promise<Buffer> {
    const { 'content-length': length, 'transfer-encoding': encoding } = incoming.headers;
    if (length === undefined && encoding === undefined) return Promise.resolve(EMPTY);
    // Refused before an octet is read: the announced length is enough.
    if (Number(length) > limits.bytes) return Promise.reject(tooLarge(limits.bytes));

    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      const started = clock.now();
      let size = 0;
      let stopTimer = clock.after(limits.grace, checkRate);

      function checkRate(): void {
        // Each received octet adds its share of time; a body that keeps ahead of the rate is never cut off.
        const allowed = limits.grace + (size / limits.rate) * 1000;
        const left = started + allowed - clock.now();
        if (left > 0) stopTimer = clock.after(Math.ceil(left), checkRate);
        else fail(new PosternError('request_timeout', 'The body of the request came too slowly.'));
      }

      function onData(chunk: Buffer): void {
        size += chunk.length;
        budget.held += chunk.length;
        chunks.push(chunk);
        if (size > limits.bytes) fail(tooLarge(limits.bytes));
        else if (size > budget.always && budget.held > budget.most)
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
        budget.held -= size;
        incoming.pause();
        reject(error);
      }

      function finish(): void {
        stopTimer();
        incoming.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
        // A socket error after the answer must find a listener, or it crashes the process.
        incoming.on('error', ignore);
      }

      incoming.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
      // Cut off before the listener was attached: no event will follow.
      if (incoming.destroyed) onClose();
    });
  }

  return {
    async read(incoming, proven) {
      const budget = proven ? buffered : unproven;
      if (!('rawPath' in incoming))
        return hold(arrived(incoming, budget) ?? (await receive(incoming, budget)), budget);
      if (incoming.body.length > limits.bytes) throw tooLarge(limits.bytes);
      budget.held += incoming.body.length;
      return hold(incoming.body, budget);
    },
    stream: (incoming) => streamBody(incoming, limits, clock),
  };
}

/** Of the rate only the time counts in which a piece was awaited. */
async function* streamBody(
  incoming: Incoming,
  { grace, rate }: BodyLimits,
  clock: Clock,
): AsyncGenerator<Uint8Array> {
  if ('rawPath' in incoming) {
    if (incoming.body.length > 0) yield incoming.body;
    return;
  }
  const pieces = incoming[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let received = 0;
  let waited = 0;
  try {
    for (;;) {
      const from = clock.now();
      const next = pieces.next().catch(() => {
        throw new PosternError('bad_request', 'The connection closed before the whole body had come.');
      });
      const left = grace + (received / rate) * 1000 - waited;
      const { done, value } = await within(next, Math.ceil(left), clock);
      if (done) return;
      waited += clock.now() - from;
      received += value.length;
      yield value;
    }
  } finally {
    // A socket error after the answer must find a listener, or it crashes the process.
    incoming.on('error', ignore);
  }
}

/** @throws PosternError `request_timeout` when a piece does not come in time. */
function within<T>(piece: Promise<T>, time: number, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = clock.after(time, () =>
      reject(new PosternError('request_timeout', 'The body of the request came too slowly.')),
    );
    piece.then(resolve, reject).finally(stop);
  });
}

function ignore(): void {}

function tooLarge(limit: number): PosternError {
  return new PosternError('too_large', `The request is larger than ${limit} bytes.`);
}
