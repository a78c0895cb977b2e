/**
 * Seals the contents of links: AES-256-GCM under a key of its use, so that no link of one use passes for one of another.
 *
 *     base64url( IV 12 | ciphertext | tag 16 )
 *
 * Sealed, not only signed: contents name addresses, and links end in the logs of proxies. The IV is a keyed digest of
 * the content, so equal content gives an equal link, and no IV serves two contents.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto';

const IV = 12;
const TAG = 16;

export interface Seal {
  /** @param bound text that must be the same when it is opened, as a host. */
  close(content: Buffer, bound: string): string;
  /** The content; undefined when it was not sealed here for this use, was altered, or is bound to something else. */
  open(sealed: string, bound: string): Buffer | undefined;
}

/** @param secret shared by all who seal and open. @param use names what is sealed. */
export function createSeal(secret: Buffer, use: string): Seal {
  const derive = (part: string): Buffer =>
    Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `${use} ${part}`, 32));
  const [key, ivKey] = [derive('seal'), derive('iv')];

  return {
    close(content, bound) {
      const aad = Buffer.from(bound);
      const iv = createHmac('sha256', ivKey).update(aad).update(' ').update(content).digest().subarray(0, IV);
      const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG }).setAAD(aad);
      return Buffer.concat([iv, cipher.update(content), cipher.final(), cipher.getAuthTag()]).toString(
        'base64url',
      );
    },

    open(text, bound) {
      const sealed = Buffer.from(text, 'base64url');
      if (sealed.length < IV + TAG) return undefined;
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, IV), { authTagLength: TAG });
      decipher.setAAD(Buffer.from(bound)).setAuthTag(sealed.subarray(-TAG));
      try {
        return Buffer.concat([decipher.update(sealed.subarray(IV, -TAG)), decipher.final()]);
      } catch {
        return undefined;
      }
    },
  };
}
