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
import { type Context, Hono } from 'hono';
import { type KeyScope, requireScope } from '../control/key-scope.ts';
import { PosternError } from '../errors.ts';
import type { BodyReader } from '../http/body-reader.ts';
import type { ApiDeps, ApiEnv } from '../http/deps.ts';
import { parseObject } from '../http/json.ts';
import { headOf } from '../http/raw-request.ts';
import { authenticate } from './authenticate.ts';
import { refusal } from './errors.ts';
import { OPERATIONS, openapi } from './openapi.ts';
import type { ApiAnswer, ApiOperation } from './operation.ts';
import { requireValid } from './schema.ts';

const NO_BODY = Buffer.alloc(0);
const NO_UPLOAD: AsyncIterable<Uint8Array> = (async function* () {})();

/** The routes, without their `/v1`. `bodies` is shared with the other routes of the process. */
export function posternApi(deps: ApiDeps, bodies: BodyReader): Hono<ApiEnv> {
  const api = new Hono<ApiEnv>();

  async function run(c: Context<ApiEnv>, operation: ApiOperation, requestId: string) {
    const { request, answer, handle } = operation;
    const { incoming } = c.env;
    const head = headOf(incoming);
    const caller = await authenticate(deps.control, head, deps.clock.now());
    const scope = scopeOf(operation);
    if (scope !== undefined) requireScope(caller, scope);
    const held = request && (await bodies.read(incoming, true));
    try {
      const bytes = held?.bytes ?? NO_BODY;
      const body = request && parseObject(bytes);
      if (request) requireValid(request.schema, body);
      const [params, query] = [c.req.param(), c.req.query()];
      const upload = operation.upload ? bodies.stream(incoming) : NO_UPLOAD;
      const unbounded = !('rawPath' in incoming);
      const call = { deps, caller, head, params, query, bytes, body, upload, unbounded };
      return reply(answer.status, await handle(call), requestId);
    } finally {
      held?.release();
    }
  }

  for (const operation of OPERATIONS) {
    api.on(operation.method, operation.path.replace(/\{(\w+)\}/g, ':$1'), async (c) => {
      const requestId = randomUUID();
      try {
        return await run(c, operation, requestId);
      } catch (error) {
        return refusal(error, requestId, c.req.path, deps.log);
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
    return refusal(unknown, randomUUID(), c.req.path, deps.log);
  });
  return api;
}

/** The scope that an operation needs; every key may look at itself. */
function scopeOf({ method, path }: ApiOperation): KeyScope | undefined {
  if (path === '/keys/self') return undefined;
  if (method === 'get') return 'read';
  return path.startsWith('/messages') ? 'send' : 'manage';
}

function reply(status: number, { body, text, next, etag, stream }: ApiAnswer, requestId: string): Response {
  const headers = new Headers({ 'x-request-id': requestId });
  if (stream) {
    headers.set('content-type', 'text/event-stream');
    headers.set('cache-control', 'no-store');
    // nginx would collect events until its buffer is full.
    headers.set('x-accel-buffering', 'no');
    return new Response(stream, { status, headers });
  }
  if (etag !== undefined) headers.set('etag', etag);
  if (next !== undefined) headers.set('link', `<${next}>; rel="next"`);
  if (text) {
    headers.set('content-type', `${text.type}; charset=utf-8`);
    headers.set('content-disposition', `attachment; filename="${text.fileName}"`);
    return new Response(encoded(text.pieces), { status, headers });
  }
  if (body === undefined) return new Response(null, { status, headers });
  headers.set('content-type', 'application/json');
  return new Response(JSON.stringify(body), { status, headers });
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
