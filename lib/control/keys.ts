/** Access keys. The secret is stored sealed and opened when its key is first used. */
import { randomBytes } from 'node:crypto';
import type { Config } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import { DocumentCache } from './document-cache.ts';
import { DocumentIndex } from './document-index.ts';
import { rotateKey } from './key-rotation.ts';
import { checkedRestrictions, isUnrestricted } from './key-scope.ts';
import { checkName, quote } from './names.ts';
import { checkLimits, someOf } from './sending-limits.ts';
import type { Tenants } from './tenants.ts';
import type { AccessKey, Control, StoredKey } from './types.ts';
import type { Vault } from './vault.ts';

const KIND = 'key';
/** Keys in memory, characters of JSON. */
const CAPACITY = 2 << 20;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** AWS's rule for access key ids; the length starts lower because operators may bring their own. */
const ID = /^\w{4,128}$/;
/** Printable ASCII without space: travels in headers and SMTP AUTH unchanged. */
const SECRET = /^[\x21-\x7e]{16,256}$/;
const MAX_LABEL = 256;
/** Administrators' keys read at one time. */
const PAGE = 10;
/** Name of the list of administrators' keys. */
const ADMINISTRATORS = 'administrator';

const context = (id: string) => `key ${id}`;

interface KeyOptions {
  config: Config;
  vault: Vault;
  clock: Clock;
  /** Makes the tenant that a key is the first of. */
  tenants: Pick<Tenants, 'ensure'>;
}

export function keyCache(config: Config, clock: Clock): DocumentCache<StoredKey> {
  return new DocumentCache(config, KIND, clock, CAPACITY);
}

/** The lists of a key: its tenant's, and that of administrators. */
function rowsOfKey({ id, tenant, admin }: StoredKey): Record<string, object> {
  return { [`tenant/${tenant}/${id}`]: {}, ...(admin && { [`${ADMINISTRATORS}/${id}`]: {} }) };
}

/** @throws `storage_damaged` when the master key is not the store's; the storage group. */
export async function expectOwnKeys(config: Config, vault: Vault): Promise<void> {
  for (const { value } of await config.list(KIND, { max: 1 })) {
    const { sealedSecret, id } = value as StoredKey;
    vault.expectOwn(sealedSecret, context(id));
  }
}

export function openKeys(
  cache: DocumentCache<StoredKey>,
  { config, vault, clock, tenants }: KeyOptions,
): Control['keys'] {
  const index = new DocumentIndex(config, KIND, rowsOfKey);
  /** Opened keys by stored document: a changed document is opened anew, a revoked one forgotten. */
  const opened = new WeakMap<StoredKey, AccessKey>();

  function open(stored: StoredKey): AccessKey {
    let key = opened.get(stored);
    if (!key) {
      const { sealedSecret, ...rest } = stored;
      key = Object.freeze({ ...rest, secret: vault.open(sealedSecret, context(stored.id)) });
      opened.set(stored, key);
    }
    return key;
  }

  const keys: Control['keys'] = {
    async find(id) {
      // What nobody has proven asks the store for nothing that cannot be there.
      const stored = ID.test(id) ? await cache.get(id) : undefined;
      return stored && open(stored);
    },

    async list(tenant, page) {
      if (tenant === undefined) return (await cache.list(page)).map(open);
      const rows = await index.list(`tenant/${tenant}`, page);
      const stored = await cache.getAll(rows.map(({ key }) => key));
      return stored.flatMap((key) => (key?.tenant === tenant ? [open(key)] : []));
    },

    administrators: () => administratorsOf(index, cache),

    async create({
      tenant,
      admin,
      name,
      id = newId(),
      secret = newSecret(),
      limits = {},
      restrictions = {},
    }) {
      checkName('tenant', tenant);
      checkCredentials(id, secret);
      checkLabel(name);
      checkLimits(limits);
      const stored = {
        id,
        sealedSecret: vault.seal(secret, context(id)),
        tenant,
        admin,
        name,
        createdAt: clock.now(),
        limits: someOf(limits),
        ...checkedRestrictions(restrictions, clock.now()),
      };
      await tenants.ensure(tenant);
      return index.around(stored, async () => open(await cache.create(id, stored, `Access key ${id}`)));
    },

    async update(id, { name, limits, restrictions }) {
      checkLabel(name);
      checkLimits(limits ?? {});
      const checked = restrictions && checkedRestrictions(restrictions, clock.now());
      const changed = ID.test(id)
        ? await cache.update(id, (stored) => ({
            ...stored,
            ...checked,
            ...(name !== undefined && { name }),
            ...(limits && { limits: someOf(limits) }),
          }))
        : undefined;
      if (changed) return open(changed);
      throw noKey(id);
    },

    async rotate(id, overlap) {
      const old = await keys.find(id);
      if (!old) throw noKey(id);
      return rotateKey(keys, cache, clock, { old, overlap });
    },

    async revoke(id) {
      const stored = ID.test(id) ? await cache.get(id) : undefined;
      if (!stored) return false;
      const existed = await cache.delete(id);
      await index.remove(id, stored);
      return existed;
    },
  };
  return keys;
}

async function administratorsOf(
  index: DocumentIndex<StoredKey, object>,
  cache: DocumentCache<StoredKey>,
): Promise<string[]> {
  const found: string[] = [];
  for (let after: string | undefined; ; ) {
    const rows = await index.list(ADMINISTRATORS, { after, max: PAGE });
    const stored = await cache.getAll(rows.map(({ key }) => key));
    found.push(...stored.flatMap((key) => (key?.admin && isUnrestricted(key) ? [key.id] : [])));
    if (found.length > 1 || rows.length < PAGE) return found.slice(0, 2);
    after = rows.at(-1)!.key;
  }
}

function noKey(id: string): PosternError {
  return new PosternError('not_found', `There is no access key ${quote(id)}.`);
}

/** @throws PosternError `bad_request` */
function checkCredentials(id: string, secret: string): void {
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
}

function checkLabel(name: string | undefined): void {
  if (name === undefined || name.length <= MAX_LABEL) return;
  throw new PosternError('bad_request', `The name of a key has at most ${MAX_LABEL} characters.`);
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
