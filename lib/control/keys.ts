/** Access keys. The secret is stored sealed and opened when its key is first used. */
import { randomBytes } from 'node:crypto';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import type { DocumentCache } from './document-cache.ts';
import { checkName, quote } from './names.ts';
import type { AccessKey, Control } from './types.ts';
import type { Vault } from './vault.ts';

/** A stored key. */
export interface StoredKey {
  id: string;
  sealedSecret: string;
  tenant: string;
  admin: boolean;
  name?: string;
  createdAt: number;
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** AWS's rule for access key ids; the length starts lower because operators may bring their own. */
const ID = /^\w{4,128}$/;
/** Printable ASCII without space: travels in headers and SMTP AUTH unchanged. */
const SECRET = /^[\x21-\x7e]{16,256}$/;
const MAX_LABEL = 256;

const context = (id: string) => `key ${id}`;

export function openKeys(mirror: DocumentCache<StoredKey>, vault: Vault, clock: Clock): Control['keys'] {
  /** Opened keys by stored document: a changed document is opened anew, a revoked one forgotten. */
  const opened = new WeakMap<StoredKey, AccessKey>();

  for (const key of mirror.all()) vault.expectOwn(key.sealedSecret, context(key.id));

  function open(stored: StoredKey): AccessKey {
    let key = opened.get(stored);
    if (!key) {
      const { sealedSecret, ...rest } = stored;
      key = Object.freeze({ ...rest, secret: vault.open(sealedSecret, context(stored.id)) });
      opened.set(stored, key);
    }
    return key;
  }

  return {
    find(id) {
      const stored = mirror.get(id);
      return stored && open(stored);
    },

    list(tenant) {
      return mirror
        .all()
        .filter((key) => tenant === undefined || key.tenant === tenant)
        .map(open);
    },

    async create({ tenant, admin, name, id = newId(), secret = newSecret() }) {
      checkName('tenant', tenant);
      if (!ID.test(id)) {
        throw new PosternError(
          'bad_request',
          `An access key id has 4 to 128 letters, digits or underscores: ${quote(id)}.`,
        );
      }
      if (!SECRET.test(secret)) {
        throw new PosternError(
          'bad_request',
          'A secret access key has 16 to 256 printable ASCII characters and no space.',
        );
      }
      if (name !== undefined && name.length > MAX_LABEL) {
        throw new PosternError('bad_request', `The name of a key has at most ${MAX_LABEL} characters.`);
      }
      const stored = {
        id,
        sealedSecret: vault.seal(secret, context(id)),
        tenant,
        admin,
        name,
        createdAt: clock.now(),
      };
      return open(await mirror.create(id, stored, `Access key ${id}`));
    },

    revoke: (id) => mirror.delete(id),
  };
}

/** A random id: `AKIA` and 16 characters of base32, 80 bits. */
function newId(): string {
  let id = 'AKIA';
  for (const byte of randomBytes(16)) id += BASE32[byte & 31];
  return id;
}

/** A random secret: 40 characters of base64, 240 bits. */
function newSecret(): string {
  return randomBytes(30).toString('base64');
}
