/** Retries of one SDK call, told from other calls. */
import { headerOf, type RequestHead } from '../http/raw-request.ts';
import type { Call } from './operation.ts';

/** How long the retries of one SDK call are known as such, ms. */
const RETRY_WINDOW = 15 * 60_000;
/** `amz-sdk-request` of a call that was not made before: every SDK counts its tries. */
const FIRST_TRY = /^attempt=1(?!\d)/;
/** `amz-sdk-invocation-id`: a UUID from every SDK; any other short printable text is accepted. */
const INVOCATION_ID = /^[!-~]{8,128}$/;

/**
 * An SDK repeats a call whose answer it did not get, with the same invocation id. The body is part of the
 * key, so that a client that never changes its id is not mistaken for one that repeats.
 */
export function retryKey(head: RequestHead, operation: string, bodyHash: string): Call['idempotency'] {
  const invocation = headerOf(head, 'amz-sdk-invocation-id');
  if (invocation === undefined || !INVOCATION_ID.test(invocation)) return undefined;
  const first = FIRST_TRY.test(headerOf(head, 'amz-sdk-request') ?? '');
  return { key: `${operation}/${invocation}/${bodyHash}`, digest: bodyHash, ttl: RETRY_WINDOW, first };
}
