/**
 * Content transfer encodings (RFC 2045 §6): how text and files travel in lines that every mail server takes.
 *
 * Text keeps its bytes (`7bit`) when it is plain ASCII in lines of at most 998 octets; only its line breaks
 * become CRLF. Otherwise it is quoted-printable or base64, whichever is shorter. Files are always base64.
 */

export type TransferEncoding = '7bit' | 'quoted-printable' | 'base64';

export interface EncodedContent {
  encoding: TransferEncoding;
  /** Lines end in CRLF; the last one need not end. */
  bytes: Buffer;
}

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const EQUALS = 0x3d;
const HEX = Buffer.from('0123456789ABCDEF', 'latin1');

/** Longest line without its CRLF (RFC 5322 §2.1.1). */
const MAX_LINE = 998;
/** Longest base64 line (RFC 2045 §6.8). */
const BASE64_LINE = 76;
/** Quoted-printable lines hold 76 octets, the last of which is kept for the `=` of a soft break. */
const QP_COLUMNS = 75;

/**
 * Encodes text as UTF-8 with CRLF line breaks (a lone CR or LF is one too). Lone surrogates become U+FFFD.
 */
export function encodeText(text: string): EncodedContent {
  const utf8 = Buffer.from(text, 'utf8');
  let missing = 0; // octets that make every line break a CRLF
  let escaped = 0; // octets that 7bit cannot carry: controls, NUL, DEL, 8-bit
  let lineStart = 0;
  let longest = 0;
  const end = utf8.length;
  for (let i = 0; i < end; i++) {
    const byte = utf8[i]!;
    if (byte >= SPACE && byte < 0x7f) continue;
    if (byte === LF || byte === CR) {
      if (i - lineStart > longest) longest = i - lineStart;
      if (byte === CR && utf8[i + 1] === LF) i++;
      else missing++;
      lineStart = i + 1;
    } else if (byte !== TAB) escaped++;
  }
  if (end - lineStart > longest) longest = end - lineStart;

  if (escaped === 0 && longest <= MAX_LINE) {
    return { encoding: '7bit', bytes: missing === 0 ? utf8 : withCrlf(utf8, missing) };
  }
  const base64Length = lengthInBase64(end + missing);
  if (end + missing + 2 * escaped <= base64Length) {
    const quoted = quotedPrintable(utf8, base64Length);
    if (quoted) return { encoding: 'quoted-printable', bytes: quoted };
  }
  return { encoding: 'base64', bytes: encodeBase64(missing === 0 ? utf8 : withCrlf(utf8, missing)) };
}

/** Base64 in lines of 76 (RFC 2045 §6.8), without a CRLF after the last. */
export function encodeBase64(content: Buffer): Buffer {
  const digits = Math.ceil(content.length / 3) * 4;
  const breaks = digits === 0 ? 0 : Math.floor((digits - 1) / BASE64_LINE);
  const out = Buffer.allocUnsafe(digits + 2 * breaks);
  // The digits go to the end of the buffer in one native write; then each row moves forward to its place.
  out.write(content.toString('base64'), 2 * breaks, 'latin1');
  for (let row = 0, to = 0, from = 2 * breaks; row < breaks; row++) {
    out.copyWithin(to, from, from + BASE64_LINE);
    out[to + BASE64_LINE] = CR;
    out[to + BASE64_LINE + 1] = LF;
    to += BASE64_LINE + 2;
    from += BASE64_LINE;
  }
  return out;
}

/** The same text with every lone CR or LF made CRLF. @param missing how many octets that adds */
function withCrlf(utf8: Buffer, missing: number): Buffer {
  const out = Buffer.allocUnsafe(utf8.length + missing);
  let to = 0;
  for (let i = 0; i < utf8.length; i++) {
    const byte = utf8[i]!;
    if (byte === LF || byte === CR) {
      if (byte === CR && utf8[i + 1] === LF) i++;
      out[to++] = CR;
      out[to++] = LF;
    } else out[to++] = byte;
  }
  return out;
}

/**
 * Quoted-printable (RFC 2045 §6.7), line breaks made CRLF; `undefined` as soon as it is longer than `limit`,
 * so that text without Latin letters costs no more than the attempt.
 */
function quotedPrintable(utf8: Buffer, limit: number): Buffer | undefined {
  const out = Buffer.allocUnsafe(limit + 6); // one step writes at most a soft break and an escape
  let to = 0;
  let column = 0;
  for (let i = 0; i < utf8.length; i++) {
    if (to > limit) return undefined;
    const byte = utf8[i]!;
    if (byte === LF || byte === CR) {
      if (byte === CR && utf8[i + 1] === LF) i++;
      out[to++] = CR;
      out[to++] = LF;
      column = 0;
      continue;
    }
    const literal =
      byte === SPACE || byte === TAB
        ? !endsLine(utf8, i) // white space at the end of a line may be stripped on the way
        : byte > SPACE && byte < 0x7f && byte !== EQUALS;
    if (column + (literal ? 1 : 3) > QP_COLUMNS) {
      out[to++] = EQUALS;
      out[to++] = CR;
      out[to++] = LF;
      column = 0;
    }
    if (literal) {
      out[to++] = byte;
      column++;
    } else {
      out[to++] = EQUALS;
      out[to++] = HEX[byte >> 4]!;
      out[to++] = HEX[byte & 15]!;
      column += 3;
    }
  }
  return to > limit ? undefined : out.subarray(0, to);
}

function endsLine(bytes: Buffer, i: number): boolean {
  const next = bytes[i + 1];
  return next === undefined || next === CR || next === LF;
}

function lengthInBase64(length: number): number {
  const digits = Math.ceil(length / 3) * 4;
  return digits + 2 * Math.floor(Math.max(0, digits - 1) / BASE64_LINE);
}
