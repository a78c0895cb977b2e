/** Failures in the form of this API, each with a code of the table of errors. */
import * as z from 'zod/mini';
import { asPosternError, type ErrorCode, type PosternError } from '../errors.ts';
import type { WholeAnswer } from '../http/answer.ts';
import type { ApiLog } from '../http/deps.ts';
import { named, text } from './schema.ts';

/** The caller is unknown: 401 (RFC 9110 §15.5.2), where SES answers 403. */
const UNAUTHENTICATED: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['missing_authentication', 'unknown_key']);
/** The rest of such a body is not read: the connection closes. */
const UNREAD: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['too_large', 'request_timeout']);

const failure = {
  code: text('Stable; one of the table of errors.'),
  message: text('What is wrong, and where.'),
  action: text('What to do about it.'),
};
export const Failure = named('Failure', z.strictObject(failure));
export const ErrorAnswer = named(
  'ErrorAnswer',
  z.strictObject({ error: z.strictObject({ ...failure, requestId: text('Also in X-Request-Id.') }) }),
);

export function shownError(error: PosternError) {
  return { code: error.code, message: error.message, action: error.entry.action };
}

/** The answer to a call that failed. A failure of ours is logged under the request id that the caller sees. */
export function refusal(cause: unknown, requestId: string, path: string, log: ApiLog): WholeAnswer {
  const error = asPosternError(cause);
  const unauthenticated = UNAUTHENTICATED.has(error.code);
  const status = unauthenticated ? 401 : error.entry.http;
  if (status >= 500) {
    const detail = cause instanceof Error ? cause.stack : String(cause);
    log.error('postern-api.failed', { requestId, path, code: error.code, error: detail });
  }
  const headers: Record<string, string> = { 'content-type': 'application/json', 'x-request-id': requestId };
  if (unauthenticated) headers['www-authenticate'] = 'Bearer';
  if (UNREAD.has(error.code)) headers.connection = 'close';
  return { status, headers, body: JSON.stringify({ error: { ...shownError(error), requestId } }) };
}
