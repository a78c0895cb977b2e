/**
 * Addresses for reports about a domain (the `rua` of DMARC and of TLS-RPT). The local part is `r`, a signature that is
 * the same for all of this service, so that strangers' mail is refused before it is read, and one of the domain, so
 * that a report is taken only about the domain that its address was made for.
 */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import { encodeBase32 } from './signed-token.ts';

/** 80 bits, 16 characters of base32. */
const TAG = 10;
const ADDRESS = /^r([a-z2-7]{16})([a-z2-7]{16})@/i;

export interface ReportMailboxes {
  /** @param about the domain, lower case A-label. @param at domain whose MX is the inbound listener. */
  make(about: string, at: string): string;
  /** Whether an address was made here, for any domain. */
  isOurs(address: string): boolean;
  /** Whether an address was made here for reports about the domain. */
  isFor(address: string, about: string): boolean;
}

/** Makes addresses that are signed with a secret, which all nodes share. */
export function createReportMailboxes(secret: Buffer): ReportMailboxes {
  const key = createSecretKey(secret);
  const tag = (of: string): string =>
    encodeBase32(createHmac('sha256', key).update(`reports ${of}`).digest().subarray(0, TAG));
  // No domain is empty.
  const service = tag('');
  const same = (a: string | undefined, b: string): boolean =>
    a !== undefined && timingSafeEqual(Buffer.from(a.toLowerCase()), Buffer.from(b));
  const isOurs = (address: string): boolean => same(ADDRESS.exec(address)?.[1], service);

  return {
    make: (about, at) => `r${service}${tag(about)}@${at}`,
    isOurs,
    isFor: (address, about) => isOurs(address) && same(ADDRESS.exec(address)?.[2], tag(about)),
  };
}
