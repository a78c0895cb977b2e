/**
 * Directives over the API. An administrator's key orders and ends what it wants. Another key orders its own
 * tenant's mail, and ends only what keys of its tenant ordered: not what stops the tenant itself.
 */

import type { StoredDirective } from '../control/directives.ts';
import { AddressBook, DEFAULT_POOL } from '../control/ip-inventory.ts';
import { DIMENSIONS, type Directive } from '../directives/directive.ts';
import { PosternError } from '../errors.ts';
import { type Call, type Handler, iso } from './operation.ts';

/** `DirectiveRequest` of the document, as far as it is looked at here. */
interface DirectiveRequest {
  match: { tenant?: string; pool?: string };
  action: { kind: string; pool?: string };
  reason: string;
  until?: string;
}

export const createDirective: Handler = async (call) => {
  const { caller, deps } = call;
  const { until, ...order } = call.body as DirectiveRequest;
  if (!caller.admin) requireOwn(call, order as DirectiveRequest);
  requirePool(call, order as DirectiveRequest);
  const origin = caller.admin
    ? { operator: caller.keyId }
    : { operator: caller.keyId, tenant: caller.tenant };
  const time = until === undefined ? undefined : Date.parse(until);
  const directive = await deps.control.directives.order({ ...order, until: time }, origin);
  deps.log.info('directive.ordered', { id: directive.id, key: caller.keyId, reason: directive.reason });
  return { status: 201, body: shown(call, directive) };
};

export const listDirectives: Handler = (call) => {
  const { action, rule, ...rest } = call.query;
  const wanted = DIMENSIONS.filter((dimension) => rest[dimension] !== undefined);
  const directives = call.deps.control.directives
    .list()
    .filter((one) => concerns(call, one))
    .filter((one) => wanted.every((dimension) => one.match[dimension] === rest[dimension]))
    .filter((one) => action === undefined || one.action.kind === action)
    .filter((one) => rule === undefined || ('rule' in one.origin && one.origin.rule === rule));
  return { status: 200, body: { directives: directives.map((one) => shown(call, one)) } };
};

export const removeDirective: Handler = async (call) => {
  const { caller, deps } = call;
  const id = call.params.id!;
  const directive = deps.control.directives.find(id);
  if (directive === undefined || !concerns(call, directive)) throw missing(id);
  if (!caller.admin && !('operator' in directive.origin && directive.origin.tenant === caller.tenant)) {
    throw new PosternError(
      'access_denied',
      `The key ${caller.keyId} may not end what keys of its tenant did not order: that needs an administrator's key.`,
    );
  }
  if (!(await deps.control.directives.remove(id))) throw missing(id);
  deps.log.info('directive.removed', { id, key: caller.keyId });
  return { status: 204 };
};

/** @throws `access_denied` when a tenant would order more than its own mail, or by another's IPs. */
function requireOwn({ caller }: Call, { match, action }: DirectiveRequest): void {
  const problem =
    match.tenant !== caller.tenant
      ? `order mail of others: name "tenant": "${caller.tenant}" in the match`
      : action.kind === 'reroute'
        ? 'reroute mail'
        : undefined;
  if (problem === undefined) return;
  throw new PosternError(
    'access_denied',
    `The key ${caller.keyId} may not ${problem}, or use an administrator's key.`,
  );
}

/** @throws `bad_request` when mail would be sent on to a pool that there is not, and wait for it. */
function requirePool({ deps }: Call, { action: { pool }, match }: DirectiveRequest): void {
  if (pool === undefined || pool === DEFAULT_POOL || pool === match.pool) return;
  const { pools } = new AddressBook(deps.control.documents, deps.installed);
  if (pools.includes(pool)) return;
  const known = [DEFAULT_POOL, ...pools.filter((one) => one !== DEFAULT_POOL)].join(', ');
  throw new PosternError('bad_request', `action.pool: there is no pool "${pool}"; there are ${known}.`);
}

/** Whether a directive is the caller's to see. */
function concerns({ caller }: Call, { match }: Directive): boolean {
  return caller.admin || match.tenant === caller.tenant;
}

function missing(id: string): PosternError {
  return new PosternError('not_found', `There is no directive ${JSON.stringify(id.slice(0, 255))}.`);
}

function shown({ caller }: Call, { id, match, action, reason, at, until, origin, raised }: StoredDirective) {
  const foreign = !caller.admin && 'operator' in origin && origin.tenant !== caller.tenant;
  return {
    id,
    match,
    action,
    reason,
    at: iso(at),
    until: until === undefined ? undefined : iso(until),
    origin: foreign ? { operator: 'administrator' } : origin,
    raised,
  };
}
