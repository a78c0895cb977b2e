/** The parts of an operation of the SES v2 API, and the facts of a call for its handler. */
import type { Caller, SubmitOptions } from '../accept/types.ts';
import { PosternError } from '../errors.ts';
import type { ApiDeps, ApiLimits } from '../http/deps.ts';
import type { Shape } from './validation.ts';

export interface Call {
  operation: string;
  deps: ApiDeps;
  limits: ApiLimits;
  caller: Caller;
  /** Present when an SDK made the call: its own retries of it are one call. */
  idempotency?: SubmitOptions['idempotency'];
}

export interface Operation<I> {
  /** `manage` changes what is stored and needs an administrator's key; `use` sends and reads. */
  access: 'use' | 'manage';
  /** Path labels, query and body together. */
  input: Shape<I>;
  /** Answers with the output, as JSON: timestamps in seconds, bytes in base64. */
  handle(input: I, call: Call): unknown;
}

/** Types the handler by its shape, and forgets the type for the table of handlers. */
export function operation<I>(definition: Operation<I>): Operation<unknown> {
  return definition as Operation<unknown>;
}

/** @throws PosternError `access_denied` when what belongs to `tenant` is none of the caller's business. */
export function requireTenant(call: Call, tenant: string, what: string): void {
  if (tenant === call.caller.tenant || call.caller.admin) return;
  throw new PosternError(
    'access_denied',
    `The key ${call.caller.keyId} is not authorized to perform ses:${call.operation} on ${what}.`,
  );
}

/** @throws PosternError `access_denied` unless the key is an administrator's. */
export function requireAdmin(call: Call): void {
  if (call.caller.admin) return;
  throw new PosternError(
    'access_denied',
    `The key ${call.caller.keyId} is not authorized to perform ses:${call.operation}.`,
  );
}

/** Milliseconds to the seconds of the API. */
export function seconds(ms: number): number {
  return ms / 1000;
}
