/**
 * Replaces a key by another one with the same rights. Two are valid at a time, the old one and its successor: a rotation
 * that is repeated, by a second pipeline or after a lost answer, would leave a key that nobody watches.
 */
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import type { DocumentCache } from './document-cache.ts';
import type { AccessKey, Control, StoredKey } from './types.ts';

/**
 * @param overlap for how long the old key stays valid, ms.
 * @throws `not_found`, `key_replaced` while its successor exists, `bad_request` for a key that has expired.
 */
export async function rotateKey(
  keys: Pick<Control['keys'], 'find' | 'create' | 'revoke'>,
  cache: DocumentCache<StoredKey>,
  clock: Clock,
  { old, overlap }: { old: AccessKey; overlap: number },
): Promise<AccessKey> {
  const { id, tenant, admin, name, limits, scopes, identities, networks, replaced } = old;
  if (replaced && (await keys.find(replaced.by))) throw replacedBy(id, replaced.by);
  // A successor that was revoked takes the end of its rotation with it.
  const expiresAt = replaced?.until === old.expiresAt ? replaced?.before : old.expiresAt;
  const restrictions = { scopes, identities, networks, expiresAt };
  const made = await keys.create({ tenant, admin, name, limits, restrictions });
  const until = Math.min(clock.now() + Math.max(1, overlap), expiresAt ?? Number.POSITIVE_INFINITY);
  let first: string | undefined;
  const stored = await cache.update(id, (current) => {
    const by = current.replaced?.by;
    first = by === replaced?.by ? undefined : by;
    if (first !== undefined) return current;

    return { ...current, expiresAt: until, replaced: { by: made.id, until, before: expiresAt } };
  });
  if (stored && first === undefined) return made;
  // Another rotation was first, or the key was revoked meanwhile: nobody has this one's secret.
  await keys.revoke(made.id);
  throw first === undefined
    ? new PosternError('not_found', `The access key ${id} was revoked.`)
    : replacedBy(id, first);
}

function replacedBy(id: string, successor: string): PosternError {
  return new PosternError('key_replaced', `The access key ${id} was replaced already: by ${successor}.`);
}
