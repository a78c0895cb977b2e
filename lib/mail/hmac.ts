/**
 * HMAC-SHA256 (RFC 2104) of short texts: two one-shot hashes over the key that was padded beforehand. The digest is the one
 * of `createHmac`, which makes an object for each text and takes four to six times as long: each message is named twice.
 */
import { hash } from 'node:crypto';

const BLOCK = 64;
const DIGEST = 32;

/**
 * A function that makes the digests of texts, as strings of 32 characters, one a byte (latin1).
 * @param use text in front of each. @param length of each text without that, octets.
 */
export function createHmacSha256(secret: Buffer, use: string, length: number): (text: Buffer) => string {
  const key = secret.length > BLOCK ? hash('sha256', secret, 'buffer') : secret;
  const before = Buffer.from(use);
  const inner = Buffer.alloc(BLOCK + before.length + length, 0x36);
  const outer = Buffer.alloc(BLOCK + DIGEST, 0x5c);
  for (let i = 0; i < key.length; i++) {
    inner[i]! ^= key[i]!;
    outer[i]! ^= key[i]!;
  }
  before.copy(inner, BLOCK);
  return (text) => {
    inner.set(text, BLOCK + before.length);
    const digest = hash('sha256', inner, 'binary');
    for (let i = 0; i < DIGEST; i++) outer[BLOCK + i] = digest.charCodeAt(i);
    return hash('sha256', outer, 'binary');
  };
}
