/** The first administrator's key: without one nobody could make the others. */
import type { AccessKey, Control } from '../../lib/control/types.ts';
import { PosternError } from '../../lib/errors.ts';
import type { Settings } from '../settings.ts';

/**
 * The key of the settings, or at the very first start a new one, which is returned to be shown once.
 * @throws PosternError `already_exists` when the key of the settings is stored with another secret.
 */
export async function ensureFirstKey(
  { keys }: Pick<Control, 'keys'>,
  { accessKeyId: id, secretAccessKey: secret }: Pick<Settings, 'accessKeyId' | 'secretAccessKey'>,
): Promise<AccessKey | undefined> {
  if (id !== undefined && secret !== undefined) {
    const known = keys.find(id);
    if (known && known.secret !== secret) {
      throw new PosternError(
        'already_exists',
        `POSTERN_SECRET_ACCESS_KEY is not the secret of the stored key ${id}. Revoke that key first, or unset both variables.`,
      );
    }
    if (!known) await keys.create({ tenant: 'default', admin: true, name: 'first', id, secret });
    return undefined;
  }
  if (keys.list().length > 0) return undefined;
  return keys.create({ tenant: 'default', admin: true, name: 'first' });
}
