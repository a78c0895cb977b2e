/**
 * Return paths: the envelope sender of one delivery, which receives its bounces. It names the delivery and is signed,
 * so that a stranger cannot forge a bounce that puts an address on a suppression list.
 *
 *     b | token @ domain
 *
 * The local part has 57 octets, of 64 allowed (RFC 5321 §4.5.3.1.1).
 */
import { createSignedTokens } from './signed-token.ts';

const ADDRESS = /^b([a-z2-7]{56})@/i;

export interface ReturnPaths {
  /**
   * Makes the return path of delivery `n` of a message: `local@domain`.
   * @param n 0 to 65,535. @param expiresAt time until which it can be read, at most a day longer, ms.
   */
  make(messageId: string, n: number, domain: string, expiresAt: number): string;
  /**
   * The delivery that a return path names; undefined when it was not made here, was altered, or has expired.
   * @param now ms.
   */
  read(address: string, now: number): { messageId: string; n: number } | undefined;
}

/** Makes return paths that are signed with a secret, which all nodes share. */
export function createReturnPaths(secret: Buffer): ReturnPaths {
  const tokens = createSignedTokens(secret, '');
  return {
    make: (messageId, n, domain, expiresAt) => `b${tokens.make(messageId, n, expiresAt)}@${domain}`,
    read(address, now) {
      const match = ADDRESS.exec(address);
      return match ? tokens.read(match[1]!, now) : undefined;
    },
  };
}
