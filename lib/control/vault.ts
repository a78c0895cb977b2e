/**
 * Seals secrets at rest: AES-256-GCM under the master key (NIST SP 800-38D). A sealed secret is one string,
 * `v1.<master key id>.<base64url of nonce ‖ ciphertext ‖ tag>`.
 *
 * The context (the document, and which of its secrets) is authenticated with it, so that an attacker who can write to
 * the store but has no master key cannot put one tenant's sealed secret into another tenant's document. The master
 * key's id distinguishes a secret of another master key from a damaged one, and lets keys be rotated.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { PosternError } from '../errors.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const MASTER_KEY_BYTES = 32;

export interface Vault {
  seal(secret: string, context: string): string;
  /** @throws `storage_damaged` when the seal is broken, of another master key or of another context. */
  open(sealed: string, context: string): string;
  /** @throws `storage_damaged` when the secret was sealed under another master key. */
  expectOwn(sealed: string, context: string): void;
}

/** @param masterKey 32 bytes. */
export function createVault(masterKey: Buffer): Vault {
  if (masterKey.length !== MASTER_KEY_BYTES) {
    throw new PosternError(
      'bad_request',
      `The master key has ${masterKey.length} bytes; it needs ${MASTER_KEY_BYTES}.`,
    );
  }
  const id = createHmac('sha256', masterKey).update('postern master key id').digest('hex').slice(0, 8);

  function expectOwn(sealed: string, context: string): void {
    const [version, keyId] = sealed.split('.', 2);
    if (version === 'v1' && keyId === id) return;
    throw new PosternError(
      'storage_damaged',
      `The secret of ${context} is sealed under master key ${keyId}, but the master key here is ${id}. ` +
        'Restore the master.key that belongs to this data directory.',
    );
  }

  return {
    seal(secret, context) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', masterKey, nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(Buffer.from(context));
      const parts = [nonce, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()];
      return `v1.${id}.${Buffer.concat(parts).toString('base64url')}`;
    },

    open(sealed, context) {
      expectOwn(sealed, context);
      const bytes = Buffer.from(sealed.slice(sealed.lastIndexOf('.') + 1), 'base64url');
      try {
        const decipher = createDecipheriv('aes-256-gcm', masterKey, bytes.subarray(0, NONCE_BYTES), {
          authTagLength: TAG_BYTES,
        });
        decipher.setAAD(Buffer.from(context));
        decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
        const secret = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
        return Buffer.concat([secret, decipher.final()]).toString('utf8');
      } catch (cause) {
        throw new PosternError(
          'storage_damaged',
          `The secret of ${context} was changed in the store. Restore it from a backup, or make a new one.`,
          { cause },
        );
      }
    },

    expectOwn,
  };
}
