/**
 * The Postern API, under `/v1`:
 *
 * ```
 *  head ─► bearer key ─► body ─► schema ─► handler ─► 2xx {…}
 *    └─────────┴───────────┴────────┴─────────┴────► 4xx, 5xx {"error": {code, message, action, requestId}}
 * ```
 * Nothing of a body is read before it is known who sends it. What an operation is called, takes and answers
 * is in the document (openapi.ts); here it gets its handler.
 */
import { randomUUID } from 'node:crypto';
import { type Context, Hono } from 'hono';
import { PosternError } from '../errors.ts';
import type { ApiDeps, ApiEnv } from '../http/deps.ts';
import { type BodyReader, headOf } from '../http/raw-request.ts';
import { parseObject } from '../ses/validation.ts';
import { authenticate } from './authenticate.ts';
import { createDirective, listDirectives, removeDirective } from './directives.ts';
import {
  documentHistory,
  getDocument,
  listDocuments,
  putDocument,
  removeDocument,
  rollBackDocument,
} from './documents.ts';
import { refusal } from './errors.ts';
import { explainShaping } from './explain.ts';
import { checkIdentity, identityDns } from './identities.ts';
import { createKey, listKeys, revokeKey } from './keys.ts';
import { cancelMessage, getMessage, messageEvents } from './messages.ts';
import { type Operation, openapi, PATHS } from './openapi.ts';
import type { Answer, Call, Handler } from './operation.ts';
import { getPolicy } from './policy.ts';
import { createValidator } from './schema.ts';
import { SCHEMAS } from './schemas.ts';
import { sendMessages } from './send.ts';
import { getSuppression, listSuppressions, putSuppression, removeSuppression } from './suppressions.ts';
import { listWarmup } from './warmup.ts';

/** Handlers by operationId. */
const HANDLERS: Readonly<Record<string, Handler>> = {
  sendMessages,
  getMessage,
  cancelMessage,
  messageEvents,
  createKey,
  listKeys,
  revokeKey,
  identityDns,
  checkIdentity,
  listSuppressions,
  getSuppression,
  putSuppression,
  removeSuppression,
  createDirective,
  listDirectives,
  removeDirective,
  explainShaping,
  listWarmup,
  listDocuments,
  getDocument,
  putDocument,
  removeDocument,
  documentHistory,
  rollBackDocument,
  getPolicy,
};

const NO_BODY = Buffer.alloc(0);

/** The routes, without their `/v1`. `bodies` is shared with the other routes of the process. */
export function posternApi(deps: ApiDeps, bodies: BodyReader): Hono<ApiEnv> {
  const validator = createValidator(SCHEMAS);
  const api = new Hono<ApiEnv>();

  async function run(c: Context<ApiEnv>, operation: Operation, handler: Handler, requestId: string) {
    const head = headOf(c.env.incoming);
    const caller = authenticate(deps.control.keys, head);
    const { request } = operation;
    const bytes = request ? await bodies.read(c.env.incoming) : NO_BODY;
    try {
      const body = request && parseObject(bytes);
      if (request) validator.require(SCHEMAS[request.schema]!, body);
      const call: Call = {
        deps,
        caller,
        head,
        params: c.req.param(),
        query: c.req.query(),
        bytes,
        body,
      };
      const answer = await handler(call);
      return reply(answer, requestId);
    } finally {
      if (request) bodies.release(bytes);
    }
  }

  for (const [path, methods] of Object.entries(PATHS)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (operation.security) continue;
      const handler = HANDLERS[operation.operationId]!;
      api.on(method, path.replace(/\{(\w+)\}/g, ':$1'), async (c) => {
        const requestId = randomUUID();
        try {
          return await run(c, operation, handler, requestId);
        } catch (error) {
          return refusal(error, requestId, c.req.path, deps.log);
        }
      });
    }
  }
  api.get('/openapi.json', () => reply({ status: 200, body: openapi(deps.version) }, randomUUID()));
  api.all('*', (c) => {
    const unknown = new PosternError(
      'unknown_operation',
      'No operation has this method and path. See /v1/openapi.json.',
    );
    return refusal(unknown, randomUUID(), c.req.path, deps.log);
  });
  return api;
}

function reply({ status, body, etag }: Answer, requestId: string): Response {
  const headers = new Headers({ 'x-request-id': requestId });
  if (etag !== undefined) headers.set('etag', etag);
  if (body === undefined) return new Response(null, { status, headers });
  headers.set('content-type', 'application/json');
  return new Response(JSON.stringify(body), { status, headers });
}
