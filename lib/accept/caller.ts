/** The caller that a key makes, the same at every door. */
import { requireUsable } from '../control/key-scope.ts';
import type { AccessKey } from '../control/types.ts';
import type { Caller } from './types.ts';

/** @throws PosternError `unknown_key` for a key that has expired, `access_denied` for one that is used from elsewhere. */
export function callerOf(key: AccessKey, sourceIp: string, now: number): Caller {
  requireUsable(key, sourceIp, now);
  const { id: keyId, tenant, admin, scopes, identities } = key;
  return { keyId, tenant, admin, sourceIp, ...(scopes && { scopes }), ...(identities && { identities }) };
}
