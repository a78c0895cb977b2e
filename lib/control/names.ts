/** Validates names, once, where a document is created. */
import { PosternError } from '../errors.ts';
import { parseEnvelopeAddress } from '../mail/address.ts';
import { canonicalDomain } from '../mail/domain.ts';

/** SES: "up to 64 alphanumeric characters, hyphens (-) and underscores (_)". */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const MAX_QUOTED = 80;

/** Whether a text can be a name: what cannot is not looked up. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

/** @param what the named thing, for the message. @throws `bad_request` */
export function checkName(what: string, name: string): void {
  if (isName(name)) return;
  throw new PosternError(
    'bad_request',
    `The name of a ${what} has 1 to 64 of the characters A-Z, a-z, 0-9, - and _; this one has not: ${quote(name)}.`,
  );
}

/** Key of a document whose name is unique within its tenant. */
export function tenantKey(tenant: string, name: string): string {
  return `${tenant}/${name}`;
}

/**
 * The canonical form in which an identity's name is stored and compared: a domain as lower case A-label, or an
 * address with such a domain. Local parts keep their case (RFC 5321 §2.4).
 * @throws `invalid_address`
 */
export function normaliseIdentity(text: string): { name: string; type: 'DOMAIN' | 'EMAIL_ADDRESS' } {
  const address = text.includes('@') ? parseEnvelopeAddress(text) : undefined;
  const domain = address?.domain ?? canonicalDomain(text);
  // A top-level domain would cover the names of every tenant; an address literal changes its owner.
  if (!domain.includes('.') || domain.startsWith('[')) {
    throw new PosternError('invalid_address', `${quote(text)} is not below a top-level domain.`);
  }
  return address ? { name: address.address, type: 'EMAIL_ADDRESS' } : { name: domain, type: 'DOMAIN' };
}

/** Text of a caller for a message: one line, bounded, in quotes. */
export function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
}

/** Text of a caller without quotes, where SES's wording has none. */
export function shorten(text: string): string {
  return quote(text).slice(1, -1);
}
