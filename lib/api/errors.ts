/** Failures as this API tells them: all from the one table of errors. */
import { asPosternError, type ErrorCode, type PosternError } from '../errors.ts';
import type { Log } from '../http/deps.ts';

/** Who asks is not known (RFC 9110 §15.5.2). SES says 403 to the same. */
const UNAUTHENTICATED: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['missing_authentication', 'unknown_key']);
/** What is left of such a body is not waited for. */
const UNREAD: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['too_large', 'request_timeout']);

export function shownError(error: PosternError) {
  return { code: error.code, message: error.message, action: error.entry.action };
}

/** The answer to a call that failed. What is our fault is logged under the request id that the caller sees. */
export function refusal(cause: unknown, requestId: string, path: string, log: Log): Response {
  const error = asPosternError(cause);
  const unauthenticated = UNAUTHENTICATED.has(error.code);
  const status = unauthenticated ? 401 : error.entry.http;
  if (status >= 500) {
    const detail = cause instanceof Error ? cause.stack : String(cause);
    log.error('postern-api.failed', { requestId, path, code: error.code, error: detail });
  }
  const headers = new Headers({ 'content-type': 'application/json', 'x-request-id': requestId });
  if (unauthenticated) headers.set('www-authenticate', 'Bearer');
  if (UNREAD.has(error.code)) headers.set('connection', 'close');
  return new Response(JSON.stringify({ error: { ...shownError(error), requestId } }), { status, headers });
}
