/**
 * The SES v1 Query API (2010-12-01) at `/`: parameters in a form or a query, answers in XML. Each action works on the
 * same objects, by the same functions, as SES v2:
 *
 * ```
 *  head ─► signature ─► body ─► parameters ─► action ─► input ─► access ─► handler ─► 200 <ActionResponse>
 *    └────────┴─────────┴──────────┴───────────┴─────────┴─────────┴──────────┴──► <ErrorResponse>
 * ```
 */
import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { callerOf } from '../../accept/caller.ts';
import { asPosternError, PosternError } from '../../errors.ts';
import type { DirectAnswer, WholeAnswer } from '../../http/answer.ts';
import type { BodyReader, HeldBody } from '../../http/body-reader.ts';
import { type ApiDeps, type ApiLimits, DEFAULT_LIMITS } from '../../http/deps.ts';
import { headerOf, type RequestHead } from '../../http/raw-request.ts';
import { createSigV4 } from '../../http/sigv4.ts';
import { InputReaders } from '../model/input.ts';
import { OutputWriters } from '../model/output.ts';
import { SES_V1 } from '../model/v1-model.ts';
import { type Call, requireAccess } from '../operation.ts';
import { retryKey } from '../retries.ts';
import { ACTIONS } from './actions.ts';
import { v1Error } from './errors.ts';
import { membersOf, parseForm } from './form.ts';
import { actionRefusal } from './refusals.ts';
import { errorXml, successXml } from './xml.ts';

/** What answers GET and POST at `/`. `bodies` is shared with the other routes of the process. */
export function sesV1Api(deps: ApiDeps, bodies: BodyReader): DirectAnswer {
  const limits: ApiLimits = { ...DEFAULT_LIMITS, ...deps.limits };
  const sigV4 = createSigV4((id) => deps.control.keys.find(id));
  const readers = new InputReaders(SES_V1);
  const writers = new OutputWriters(SES_V1, { check: true });

  return async (head, incoming) => {
    const requestId = randomUUID();
    let held: HeldBody | undefined;
    let name: string | undefined;
    try {
      const signed = await sigV4.begin(head, deps.clock.now());
      held = await bodies.read(incoming, signed.proven);
      const { key, bodyHash } = signed.finish(held.bytes);
      held.proven();
      const parameters = parametersOf(head, held.bytes);
      name = actionOf(parameters);
      const action = ACTIONS.get(name);
      if (!action) throw actionRefusal(name);
      const call: Call = {
        operation: name,
        door: 'ses-v1',
        deps,
        limits,
        caller: callerOf(deps.control, key, head.sourceIp, deps.clock.now()),
        host: headerOf(head, 'host') ?? '',
        idempotency: retryKey(head, name, bodyHash),
      };
      requireAccess(call, action.access);
      const { input: shape, output: outputShape } = SES_V1.operations[name]!;
      const input = readers.textInput(shape)(membersOf(SES_V1, shape, parameters));
      const output = await action.handle(input as never, call);
      if (deps.checkAnswers) writers.output(outputShape)(output);
      return reply(200, requestId, successXml(SES_V1, name, output, requestId));
    } catch (error) {
      return await refuse(asPosternError(error), requestId, name, deps);
    } finally {
      held?.release();
    }
  };
}

/** The parameters of a GET are in its query, those of a POST in its body. */
function parametersOf(head: RequestHead, body: Buffer): ReadonlyMap<string, string> {
  if (head.method === 'GET') return parseForm(head.rawQuery);
  if (!isUtf8(body)) throw new PosternError('malformed_request', 'The body is not valid UTF-8.');
  return parseForm(body.toString('utf8'));
}

/** @throws PosternError `unknown_operation` when the model has no such action. */
function actionOf(parameters: ReadonlyMap<string, string>): string {
  const name = parameters.get('Action') ?? '';
  const version = parameters.get('Version') ?? SES_V1.version;
  if (Object.hasOwn(SES_V1.operations, name) && version === SES_V1.version) return name;
  throw new PosternError(
    'unknown_operation',
    `Could not find operation ${name.slice(0, 80)} for version ${version.slice(0, 80)}`,
  );
}

function reply(status: number, requestId: string, xml: string, more?: Record<string, string>): WholeAnswer {
  return {
    status,
    headers: { 'content-type': 'text/xml', 'x-amzn-requestid': requestId, ...more },
    body: xml,
  };
}

async function refuse(
  error: PosternError,
  requestId: string,
  action: string | undefined,
  deps: ApiDeps,
): Promise<WholeAnswer> {
  if (error.entry.http >= 500)
    deps.log.error('ses.failed', {
      requestId,
      path: `/?Action=${action}`,
      code: error.code,
      error: inspect(error),
    });
  const paused =
    error.code === 'sending_paused' && !(await deps.control.account.sendingEnabled().catch(() => true));
  const { status, ...told } = v1Error(error, SES_V1, action, paused);
  const headers: Record<string, string> = {};
  // SDKs set their clock by it, and sign again.
  if (error.code === 'clock_skew') headers.date = new Date(deps.clock.now()).toUTCString();
  // What is left of a body that came too slowly is not waited for.
  if (error.code === 'request_timeout') headers.connection = 'close';
  return reply(status, requestId, errorXml(told, requestId), headers);
}
