/** An operation of SES v2: its name, who may call it, and what it means. Its input and output are the model's. */
import type { Caller, SubmitOptions } from '../accept/types.ts';
import { requireScope } from '../control/key-scope.ts';
import { checkName } from '../control/names.ts';
import { PosternError } from '../errors.ts';
import type { ApiDeps, ApiLimits } from '../http/deps.ts';
import type { InputOf, OutputOf, SesOperationName } from './types.ts';

/** The facts of a call for its handler. */
export interface Call {
  operation: string;
  /** The API that the call came by. */
  door: 'ses-v2' | 'ses-v1';
  deps: ApiDeps;
  limits: ApiLimits;
  caller: Caller;
  /** Name by which the caller reached this API, with its port, as it was signed. */
  host: string;
  /** Present when an SDK made the call: its own retries of it are one call. */
  idempotency?: SubmitOptions['idempotency'];
}

/** `manage` changes what is stored and needs an administrator's key; `use` sends and reads. */
export type Access = 'use' | 'manage';

type Handle<N extends SesOperationName> = (
  input: InputOf<N>,
  call: Call,
) => OutputOf<N> | Promise<OutputOf<N>>;

/** An operation, as `operation` makes it. */
export class Operation<N extends SesOperationName = SesOperationName> {
  readonly name: N;
  readonly access: Access;
  readonly handle: Handle<N>;

  constructor(name: N, access: Access, handle: Handle<N>) {
    this.name = name;
    this.access = access;
    this.handle = handle;
  }
}

/**
 * An operation of SES v2. `handle` gets an input that the model has accepted, and answers with the output as the AWS
 * SDK shows it: times are dates, bytes are bytes.
 */
export function operation<const N extends SesOperationName>(
  name: N,
  access: Access,
  handle: Handle<N>,
): Operation<N> {
  return new Operation(name, access, handle);
}

/** @throws PosternError `bad_request` for what is no name of a tenant, `access_denied` when what belongs to `tenant` is none of the caller's business. */
export function requireTenant(call: Call, tenant: string, what: string): void {
  checkName('tenant', tenant);
  if (tenant === call.caller.tenant || call.caller.admin) return;
  throw new PosternError(
    'access_denied',
    `The key ${call.caller.keyId} is not authorized to perform ses:${call.operation} on ${what}.`,
  );
}

/** Names of calls of both versions that send, and of those that only read. */
const SENDS = /^Send/;
const READS = /^(Get|List|BatchGet|Describe|TestRender)/;

/** @throws PosternError `access_denied` unless the key may make the call, by its kind and its scopes. */
export function requireAccess(call: Call, access: Access): void {
  const { operation: name, caller } = call;
  if (access === 'manage') requireAdmin(call);
  requireScope(caller, SENDS.test(name) ? 'send' : READS.test(name) ? 'read' : 'manage');
}

/** @throws PosternError `access_denied` unless the key is an administrator's. */
export function requireAdmin(call: Call): void {
  if (call.caller.admin) return;
  throw new PosternError(
    'access_denied',
    `The key ${call.caller.keyId} is not authorized to perform ses:${call.operation}.`,
  );
}

/** A member, or a value of one, that is not offered. */
export function unsupported(member: string): PosternError {
  return new PosternError(
    'unsupported_operation',
    `${member} is not supported by this service. Leave it out.`,
  );
}
