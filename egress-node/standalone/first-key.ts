/** The first administrator's key, without which no other could be made. */
import type { AccessKey, Control } from '../../lib/control/types.ts';
import { PosternError } from '../../lib/errors.ts';
import type { Settings } from '../settings.ts';

/**
 * Stores the key of the settings, if they have one and it is new.
 * @throws PosternError `already_exists` when it is stored with another secret.
 */
export async function ensureConfiguredKey(
  { keys }: Pick<Control, 'keys'>,
  { accessKeyId: id, secretAccessKey: secret }: Pick<Settings, 'accessKeyId' | 'secretAccessKey'>,
): Promise<void> {
  if (id === undefined || secret === undefined) return;
  const known = await keys.find(id);
  if (known && known.secret !== secret) {
    throw new PosternError(
      'already_exists',
      `POSTERN_SECRET_ACCESS_KEY is not the secret of the stored key ${id}. Revoke that key first, or unset both variables.`,
    );
  }
  if (!known) await keys.create({ tenant: 'default', admin: true, name: 'first', id, secret });
}

/** Makes the first key of a store that has none. @returns the key, to be shown once. */
export async function makeFirstKey({ keys }: Pick<Control, 'keys'>): Promise<AccessKey | undefined> {
  if ((await keys.list(undefined, { max: 1 })).length > 0) return undefined;
  return keys.create({ tenant: 'default', admin: true, name: 'first' });
}
