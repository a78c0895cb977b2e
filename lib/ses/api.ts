/**
 * The SES v2 API (restJson1), as one function of the raw request, so that paths stay as they were signed:
 *
 * ```
 *  head ─► signature ─► body ─► operation ─► input ─► access ─► handler ─► 200 {…}
 *    └────────┴─────────┴─────────┴───────────┴─────────┴──────────┴──► x-amzn-ErrorType, {"__type", "message"}
 * ```
 */
import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { callerOf } from '../accept/caller.ts';
import { asPosternError, PosternError } from '../errors.ts';
import type { DirectAnswer, WholeAnswer } from '../http/answer.ts';
import type { BodyReader, HeldBody } from '../http/body-reader.ts';
import { type ApiDeps, type ApiLimits, DEFAULT_LIMITS } from '../http/deps.ts';
import { parseObject } from '../http/json.ts';
import { headerOf, type RequestHead } from '../http/raw-request.ts';
import { createSigV4 } from '../http/sigv4.ts';
import { HANDLERS } from './handlers.ts';
import type { GivenInput } from './model/input.ts';
import { type Call, requireAccess } from './operation.ts';
import { RestJson } from './protocol.ts';
import { refusalOf } from './refusals.ts';
import { retryKey } from './retries.ts';
import { matchRoute } from './router.ts';

/** What answers under `/v2/email`. `bodies` is shared with the other routes of the process. */
export function sesV2Api(deps: ApiDeps, bodies: BodyReader): DirectAnswer {
  const limits: ApiLimits = { ...DEFAULT_LIMITS, ...deps.limits };
  const sigV4 = createSigV4((id) => deps.control.keys.find(id));
  const protocol = new RestJson(deps.checkAnswers ?? false);

  return async (head, incoming) => {
    const requestId = randomUUID();
    let held: HeldBody | undefined;
    try {
      const signed = await sigV4.begin(head, deps.clock.now());
      held = await bodies.read(incoming, signed.proven);
      const { key, bodyHash } = signed.finish(held.bytes);
      held.proven();
      const route = matchRoute(head.method, head.rawPath);
      if (!route) throw new PosternError('unknown_operation', 'No operation has this method and path.');
      const handler = HANDLERS.get(route.operation);
      if (!handler) throw refusalOf(route.operation);
      const call: Call = {
        operation: route.operation,
        door: 'ses-v2',
        deps,
        limits,
        caller: callerOf(deps.control, key, head.sourceIp, deps.clock.now()),
        host: headerOf(head, 'host') ?? '',
        idempotency: retryKey(head, route.operation, bodyHash),
      };
      requireAccess(call, handler.access);
      const query = queryMembers(signed.query);
      const wire = protocol.of(route.operation);
      const input = route.fromQuery
        ? wire.readQuery(query)
        : wire.read({ body: parseObject(held.bytes), query, labels: route.labels });
      const output = await handler.handle(input as never, call);
      return reply(200, requestId, wire.write(output));
    } catch (error) {
      return refuse(error, requestId, head, deps);
    } finally {
      held?.release();
    }
  };
}

/** Members that come in the query: one that is repeated is a list. */
function queryMembers(query: readonly [name: string, value: string][]): GivenInput['query'] {
  if (query.length === 0) return {};
  const members = new Map<string, string | string[]>();
  for (const [name, value] of query) {
    const before = members.get(name);
    members.set(name, before === undefined ? value : [before, value].flat());
  }
  return Object.fromEntries(members);
}

function reply(
  status: number,
  requestId: string,
  output: unknown,
  more?: Record<string, string>,
): WholeAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json', 'x-amzn-requestid': requestId, ...more },
    body: JSON.stringify(output),
  };
}

function refuse(cause: unknown, requestId: string, head: RequestHead, deps: ApiDeps): WholeAnswer {
  const error = asPosternError(cause);
  const { http, ses } = error.entry;
  if (http >= 500)
    deps.log.error('ses.failed', {
      requestId,
      path: head.rawPath,
      code: error.code,
      error: inspect(cause),
    });
  const headers: Record<string, string> = { 'x-amzn-errortype': ses };
  // SDKs set their clock by it, and sign again.
  if (error.code === 'clock_skew') headers.date = new Date(deps.clock.now()).toUTCString();
  // What is left of a body that came too slowly is not waited for.
  if (error.code === 'request_timeout') headers.connection = 'close';
  // A proxy or a Function URL may drop the header: SDKs read the type from the body, too.
  return reply(http, requestId, { __type: ses, message: error.message }, headers);
}
