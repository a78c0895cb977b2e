/**
 * DKIM signatures (RFC 6376), relaxed/relaxed: the hashed body, the signed fields, and the signature field. Pure;
 * `signer.ts` holds the private keys.
 *
 * A replay may send the signed message to strangers with a second Subject or From added on top. Against it, `h=`
 * names every field of consequence once more than it occurs, so that another field of that name breaks the signature
 * (RFC 6376 §8.15); `x=` ends its life; `l=`, which lets a stranger append text, is never used.
 */
import { hash } from 'node:crypto';
import { Cache } from '../cache.ts';
import type { HeaderField } from './types.ts';

/**
 * Validity of a signature, s. A message may wait five days in queues (RFC 5321 §4.5.4.1) and be checked again behind
 * a forwarder or two; after a week only a replay is left.
 */
export const LIFETIME = 7 * 86_400;

/** Fields that `h=` names once more than they occur. */
const OVERSIGNED = [
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'subject',
  'date',
  'message-id',
  'in-reply-to',
  'references',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
  'content-disposition',
  'list-id',
  'list-unsubscribe',
  'list-unsubscribe-post',
  'list-subscribe',
  'list-post',
  'list-owner',
  'list-archive',
  'list-help',
];
/** Fields that `h=` names as often as they occur. */
const SIGNED = [
  'content-id',
  'content-description',
  'content-language',
  'auto-submitted',
  'precedence',
  'feedback-id',
  'x-postern-ref',
];

const NAMES = [...OVERSIGNED, ...SIGNED];
const PLACE = new Map(NAMES.map((name, place) => [name, place]));

/** The signed part of a header. */
export interface SignedHeader {
  /** Value of the `h=` tag, folded. */
  names: string;
  /** The canonical fields in that order, latin1, each ending in CRLF. */
  data: string;
}

/**
 * Converts a field to relaxed form (RFC 6376 §3.4.2): lower-case name, unfolded, runs of blanks reduced to one, no
 * blanks at either end.
 */
export function relaxedField(f: HeaderField): string {
  const { name, raw } = f;
  let value = raw.slice(raw.indexOf(':') + 1);
  if (/[\t\r]| {2}/.test(value)) value = value.replaceAll('\r\n', '').replace(/[ \t]+/g, ' ');
  const start = value.charCodeAt(0) === 32 ? 1 : 0;
  const end = value.length > start && value.charCodeAt(value.length - 1) === 32 ? -1 : undefined;
  return `${name}:${value.slice(start, end)}\r\n`;
}

/**
 * Caches `h=` values by how often each name occurs. Most senders use few shapes of header; the bound is for the
 * others.
 */
const folded = new Cache<string, string>(1000);

function nameList(counts: number[]): string {
  const shape = String.fromCharCode(...counts);
  let list = folded.get(shape);
  if (list === undefined) {
    list = foldNames(
      NAMES.flatMap((name, i) => Array<string>(counts[i]! + (i < OVERSIGNED.length ? 1 : 0)).fill(name)),
    );
    folded.set(shape, list);
  }
  return list;
}

function foldNames(names: string[]): string {
  let out = '';
  let line = 3;
  for (const name of names) {
    if (out) out += ':';
    if (line + name.length + 1 > 76) {
      out += '\r\n ';
      line = 1;
    }
    out += name;
    line += name.length + 1;
  }
  return out;
}

/** Selects, orders and canonicalises the fields to sign; of repeated fields the lowest comes first (§5.4.2). */
export function signedHeader(fields: HeaderField[]): SignedHeader {
  const counts = new Array<number>(NAMES.length).fill(0);
  const found = new Array<string>(NAMES.length).fill('');
  for (const f of fields) {
    const place = PLACE.get(f.name);
    if (place === undefined) continue;
    counts[place]!++;
    found[place] = relaxedField(f) + found[place]!;
  }
  return { names: nameList(counts), data: found.join('') };
}

/** Computes the SHA-256 of the body in relaxed form (RFC 6376 §3.4.4), base64. The body's lines end in CRLF. */
export function bodyHash(body: Buffer): string {
  return hash('sha256', relaxedBody(body), 'base64');
}

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;

/**
 * Converts the body to relaxed form: runs of blanks reduced to one, no blanks at the end of a line, no empty lines at
 * the end, and CRLF after the last line. Most bodies have that form except at their end, and are not copied.
 */
export function relaxedBody(body: Buffer): Buffer {
  const from = firstBlank(body);
  return from < 0 ? withoutEmptyEnd(body) : withoutEmptyEnd(collapse(body, from));
}

/**
 * Finds where the relaxed form may first differ: at or before the first tab, double space, or space at the end of a
 * line; -1 when it differs nowhere. Of two neighbouring bytes one has an even index, so checking those is enough.
 */
function firstBlank(body: Buffer): number {
  if (body.includes(TAB)) return 0;
  const last = body.length - 1;
  for (let i = 0; i <= last; i += 2) {
    const c = body[i]!;
    if (c > SPACE) continue;
    if (c === SPACE) {
      const after = body[i + 1];
      if (after === SPACE || after === CR || i === last || body[i - 1] === SPACE) return Math.max(0, i - 1);
    } else if (c === CR && body[i - 1] === SPACE) return i - 1;
  }
  return body[last] === SPACE ? last : -1;
}

/** Copies the body, collapsing blanks from `from` on. */
function collapse(body: Buffer, from: number): Buffer {
  const out = Buffer.allocUnsafe(body.length);
  body.copy(out, 0, 0, from);
  let o = from;
  let blank = false;
  for (let i = from; i < body.length; i++) {
    const c = body[i]!;
    if (c === SPACE || c === TAB) {
      blank = true;
      continue;
    }
    if (blank) {
      if (c !== CR) out[o++] = SPACE;
      blank = false;
    }
    out[o++] = c;
  }
  return out.subarray(0, o);
}

function withoutEmptyEnd(body: Buffer): Buffer {
  let end = body.length;
  while (end >= 2 && body[end - 1] === LF && body[end - 2] === CR) end -= 2;
  if (end === 0) return body.subarray(0, 0);
  if (end < body.length) return body.subarray(0, end + 2);
  return Buffer.concat([body, Buffer.from('\r\n')]);
}

/**
 * Builds the DKIM-Signature field up to and including `b=`, folded (RFC 6376 §3.5).
 * @param at ms.
 */
export function signatureField(
  key: { domain: string; selector: string; algorithm: string },
  header: SignedHeader,
  bodyHash64: string,
  at: number,
): string {
  const t = Math.floor(at / 1000);
  return (
    `DKIM-Signature: v=1; a=${key.algorithm}; c=relaxed/relaxed;\r\n d=${key.domain};\r\n s=${key.selector};` +
    ` t=${t}; x=${t + LIFETIME};\r\n h=${header.names};\r\n bh=${bodyHash64};\r\n b=`
  );
}

/**
 * Builds the input of the signature: the selected fields, and the signature's own field in relaxed form with an empty
 * `b=`.
 */
export function signingInput(header: SignedHeader, field: string): string {
  return `${header.data}dkim-signature:${field.slice('DKIM-Signature: '.length).replaceAll('\r\n', '')}`;
}

/** Completes the field with the signature (base64), folded in lines of 72, and CRLF. */
export function withSignature(field: string, signature: string): string {
  let out = field + signature.slice(0, 72);
  for (let i = 72; i < signature.length; i += 72) out += `\r\n ${signature.slice(i, i + 72)}`;
  return `${out}\r\n`;
}
