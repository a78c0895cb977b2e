/** The arguments of MAIL and RCPT: a path and its parameters (RFC 5321 §4.1.2), by one scan. */
import { isIPv4, isIPv6 } from 'node:net';

export interface EnvelopePath {
  /** As written, without the brackets and without a source route; empty for `<>`. */
  address: string;
  /** Keywords in capitals, with their values; undefined for a keyword without one. */
  parameters: ReadonlyMap<string, string | undefined>;
}

/**
 * `FROM:<…>` or `TO:<…>` and the rest. A source route (RFC 5321 appendix C) is dropped. A quoted local part may have
 * brackets, blanks and `@`.
 */
const PATH =
  /^(FROM|TO)[ \t]*:[ \t]*<(?:@[^\s,:@<>]+(?:,@[^\s,:@<>]+)*:)?((?:"(?:[^"\\\u0000-\u001f\u007f]|\\[\u0020-\u007e]){0,62}"|[^\s<>@"]+)@[^\s<>@]+|[^\s<>@"]*)>(?:[ \t]+(.*))?$/i;
/**
 * Dot-string (RFC 5321 §4.1.2; with UTF-8 by RFC 6531). Controls, characters that cannot be seen and the mark of octets
 * that were not UTF-8 are no part of an address.
 */
const DOT_STRING =
  /^[^\s()<>[\]:;,"\\@.\u0000-\u001f\u007f-\u009f\u200b\u2060\ufeff\ufffd]+(?:\.[^\s()<>[\]:;,"\\@.\u0000-\u001f\u007f-\u009f\u200b\u2060\ufeff\ufffd]+)*$/;
const DOMAIN = /^[a-z0-9\u00a0-\ufffc]+(?:[.-]+[a-z0-9\u00a0-\ufffc]+)*$/i;
/** Labels that are empty, or begin or end with a hyphen. */
const BAD_LABEL = /\.\.|\.-|-\./;
const PARAMETER = /^([a-z0-9][a-z0-9-]*)(?:=([^\u0000-\u0020\u007f]+))?$/i;
/** Maximum length of a path without its brackets (RFC 5321 §4.5.3.1.3), octets. */
const MAX_PATH = 254;
const NO_PARAMETERS: ReadonlyMap<string, string | undefined> = new Map();

/**
 * Parses what follows `MAIL ` or `RCPT `. @returns undefined when it is no path; the refusal, with its code, of bad
 * parameters.
 */
export function readPath(keyword: 'FROM' | 'TO', text: string): EnvelopePath | string | undefined {
  const match = PATH.exec(text);
  if (!match || match[1]!.toUpperCase() !== keyword) return undefined;
  const address = match[2]!;
  const isRole = keyword === 'TO' && address.toLowerCase() === 'postmaster';
  if (address !== '' && !isRole && !isMailbox(address)) return undefined;
  const parameters = match[3] === undefined ? NO_PARAMETERS : readParameters(match[3]);
  return typeof parameters === 'string' ? parameters : { address, parameters };
}

function isMailbox(address: string): boolean {
  const at = address.lastIndexOf('@');
  if (at < 0 || address.length > MAX_PATH) return false;
  if (address[0] !== '"' && !DOT_STRING.test(address.slice(0, at))) return false;
  const domain = address.slice(at + 1);
  if (domain[0] === '[') return isLiteral(domain);
  return DOMAIN.test(domain) && !BAD_LABEL.test(domain);
}

/** Address literals: `[192.0.2.1]`, `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3). */
function isLiteral(text: string): boolean {
  if (!text.endsWith(']')) return false;
  const address = text.slice(1, -1);
  return /^ipv6:/i.test(address) ? isIPv6(address.slice(5)) : isIPv4(address);
}

function readParameters(text: string): ReadonlyMap<string, string | undefined> | string {
  const parameters = new Map<string, string | undefined>();
  for (const one of text.split(/[ \t]+/)) {
    if (one === '') continue;
    const [, keyword = '', value] = PARAMETER.exec(one) ?? [];
    if (keyword === '') return '501 5.5.4 Bad parameter syntax; write KEYWORD or KEYWORD=value';
    const name = keyword.toUpperCase();
    // RFC 3461 §4: each at most once.
    if (parameters.has(name)) return `501 5.5.4 Duplicate ${name.slice(0, 40)} parameter`;
    parameters.set(name, value);
  }
  return parameters;
}

/** Checks the parameters of MAIL. @returns the refusal with its code. */
export function refusalOfMail({ parameters }: EnvelopePath, maxBytes: number): string | undefined {
  if (parameters.size === 0) return undefined;
  if (parameters.has('SIZE')) {
    const size = parameters.get('SIZE') ?? '';
    // RFC 1870 §3: up to 20 digits.
    if (!/^\d{1,20}$/.test(size)) return '501 5.5.4 Bad SIZE; write the octets of the message as digits';
    if (Number(size) > maxBytes) return `552 5.3.4 Message too large; the limit is ${maxBytes} octets`;
  }
  if (parameters.has('BODY') && !/^(?:7BIT|8BITMIME)$/i.test(parameters.get('BODY') ?? '')) {
    return '501 5.5.4 Bad BODY; it is 7BIT or 8BITMIME';
  }
  if (parameters.get('SMTPUTF8') !== undefined) return '501 5.5.4 SMTPUTF8 takes no value';
  if (parameters.has('REQUIRETLS')) return '555 5.5.4 REQUIRETLS is not offered here';
  return undefined;
}
