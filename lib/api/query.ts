/** Reads query parameters that several resources have. Each refusal names the parameter. */
import { PosternError } from '../errors.ts';
import type { ApiCall } from './operation.ts';
import { isTime } from './schema.ts';

const TENANT = /^[A-Za-z0-9_-]{1,64}$/;

/** @throws PosternError `bad_request` */
export function refuseQuery(parameter: string, why: string): never {
  throw new PosternError('bad_request', `${parameter}: ${why}.`);
}

/** @returns ms since the epoch. @throws PosternError `bad_request` */
export function timeOf(parameter: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!isTime(value))
    refuseQuery(parameter, 'must be a time as 2026-01-31T12:00:00Z (RFC 3339, with its offset)');
  return Date.parse(value);
}

/** The size of a page. @throws PosternError `bad_request` */
export function sizeOf(value: string | undefined, usual: number, most: number): number {
  if (value === undefined) return usual;
  const size = /^\d{1,4}$/.test(value) ? Number(value) : 0;
  if (size < 1 || size > most) refuseQuery('max', `must be a number from 1 to ${most}`);
  return size;
}

/**
 * The tenant that a call is about: by default the key's own, and for an administrator's all of them (undefined).
 * @param what belongs to the tenant, for the message. @throws PosternError `bad_request`, `access_denied`
 */
export function tenantOf({ caller, query: { tenant } }: ApiCall, what: string): string | undefined {
  if (tenant === undefined) return caller.admin ? undefined : caller.tenant;
  if (!TENANT.test(tenant)) refuseQuery('tenant', 'is not the name of a tenant');
  if (caller.admin || tenant === caller.tenant) return tenant;
  throw new PosternError(
    'access_denied',
    `The key ${caller.keyId} may read the ${what} of its own tenant; another one's need an administrator's key.`,
  );
}
