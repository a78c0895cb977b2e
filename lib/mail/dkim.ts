/**
 * DKIM signatures (RFC 6376), relaxed/relaxed: the hashed body, the signed fields, and the signature field. Pure;
 * `signer.ts` holds the private keys.
 *
 * A replay may send the signed message to strangers with a second Subject or From added on top. Against it, `h=`
 * names every field of consequence once more than it occurs, so that another field of that name breaks the signature
 * (RFC 6376 §8.15); `x=` ends its life; `l=`, which lets a stranger append text, is never used.
 */
import { createHash, hash } from 'node:crypto';
import { Cache } from '../cache.ts';
import { WINDOW } from './octets.ts';
import { relaxedBody } from './relaxed-body.ts';
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
  /** Value of the `h=` tag, folded, and in relaxed form. */
  names: { folded: string; relaxed: string };
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
 * Caches `h=` values by the shape of the header: a bit for each name that occurs, or where one occurs twice, how often each
 * does. Most senders use few shapes; the bound is for the others.
 */
const lists = new Cache<number | string, SignedHeader['names']>(1000);

function nameList(shape: number | string, fields: readonly HeaderField[]): SignedHeader['names'] {
  let list = lists.get(shape);
  if (list === undefined) {
    const counts = countsOf(fields);
    const folded = foldNames(
      NAMES.flatMap((name, i) => Array<string>(counts[i]! + (i < OVERSIGNED.length ? 1 : 0)).fill(name)),
    );
    lists.set(shape, (list = { folded, relaxed: folded.replaceAll('\r\n', '') }));
  }
  return list;
}

/** How often each of `NAMES` occurs. */
function countsOf(fields: readonly HeaderField[]): number[] {
  const counts = new Array<number>(NAMES.length).fill(0);
  for (const { name } of fields) {
    const place = PLACE.get(name);
    if (place !== undefined) counts[place]! += 1;
  }
  return counts;
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
export function signedHeader(fields: readonly HeaderField[]): SignedHeader {
  const found = new Array<string>(NAMES.length).fill('');
  // 29 names: each has its bit.
  let shape = 0;
  let repeated = false;
  for (const f of fields) {
    const place = PLACE.get(f.name);
    if (place === undefined) continue;
    const bit = 1 << place;
    repeated ||= (shape & bit) !== 0;
    shape |= bit;
    found[place] = relaxedField(f) + found[place]!;
  }
  let data = '';
  for (const one of found) data += one;
  return { names: nameList(repeated ? countsOf(fields).join() : shape, fields), data };
}

/** Of an empty body. */
const EMPTY_HASH = hash('sha256', '', 'base64');

/** Computes the SHA-256 of the body in relaxed form (RFC 6376 §3.4.4), base64. The body's lines end in CRLF. */
export function bodyHash(body: Buffer): string {
  if (body.length <= WINDOW) {
    let digest = EMPTY_HASH;
    relaxedBody(body, (piece) => {
      digest = hash('sha256', piece, 'base64');
    });
    return digest;
  }
  const digest = createHash('sha256');
  relaxedBody(body, (piece) => digest.update(piece));
  return digest.digest('base64');
}

/** The tags of a key in its DKIM-Signature fields: `v=`, `a=`, `c=`, `d=` and `s=`. */
export interface KeyTags {
  folded: string;
  relaxed: string;
}

export function keyTags(key: { domain: string; selector: string; algorithm: string }): KeyTags {
  const folded = `v=1; a=${key.algorithm}; c=relaxed/relaxed;\r\n d=${key.domain};\r\n s=${key.selector};`;
  return { folded, relaxed: folded.replaceAll('\r\n', '') };
}

/**
 * Builds the DKIM-Signature field up to and including `b=`, folded (RFC 6376 §3.5), and the input of the signature: the
 * selected fields, and this field in relaxed form with an empty `b=`.
 * @param at ms.
 */
export function signatureField(
  tags: KeyTags,
  { names, data }: SignedHeader,
  bodyHash64: string,
  at: number,
): { field: string; input: string } {
  const t = Math.floor(at / 1000);
  const times = ` t=${t}; x=${t + LIFETIME};`;
  return {
    field: `DKIM-Signature: ${tags.folded}${times}\r\n h=${names.folded};\r\n bh=${bodyHash64};\r\n b=`,
    input: `${data}dkim-signature:${tags.relaxed}${times} h=${names.relaxed}; bh=${bodyHash64}; b=`,
  };
}

/** Completes the field with the signature (base64), folded in lines of 72, and CRLF. */
export function withSignature(field: string, signature: string): string {
  let out = field + signature.slice(0, 72);
  for (let i = 72; i < signature.length; i += 72) out += `\r\n ${signature.slice(i, i + 72)}`;
  return `${out}\r\n`;
}
