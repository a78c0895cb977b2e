/**
 * Signed names of messages and deliveries, in letters and digits that survive every mail system:
 *
 *     base32( time 6 | uuid 16 | n 2 | expiry day 2 | HMAC-SHA256, first 9 )
 *
 * 35 bytes are exactly 56 characters of base32 with no bit to spare, so one name has one spelling. Letters are lower
 * case and read in any case, because some relays change it.
 */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import { PosternError } from '../errors.ts';
import { DAY } from '../time.ts';
import { ID_BYTES, isMessageId, readIdBytes, writeIdBytes } from './message-id.ts';

/** Bytes before the signature, and of the signature: 72 bits, too many to guess by sending mail. */
const CONTENT = ID_BYTES + 4;
const TAG = 9;
const FORM = /^[a-z2-7]{56}$/i;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

export interface SignedTokens {
  /** Names recipient `n` of a message. @param n 0 to 65,535. @param expiresAt until when it is read, rounded up to a day, ms. */
  make(messageId: string, n: number, expiresAt: number): string;
  /** Undefined for a token that was not made here for this use, was altered, or has expired. @param now ms. */
  read(token: string, now: number): { messageId: string; n: number } | undefined;
}

/** Makes tokens that are signed with a secret, which all nodes share. @param use tokens of one use are none of another. */
export function createSignedTokens(secret: Buffer, use: string): SignedTokens {
  const key = createSecretKey(secret);
  const sign = (content: Buffer): Buffer =>
    createHmac('sha256', key).update(use).update(content).digest().subarray(0, TAG);

  return {
    make(messageId, n, expiresAt) {
      if (!isMessageId(messageId) || !(n >= 0 && n <= 0xffff)) {
        throw new PosternError('internal', `No token can name delivery ${n} of ${messageId}.`);
      }
      const bytes = Buffer.allocUnsafe(CONTENT + TAG);
      writeIdBytes(messageId, bytes);
      bytes.writeUInt16BE(n, ID_BYTES);
      bytes.writeUInt16BE(Math.min(0xffff, Math.ceil(expiresAt / DAY)), ID_BYTES + 2);
      sign(bytes.subarray(0, CONTENT)).copy(bytes, CONTENT);
      return encodeBase32(bytes);
    },

    read(token, now) {
      if (!FORM.test(token)) return undefined;
      const bytes = decode(token.toLowerCase());
      const content = bytes.subarray(0, CONTENT);
      if (!timingSafeEqual(sign(content), bytes.subarray(CONTENT))) return undefined;
      if (now >= content.readUInt16BE(ID_BYTES + 2) * DAY) return undefined;
      return { messageId: readIdBytes(content), n: content.readUInt16BE(ID_BYTES) };
    },
  };
}

/** Encodes whole groups of 5 bytes as base32 (RFC 4648 §6) in lower case. */
export function encodeBase32(bytes: Buffer): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 5) {
    const high = (bytes[i]! << 12) | (bytes[i + 1]! << 4) | (bytes[i + 2]! >> 4);
    const low = ((bytes[i + 2]! & 15) << 16) | (bytes[i + 3]! << 8) | bytes[i + 4]!;
    for (const bits of [high, low]) {
      out +=
        ALPHABET[bits >> 15]! +
        ALPHABET[(bits >> 10) & 31]! +
        ALPHABET[(bits >> 5) & 31]! +
        ALPHABET[bits & 31]!;
    }
  }
  return out;
}

function decode(text: string): Buffer {
  const out = Buffer.allocUnsafe((text.length / 8) * 5);
  for (let i = 0, o = 0; i < text.length; i += 8, o += 5) {
    const [high, low] = [twenty(text, i), twenty(text, i + 4)];
    out.writeUInt16BE(high >> 4, o);
    out[o + 2] = ((high & 15) << 4) | (low >> 16);
    out.writeUInt16BE(low & 0xffff, o + 3);
  }
  return out;
}

/** Decodes four characters to 20 bits. */
function twenty(text: string, at: number): number {
  let bits = 0;
  for (let i = at; i < at + 4; i++) {
    const c = text.charCodeAt(i);
    bits = (bits << 5) | (c >= 97 ? c - 97 : c - 24);
  }
  return bits;
}
