/**
 * Converts domains of addresses to their one canonical form: lower-case A-labels (RFC 5890), or an address literal
 * (RFC 5321 §4.1.3). Every comparison, record and envelope uses this form.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';
import { PosternError } from '../errors.ts';

/** Maximum length of a domain name without its root dot (RFC 1035 §2.3.4), octets. */
const MAX_DOMAIN = 253;

/** Labels of letters, digits and inner hyphens, 63 octets at most (RFC 5321 §4.1.2, RFC 1035 §2.3.4). */
const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

const A_LABEL = /(?:^|\.)xn--/;

/** A last label that resolvers read as a number: `127.1` and `0x7f.1` would connect to 127.0.0.1. */
const NUMERIC = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/;

function refuse(domain: string, why: string): never {
  const shown = domain.length > 80 ? `${domain.slice(0, 80)}…` : domain;
  throw new PosternError('invalid_address', `The domain ${JSON.stringify(shown)} ${why}.`);
}

/**
 * Canonicalises a domain that a person or a program wrote.
 * @throws `invalid_address` when it is not a host name (RFC 5321 §4.1.2) or a valid internationalised one.
 */
export function canonicalDomain(text: string): string {
  // U-labels are shorter than their A-labels, so a text above the limit is above it in either form.
  if (text.length > MAX_DOMAIN) refuse(text, `is longer than ${MAX_DOMAIN} octets`);
  let domain = text.toLowerCase();
  // The lower-case form of some non-ASCII characters is ASCII (the Kelvin sign), so the original is tested.
  if (/[^\x00-\x7f]/.test(text) || A_LABEL.test(domain)) {
    // `domainToASCII` reads a host of a URL: it would cut `ä.example/x` at the slash, and decode `%41`.
    domain = /[\x00-\x20%/?#\\@:[\]]/.test(text) ? '' : domainToASCII(text);
    // An A-label that decodes to nothing stays as it is: it was made up to mislead readers.
    if (!domain || A_LABEL.test(domainToUnicode(domain))) {
      refuse(text, 'is not a valid internationalised domain name');
    }
    if (domain.length > MAX_DOMAIN) refuse(text, `is longer than ${MAX_DOMAIN} octets as A-labels`);
  }
  if (!DOMAIN.test(domain)) refuse(text, 'is not made of labels of letters, digits and hyphens');
  if (NUMERIC.test(domain)) refuse(text, 'ends in a number; write an IP address as [192.0.2.1]');
  return domain;
}

/**
 * Canonicalises an address literal, given without its brackets: IPv4, or `IPv6:` and an IPv6 address.
 * @throws `invalid_address` on anything else; no other tag is registered for mail.
 */
export function canonicalLiteral(text: string): string {
  if (isIPv4(text)) return `[${text}]`;
  const address = /^ipv6:/i.test(text) ? text.slice(5) : '';
  if (isIPv6(address) && !address.includes('%')) return `[IPv6:${address.toLowerCase()}]`;
  return refuse(`[${text}]`, 'is not an IPv4 or IPv6 address literal');
}
