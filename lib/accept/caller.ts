/** The caller that a key makes, the same at every door. */
import { requireUsable } from '../control/key-scope.ts';
import type { AccessKey, Control } from '../control/types.ts';
import type { Caller } from './types.ts';

/** Notes the use of the key. @throws PosternError `unknown_key` for a key that has expired, `access_denied` for one that is used from elsewhere. */
export function callerOf(
  { keyUse }: Pick<Control, 'keyUse'>,
  key: AccessKey,
  sourceIp: string,
  now: number,
): Caller {
  requireUsable(key, sourceIp, now);
  keyUse?.note(key.id);
  const { id: keyId, tenant, admin, scopes, identities } = key;
  return { keyId, tenant, admin, sourceIp, ...(scopes && { scopes }), ...(identities && { identities }) };
}
