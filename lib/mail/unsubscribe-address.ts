/**
 * Addresses to which a reader's mail program writes to unsubscribe (RFC 2369 §3.2): `u | token @ domain`, signed as
 * return paths are, so that no stranger's mail is taken and none can unsubscribe another reader. The address names the
 * message; who leaves what is in the message's record.
 */
import { createSignedTokens } from './signed-token.ts';

const ADDRESS = /^u([a-z2-7]{56})@/i;

export interface UnsubscribeAddresses {
  /** @param expiresAt until when it is read, rounded up to a day, ms. */
  make(messageId: string, domain: string, expiresAt: number): string;
  /** The message; undefined for an address that was not made here, was altered, or has expired. @param now ms. */
  read(address: string, now: number): string | undefined;
}

/** Makes addresses that are signed with a secret, which all nodes share. */
export function createUnsubscribeAddresses(secret: Buffer): UnsubscribeAddresses {
  const tokens = createSignedTokens(secret, 'unsubscribe');
  return {
    make: (messageId, domain, expiresAt) => `u${tokens.make(messageId, 0, expiresAt)}@${domain}`,
    read(address, now) {
      const match = ADDRESS.exec(address);
      return match ? tokens.read(match[1]!, now)?.messageId : undefined;
    },
  };
}
