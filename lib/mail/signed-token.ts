/**
 * Signed names of messages and deliveries, in letters and digits that survive every mail system:
 *
 *     base32( time 6 | uuid 16 | n 2 | expiry day 2 | HMAC-SHA256, first 9 )
 *
 * 35 bytes are exactly 56 characters of base32 with no bit to spare, so one name has one spelling. Letters are lower
 * case and read in any case, because some relays change it.
 */
import { timingSafeEqual } from 'node:crypto';
import { PosternError } from '../errors.ts';
import { DAY } from '../time.ts';
import { createHmacSha256 } from './hmac.ts';
import { ID_BYTES, readIdBytes, writeIdBytes } from './message-id.ts';

/** Bytes before the signature, and of the signature: 72 bits, too many to guess by sending mail. */
const CONTENT = ID_BYTES + 4;
const TAG = 9;
const FORM = /^[a-z2-7]{56}$/i;
const ALPHABET = Buffer.from('abcdefghijklmnopqrstuvwxyz234567', 'latin1');

export interface SignedTokens {
  /** Names recipient `n` of a message. @param n 0 to 65,535. @param expiresAt until when it is read, rounded up to a day, ms. */
  make(messageId: string, n: number, expiresAt: number): string;
  /** Undefined for a token that was not made here for this use, was altered, or has expired. @param now ms. */
  read(token: string, now: number): { messageId: string; n: number } | undefined;
}

/** Makes tokens that are signed with a secret, which all nodes share. @param use tokens of one use are none of another. */
export function createSignedTokens(secret: Buffer, use: string): SignedTokens {
  const hmac = createHmacSha256(secret, use, CONTENT);
  /** The token that is being made: no other is meanwhile. */
  const made = Buffer.alloc(CONTENT + TAG);
  const tagOf = (content: Buffer): Buffer => Buffer.from(hmac(content).slice(0, TAG), 'latin1');

  return {
    make(messageId, n, expiresAt) {
      if (!writeIdBytes(messageId, made) || !(n >= 0 && n <= 0xffff)) {
        throw new PosternError('internal', `No token can name delivery ${n} of ${messageId}.`);
      }
      made.writeUInt16BE(n, ID_BYTES);
      made.writeUInt16BE(Math.min(0xffff, Math.ceil(expiresAt / DAY)), ID_BYTES + 2);
      const digest = hmac(made.subarray(0, CONTENT));
      for (let i = 0; i < TAG; i++) made[CONTENT + i] = digest.charCodeAt(i);
      return encodeBase32(made);
    },

    read(token, now) {
      if (!FORM.test(token)) return undefined;
      const bytes = decode(token.toLowerCase());
      const content = bytes.subarray(0, CONTENT);
      if (!timingSafeEqual(tagOf(content), bytes.subarray(CONTENT))) return undefined;
      if (now >= content.readUInt16BE(ID_BYTES + 2) * DAY) return undefined;
      return { messageId: readIdBytes(content), n: content.readUInt16BE(ID_BYTES) };
    },
  };
}

/** Encodes whole groups of 5 bytes as base32 (RFC 4648 §6) in lower case. */
export function encodeBase32(bytes: Buffer): string {
  // Characters are gathered as bytes: a string that grows by one at a time takes six times as long.
  const out = Buffer.allocUnsafe((bytes.length / 5) * 8);
  for (let i = 0, o = 0; i < bytes.length; i += 5, o += 8) {
    const high = (bytes[i]! << 12) | (bytes[i + 1]! << 4) | (bytes[i + 2]! >> 4);
    const low = ((bytes[i + 2]! & 15) << 16) | (bytes[i + 3]! << 8) | bytes[i + 4]!;
    encodeTwenty(high, out, o);
    encodeTwenty(low, out, o + 4);
  }
  return out.toString('latin1');
}

/** Encodes 20 bits as four characters. */
function encodeTwenty(bits: number, out: Buffer, at: number): void {
  out[at] = ALPHABET[bits >> 15]!;
  out[at + 1] = ALPHABET[(bits >> 10) & 31]!;
  out[at + 2] = ALPHABET[(bits >> 5) & 31]!;
  out[at + 3] = ALPHABET[bits & 31]!;
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
