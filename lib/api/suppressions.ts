/** The suppression list of a tenant. Every key of the tenant keeps it; an administrator's key keeps any. */
import type { Suppression, SuppressionReason } from '../engine/suppression.ts';
import { SUPPRESSION_REASONS } from '../engine/suppression.ts';
import { PosternError } from '../errors.ts';
import { findListed, pageOfList, putListed, removeListed } from '../http/suppression-list.ts';
import { type Call, type Handler, iso } from './operation.ts';
import { isTime } from './schema.ts';

const PAGE = 100;
const MAX_PAGE = 1000;
const TENANT = /^[A-Za-z0-9_-]{1,64}$/;

export const listSuppressions: Handler = async (call) => {
  const { reason, from, before, max, after } = call.query;
  const { entries, token } = await pageOfList(call.deps, {
    tenant: tenantOf(call),
    reasons: reason === undefined ? undefined : [reasonOf(reason)],
    from: timeOf('from', from),
    before: timeOf('before', before),
    max: sizeOf(max),
    token: after,
  });
  return { status: 200, body: { suppressions: entries.map(shown), next: token } };
};

export const getSuppression: Handler = async (call) => {
  const entry = await findListed(call.deps, tenantOf(call), call.params.address!);
  return { status: 200, body: shown(entry) };
};

export const putSuppression: Handler = async (call) => {
  const { reason } = call.body as { reason: SuppressionReason };
  const entry = await putListed(call.deps, tenantOf(call), call.params.address!, reason);
  return { status: 200, body: shown(entry) };
};

export const removeSuppression: Handler = async (call) => {
  await removeListed(call.deps, tenantOf(call), call.params.address!);
  return { status: 204 };
};

function shown({ tenant, address, reason, at, messageId, feedbackId }: Suppression): object {
  return { tenant, address, reason, at: iso(at), messageId, feedbackId };
}

/** @throws `bad_request`, or `access_denied` for a tenant that is not the key's. */
function tenantOf({ caller, query }: Call): string {
  const { tenant = caller.tenant } = query;
  if (!TENANT.test(tenant)) throw new PosternError('bad_request', 'tenant: is not the name of a tenant.');
  if (tenant === caller.tenant || caller.admin) return tenant;
  throw new PosternError(
    'access_denied',
    `The key ${caller.keyId} may not see or change the suppression list of another tenant.`,
  );
}

function reasonOf(text: string): SuppressionReason {
  const reason = SUPPRESSION_REASONS.find((one) => one === text);
  if (reason) return reason;
  throw new PosternError('bad_request', `reason: must be one of ${SUPPRESSION_REASONS.join(', ')}.`);
}

function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (isTime(text)) return Date.parse(text);
  throw new PosternError('bad_request', `${name}: must be a time as 2026-01-31T12:00:00Z (RFC 3339).`);
}

function sizeOf(text: string | undefined): number {
  if (text === undefined) return PAGE;
  const size = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (size >= 1 && size <= MAX_PAGE) return size;
  throw new PosternError('bad_request', `max: must be a number from 1 to ${MAX_PAGE}.`);
}
