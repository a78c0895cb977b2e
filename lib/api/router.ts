/**
 * The Postern API, under `/v1`:
 *
 * ```
 *  head ─► bearer key ─► body ─► schema ─► handler ─► 2xx {…}
 *    └─────────┴───────────┴────────┴─────────┴────► 4xx, 5xx {"error": {code, message, action, requestId}}
 * ```
 * No byte of a body is read before the caller is known.
 */
import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { type KeyScope, requireScope } from '../control/key-scope.ts';
import { PosternError } from '../errors.ts';
import {
  type DirectAnswer,
  type DirectRoutes,
  NO_CONTENT,
  toResponse,
  type WholeAnswer,
} from '../http/answer.ts';
import type { BodyReader } from '../http/body-reader.ts';
import type { ApiDeps, ApiEnv } from '../http/deps.ts';
import { parseObject } from '../http/json.ts';
import { headOf, type Incoming, type RequestHead } from '../http/raw-request.ts';
import { authenticate } from './authenticate.ts';
import { refusal } from './errors.ts';
import { OPERATIONS, openapi } from './openapi.ts';
import type { ApiAnswer, ApiCall, ApiOperation } from './operation.ts';
import { requireValid } from './schema.ts';

const NO_BODY = Buffer.alloc(0);
const NO_UPLOAD: AsyncIterable<Uint8Array> = (async function* () {})();

export interface PosternApi {
  /** All routes. */
  app: Hono<ApiEnv>;
  /** Those of a fixed path whose answer is always JSON. */
  direct: DirectRoutes;
}

/** `bodies` is shared with the other routes of the process. */
export function posternApi(deps: ApiDeps, bodies: BodyReader): PosternApi {
  const api = new Hono<ApiEnv>();

  /** @throws PosternError, and what the operation throws. */
  async function run(
    operation: ApiOperation,
    head: RequestHead,
    incoming: Incoming,
    { params, query }: Pick<ApiCall, 'params' | 'query'>,
  ): Promise<ApiAnswer> {
    const { request, handle } = operation;
    const caller = await authenticate(deps.control, head, deps.clock.now());
    const scope = scopeOf(operation);
    if (scope !== undefined) requireScope(caller, scope);
    const held = request && (await bodies.read(incoming, true));
    try {
      const bytes = held?.bytes ?? NO_BODY;
      const body = request && parseObject(bytes);
      if (request) requireValid(request.schema, body);
      const upload = operation.upload ? bodies.stream(incoming) : NO_UPLOAD;
      const unbounded = !('rawPath' in incoming);
      return await handle({ deps, caller, head, params, query, bytes, body, upload, unbounded });
    } finally {
      held?.release();
    }
  }

  const direct = new Map<string, DirectAnswer>();
  for (const operation of OPERATIONS) {
    const { method, path, answer } = operation;
    api.on(method, path.replace(/\{(\w+)\}/g, ':$1'), async (c) => {
      const requestId = randomUUID();
      const { incoming } = c.env;
      try {
        const given = { params: c.req.param(), query: c.req.query() };
        return reply(answer.status, await run(operation, headOf(incoming), incoming, given), requestId);
      } catch (error) {
        return toResponse(refusal(error, requestId, c.req.path, deps.log));
      }
    });
    if (
      path.includes('{') ||
      operation.upload ||
      answer.stream ||
      answer.media ||
      answer.status === NO_CONTENT
    )
      continue;
    direct.set(`${method.toUpperCase()} /v1${path}`, async (head, incoming) => {
      const requestId = randomUUID();
      try {
        const given = await run(operation, head, incoming, { params: {}, query: {} });
        return wholeReply(answer.status, given, requestId);
      } catch (error) {
        return refusal(error, requestId, head.rawPath, deps.log);
      }
    });
  }
  let document: object | undefined;
  api.get('/openapi.json', () => reply(200, { body: (document ??= openapi(deps.version)) }, randomUUID()));
  api.all('*', (c) => {
    const unknown = new PosternError(
      'unknown_operation',
      'No operation has this method and path. See /v1/openapi.json.',
    );
    return toResponse(refusal(unknown, randomUUID(), c.req.path, deps.log));
  });
  return {
    app: new Hono<ApiEnv>().route('/v1', api),
    direct: (method, path) => direct.get(`${method} ${path}`),
  };
}

/** The scope that an operation needs; every key may look at itself. */
function scopeOf({ method, path }: ApiOperation): KeyScope | undefined {
  if (path === '/keys/self') return undefined;
  if (method === 'get') return 'read';
  return path.startsWith('/messages') ? 'send' : 'manage';
}

function reply(status: number, answer: ApiAnswer, requestId: string): Response {
  const { text, stream } = answer;
  const { headers, ...whole } = wholeReply(status, answer, requestId);
  if (stream) {
    headers['content-type'] = 'text/event-stream';
    headers['cache-control'] = 'no-store';
    // nginx would collect events until its buffer is full.
    headers['x-accel-buffering'] = 'no';
    return new Response(stream, { status, headers });
  }
  if (text) {
    headers['content-type'] = `${text.type}; charset=utf-8`;
    headers['content-disposition'] = `attachment; filename="${text.fileName}"`;
    return new Response(encoded(text.pieces), { status, headers });
  }
  return toResponse({ ...whole, headers });
}

/** The reply that an answer of JSON, or without a body, makes. */
function wholeReply(status: number, { body, next, etag }: ApiAnswer, requestId: string): WholeAnswer {
  const headers: Record<string, string> = { 'x-request-id': requestId };
  if (etag !== undefined) headers.etag = etag;
  if (next !== undefined) headers.link = `<${next}>; rel="next"`;
  if (body === undefined) return { status, headers, body: '' };
  headers['content-type'] = 'application/json';
  return { status, headers, body: JSON.stringify(body) };
}

/** A piece is made when the peer has taken the one before. */
function encoded(pieces: AsyncIterable<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const iterator = pieces[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
