/** One call of the Postern API, as its handler sees it, and what a handler answers. */
import type { Caller } from '../accept/types.ts';
import { PosternError } from '../errors.ts';
import type { ApiDeps } from '../http/deps.ts';
import type { RequestHead } from '../http/raw-request.ts';

export interface Call {
  deps: ApiDeps;
  caller: Caller;
  head: RequestHead;
  /** Labels of the path, decoded. */
  params: Record<string, string>;
  /** Query parameters; of a repeated one the first. */
  query: Record<string, string>;
  /** The body as it came; empty where the operation takes none. */
  bytes: Buffer;
  /** The body, read and checked against the operation's schema. */
  body: unknown;
}

export interface Answer {
  status: number;
  /** JSON; absent for 204. */
  body?: unknown;
  /** Version of what is answered, for `If-Match` (RFC 9110 §8.8.3). */
  etag?: string;
}

export type Handler = (call: Call) => Answer | Promise<Answer>;

/** @throws `access_denied` unless the key is an administrator's. */
export function requireAdmin({ caller }: Call, what: string): void {
  if (caller.admin) return;
  throw new PosternError(
    'access_denied',
    `The key ${caller.keyId} may not ${what}: that needs an administrator's key.`,
  );
}

/** Whether what belongs to `tenant` is the caller's to see. */
export function mayRead({ caller }: Call, tenant: string): boolean {
  return caller.admin || caller.tenant === tenant;
}

/** A time as the API writes it. */
export function iso(time: number): string {
  return new Date(time).toISOString();
}
