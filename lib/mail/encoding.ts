/**
 * Content transfer encodings (RFC 2045 §6): text and files in lines that every mail server accepts.
 *
 * Text keeps its bytes (`7bit`) when it is plain ASCII in lines of at most 998 octets; only its line breaks become
 * CRLF. Otherwise it is quoted-printable or base64, the shorter of the two. Files are always base64.
 */

export type TransferEncoding = '7bit' | 'quoted-printable' | 'base64';

export interface EncodedContent {
  encoding: TransferEncoding;
  /** Lines end in CRLF; the last one may end without it. */
  bytes: Buffer;
}

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const EQUALS = 0x3d;
const DEL = 0x7f;
const HEX = Buffer.from('0123456789ABCDEF', 'latin1');

/** Longest line without its CRLF (RFC 5322 §2.1.1). */
const MAX_LINE = 998;
/** Longest base64 line (RFC 2045 §6.8). */
const BASE64_LINE = 76;
/** Quoted-printable lines hold 76 octets, the last of which is kept for the `=` of a soft break. */
const QP_COLUMNS = 75;

/** A line break that is not CRLF. */
const UNEVEN_BREAK = /\r(?!\n)|(?<!\r)\n/;

/**
 * Text with CRLF line breaks; a lone CR or LF counts as a line break, too. Text that has them already, as nearly all that
 * programs send, is not copied.
 */
function crlfLines(text: string): string {
  return UNEVEN_BREAK.test(text) ? text.replaceAll(/\r\n?|\n/g, '\r\n') : text;
}

/** Where the octets of short texts are looked at: none is kept. */
const SCRATCH = Buffer.allocUnsafeSlow(32 * 1024);

/**
 * Whether text travels as it is (`7bit`): printable ASCII, blanks and CRLF, in lines of at most 998 octets. Octets are
 * looked at once, which takes 1 ns each: characters take three times as long where a text is in pieces, as what a
 * template makes is, and searches for each kind of fault four times.
 */
function isSevenBit(text: string): boolean {
  const { length } = text;
  if (Buffer.byteLength(text) !== length) return false;
  const octets = length <= SCRATCH.length ? SCRATCH : Buffer.allocUnsafe(length);
  octets.write(text, 0, 'latin1');
  let start = 0;
  for (let i = 0; i < length; i++) {
    const c = octets[i]!;
    if (c >= SPACE && c < DEL) continue;
    if (c === CR) {
      if (i - start > MAX_LINE || i + 1 === length || octets[i + 1] !== LF) return false;
      i++;
      start = i + 1;
    } else if (c !== TAB) return false;
  }
  return length - start <= MAX_LINE;
}

/** Text as it travels in 7bit, one character an octet, with CRLF line breaks; undefined when it must be encoded. */
export function sevenBitOf(text: string): string | undefined {
  if (isSevenBit(text)) return text;
  const wire = crlfLines(text);
  return wire !== text && isSevenBit(wire) ? wire : undefined;
}

/** Encodes text that cannot travel as it is, as UTF-8. Lone surrogates become U+FFFD. */
export function encodeUtf8(text: string): EncodedContent {
  const wire = crlfLines(text);
  const utf8 = Buffer.from(wire, 'utf8');
  // Every octet beyond the length of the string adds at least three more when it is quoted.
  const least = utf8.length + 3 * (utf8.length - wire.length);
  return encodeShorter(utf8, least);
}

/**
 * Encodes text as quoted-printable or base64, the shorter of the two. Lines end in CRLF.
 * @param least lower bound of the quoted-printable length, octets.
 */
export function encodeShorter(octets: Buffer, least = octets.length): EncodedContent {
  const limit = lengthInBase64(octets.length);
  const quoted = least > limit ? undefined : quotedPrintable(octets, limit);
  if (quoted) return { encoding: 'quoted-printable', bytes: quoted };
  return { encoding: 'base64', bytes: encodeBase64(octets) };
}

/** Whether every line is short enough to travel unencoded. @param text with lines that end in CRLF or LF. */
export function fitsLines(text: string): boolean {
  return longestLine(text) <= MAX_LINE;
}

/**
 * Encodes octets as quoted-printable when their lines end in CRLF, else as base64, which keeps a lone CR or LF. For
 * content that was in one of these encodings before.
 */
export function encodeOctets(content: Buffer): EncodedContent {
  const text = content.toString('latin1');
  if (/\r(?!\n)|(?<!\r)\n/.test(text)) return { encoding: 'base64', bytes: encodeBase64(content) };
  // No octet takes more than an escape and its share of soft breaks.
  return { encoding: 'quoted-printable', bytes: quotedPrintable(content, 4 * content.length)! };
}

/** Decodes quoted-printable (RFC 2045 §6.7). Text that is not an escape stays as it is. */
export function decodeQuotedPrintable(text: string): Buffer {
  const plain = text
    // White space at the end of a line is not part of it.
    .split('\r\n')
    .map(trimBlanks)
    .join('\r\n')
    .replaceAll('=\r\n', '')
    .replace(/=$/, '')
    .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(plain, 'latin1');
}

function trimBlanks(line: string): string {
  let end = line.length;
  while (end > 0 && (line[end - 1] === ' ' || line[end - 1] === '\t')) end--;
  return line.slice(0, end);
}

function longestLine(text: string): number {
  let longest = 0;
  let start = 0;
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
    if (end - start > longest) longest = end - start;
    start = end + 1;
  }
  return Math.max(longest, text.length - start);
}

/** Encodes base64 in lines of 76 (RFC 2045 §6.8), without a CRLF after the last. */
export function encodeBase64(content: Buffer): Buffer {
  const digits = Math.ceil(content.length / 3) * 4;
  const breaks = digits === 0 ? 0 : Math.floor((digits - 1) / BASE64_LINE);
  const out = Buffer.allocUnsafe(digits + 2 * breaks);
  // One native write puts the digits at the end of the buffer; then each row moves forward to its place.
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

/**
 * Encodes text whose line breaks are CRLF as quoted-printable (RFC 2045 §6.7); `undefined` as soon as the result is
 * longer than `limit`, octets.
 */
function quotedPrintable(utf8: Buffer, limit: number): Buffer | undefined {
  const out = Buffer.allocUnsafe(limit + 6); // one step writes at most a soft break and an escape
  let to = 0;
  let column = 0;
  for (let i = 0; i < utf8.length; i++) {
    if (to > limit) return undefined;
    const byte = utf8[i]!;
    if (byte === CR || byte === LF) {
      out[to++] = byte;
      column = 0;
      continue;
    }
    const literal =
      byte === SPACE || byte === TAB
        ? !endsLine(utf8, i) // white space at the end of a line may be stripped on the way
        : byte > SPACE && byte < DEL && byte !== EQUALS;
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
  return next === undefined || next === CR;
}

function lengthInBase64(length: number): number {
  const digits = Math.ceil(length / 3) * 4;
  return digits + 2 * Math.floor(Math.max(0, digits - 1) / BASE64_LINE);
}
