/** The canonical forms of AWS Signature Version 4: path, query and headers as the signer saw them. */
import { PosternError } from '../errors.ts';
import type { RequestHead } from './raw-request.ts';

const UNRESERVED_PATH = /^[A-Za-z0-9\-._~/]*$/;

/** RFC 3986 percent-encoding of each byte value (as a latin1 character), for all but unreserved ones. */
const ENCODED = Array.from({ length: 256 }, (_, code) => {
  const char = String.fromCharCode(code);
  return /[A-Za-z0-9\-._~]/.test(char) ? char : `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
});

/**
 * The canonical URI: dot segments and empty segments removed, then each segment of the path *as sent* encoded once
 * more (all services but S3 encode twice: `user%40x` becomes `user%2540x`).
 */
export function canonicalPath(rawPath: string): string {
  const path = rawPath.includes('//') || rawPath.includes('/.') ? withoutDots(rawPath) : rawPath;
  if (UNRESERVED_PATH.test(path)) return path === '' ? '/' : path;
  let out = '';
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    out += code === 47 ? '/' : ENCODED[code & 255]!;
  }
  return out;
}

/** RFC 3986 §5.2.4, and empty segments dropped, as the SDKs do before they sign. */
function withoutDots(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  return `/${kept.join('/')}${kept.length > 0 && path.endsWith('/') ? '/' : ''}`;
}

/** Names and values of a query, decoded once. `+` is a plus sign (RFC 3986), not a space. */
export function parseQuery(rawQuery: string): [name: string, value: string][] {
  if (rawQuery === '') return [];
  const pairs: [string, string][] = [];
  for (const part of rawQuery.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    pairs.push(
      equals < 0 ? [decode(part), ''] : [decode(part.slice(0, equals)), decode(part.slice(equals + 1))],
    );
  }
  return pairs;
}

/** The canonical query: encoded strictly, sorted by name and then by value, repeated names kept. */
export function canonicalQuery(query: [string, string][]): string {
  if (query.length === 0) return '';
  return query
    .map(([name, value]): [string, string] => [encode(name), encode(value)])
    .sort(([a, x], [b, y]) => order(a, b) || order(x, y))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Percent-decodes a path label or a part of a query. @throws PosternError `bad_request` when it is not UTF-8. */
export function decode(text: string): string {
  const raw = /[^\x00-\x7f]/.test(text) ? rawUtf8(text) : text;
  if (!raw.includes('%')) return raw;
  try {
    return decodeURIComponent(raw);
  } catch {
    throw new PosternError('bad_request', 'The path or the query holds an invalid percent-encoding.');
  }
}

/** Octets that a client sent without encoding them; a server shows them as latin1, Lambda as what they stand for. */
function rawUtf8(text: string): string {
  return /[^\x00-\xff]/.test(text) ? text : Buffer.from(text, 'latin1').toString('utf8');
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/**
 * The canonical headers: `name:value\n` for each signed name, values trimmed, runs of blanks reduced to one, the
 * values of a repeated header joined with `,` in wire order.
 * @throws PosternError `incomplete_signature` when a signed header is missing.
 */
export function canonicalHeaders(head: RequestHead, signedHeaders: string[]): string {
  let out = '';
  for (const name of signedHeaders) {
    let joined: string | undefined;
    for (let i = 0; i < head.headers.length; i++) {
      const field = head.headers[i]!;
      if (field[0] !== name) continue;
      joined = joined === undefined ? collapse(field[1]) : `${joined},${collapse(field[1])}`;
    }
    if (joined === undefined)
      throw new PosternError('incomplete_signature', `The signed header '${name}' is not in the request.`);
    out += `${name}:${joined}\n`;
  }
  return out;
}

/** Only blanks and tabs: latin1 0xA0 may be half of a UTF-8 character, and is no space here. */
function collapse(value: string): string {
  if (!value.includes('  ') && !value.includes('\t')) return trimBlanks(value);
  return trimBlanks(value.replace(/[ \t]+/g, ' '));
}

function trimBlanks(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && value.charCodeAt(start) === 32) start++;
  while (end > start && value.charCodeAt(end - 1) === 32) end--;
  return start === 0 && end === value.length ? value : value.slice(start, end);
}
