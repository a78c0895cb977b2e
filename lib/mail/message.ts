/**
 * A message as header fields and a body (RFC 5322 §2.1). Only the header section becomes a string, one character a
 * byte (latin1), so that untouched fields go out exactly as they came in.
 *
 * Readers of mail differ, so these cases are defined here: an empty header section is a message without fields; a
 * header section without an empty line after it is a message without a body; a line that is neither a field nor a
 * continuation is refused at any position.
 */
import { Cache } from '../cache.ts';
import { PosternError } from '../errors.ts';
import { decodeWords, encodeWords } from './encoded-words.ts';
import type { HeaderField, ParsedMessage } from './types.ts';

/** Maximum size of a header section, octets, and number of its fields: more is an attack on later parsers. */
export const MAX_HEADER = 256 * 1024;
const MAX_FIELDS = 1000;
/** Maximum length of a line without its CRLF, octets: must, and should (RFC 5322 §2.1.1). */
export const MAX_LINE = 998;
const GOOD_LINE = 78;
/** Maximum length of a line with an encoded word (RFC 2047 §2), octets. */
const ENCODED_LINE = 76;

/** `ftext` of RFC 5322 §3.6.8: printable ASCII without the colon. */
const NAME = /^[!-9;-~]+$/;
/** A folded line of blanks alone, which some readers treat as the end of the header (RFC 5322 §3.2.2). */
const BLANK_FOLD = /\r\n[ \t]+(?=\r\n|$)/g;

function invalid(message: string): PosternError {
  return new PosternError('invalid_header', message);
}

/**
 * Splits a message into fields and body. The bytes must be clean (see `sanitise`).
 * @throws `invalid_header` on a line that is not a field, a header over 256 KiB or over 1,000 fields;
 * `line_break_refused` on a bare CR, LF or NUL among the fields.
 */
export function parseMessage(bytes: Buffer): ParsedMessage {
  if (bytes.length >= 2 && bytes[0] === 13 && bytes[1] === 10) return { fields: [], body: bytes.subarray(2) };
  let end = bytes.indexOf('\r\n\r\n', 0, 'latin1');
  const body = bytes.subarray(end < 0 ? bytes.length : end + 4);
  if (end < 0) {
    end = bytes.length;
    if (bytes[end - 1] === 10 && bytes[end - 2] === 13) end -= 2;
  }
  if (end > MAX_HEADER) throw invalid(`The header section is longer than ${MAX_HEADER} octets.`);
  return { fields: cut(bytes.toString('latin1', 0, end)), body };
}

function cut(text: string): HeaderField[] {
  const fields: HeaderField[] = [];
  let at = 0;
  while (at < text.length) {
    let end = text.indexOf('\r\n', at);
    while (end >= 0) {
      const c = text.charCodeAt(end + 2);
      if (c !== 32 && c !== 9) break;
      end = text.indexOf('\r\n', end + 2);
    }
    if (end < 0) end = text.length;
    fields.push(field(text.slice(at, end), fields.length));
    if (fields.length > MAX_FIELDS) throw invalid(`The header has more than ${MAX_FIELDS} fields.`);
    at = end + 2;
  }
  return fields;
}

/** Names of fields in lower case, by their spelling: there are few, and all mail has them. */
const names = new Cache<string, string>(2000);
/** Longest name that is kept, characters. */
const MAX_KEPT = 40;

/** The name in lower case; undefined for what is none. */
function nameOf(written: string): string | undefined {
  const known = names.get(written);
  if (known !== undefined) return known;
  if (!NAME.test(written)) return undefined;
  const name = written.toLowerCase();
  // A copy, because a part of a text holds the whole of it in memory.
  if (name.length <= MAX_KEPT) names.set(Buffer.from(written).toString(), Buffer.from(name).toString());
  return name;
}

function field(raw: string, before: number): HeaderField {
  const colon = raw.indexOf(':');
  const written = raw.slice(0, Math.max(0, colon));
  const name = nameOf(written);
  if (name === undefined) {
    throw invalid(
      `Header line ${before + 1}, ${JSON.stringify(raw.slice(0, 60))}, is not "Name: value"; end the header with an empty line.`,
    );
  }
  if (!/[\r\n\0]/.test(raw)) return { name, raw };
  if (/\r(?!\n)|(?<!\r)\n|\0/.test(raw)) {
    throw new PosternError('line_break_refused', `The header field ${written} has a bare CR, LF or NUL.`);
  }
  return { name, raw: raw.replace(BLANK_FOLD, '') };
}

/** Joins header fields and body. `prefix` (trace or signature fields, each ending in CRLF) goes on top. */
export function serialise(fields: HeaderField[], body: Buffer, prefix = ''): Buffer {
  let header = prefix;
  for (const f of fields) header += `${f.raw}\r\n`;
  header += '\r\n';
  const out = Buffer.allocUnsafe(header.length + body.length);
  out.write(header, 0, 'latin1');
  body.copy(out, header.length);
  return out;
}

/** The first field of this name, lower case. */
export function findField(fields: HeaderField[], name: string): HeaderField | undefined {
  for (const f of fields) if (f.name === name) return f;
  return undefined;
}

/**
 * The value of a field, unfolded and trimmed, its UTF-8 decoded but its encoded words left alone. Structured fields
 * (addresses above all) must be parsed from this value: in the decoded one an encoded word could pass for an address.
 */
export function unfoldedValue(f: HeaderField): string {
  const { raw } = f;
  let at = raw.indexOf(':') + 1;
  // Blanks only: the other characters that `trim` removes are part of a value in front.
  for (let c = raw.charCodeAt(at); c === 32 || c === 9; c = raw.charCodeAt(++at));
  let value = raw.slice(at);
  if (value.includes('\r')) value = value.replaceAll('\r\n', '').replace(/^[ \t]+/, '');
  if (/[^\x00-\x7f]/.test(value)) value = Buffer.from(value, 'latin1').toString('utf8');
  return value.trimEnd();
}

/** The value of a field for display: unfolded, trimmed, encoded words decoded (RFC 2047). */
export function fieldValue(f: HeaderField): string {
  return decodeWords(unfoldedValue(f));
}

/** Fields with a grammar, in which encoded words are not decoded; their UTF-8 stays as it is (RFC 6532). */
const STRUCTURED =
  /^(?:from|sender|reply-to|to|cc|bcc|resent-.*|date|message-id|in-reply-to|references|return-path|received|mime-version|content-(?!description$).*|list-.*|dkim-signature|auto-submitted|disposition-notification-to)$/i;

/**
 * Makes a field. Text beyond ASCII, and text with a word too long for a line, becomes encoded words, except in fields
 * with a grammar. Lines are folded at blanks to 78 octets, to 76 with encoded words, where that is possible.
 * @param value Unicode, untrusted.
 * @throws `invalid_header` on an invalid name, on line breaks and other controls, and on a word too long for any
 * line.
 */
export function makeField(name: string, value: string): HeaderField {
  if (!NAME.test(name)) throw invalid(`${JSON.stringify(name.slice(0, 60))} is not a header name.`);
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) {
    throw invalid(`The header field ${name} has a line break or another control character.`);
  }
  let text = value.trim();
  const plain = !/[^\x00-\x7f]/.test(text);
  if (STRUCTURED.test(name)) {
    if (!plain) text = Buffer.from(text, 'utf8').toString('latin1');
  } else if (!plain || hasWordOver(text, MAX_LINE - 1))
    text = encodeWords(text, ENCODED_LINE - name.length - 2);
  return { name: name.toLowerCase(), raw: foldLine(`${name}: ${text}`, name.length + 2) };
}

function hasWordOver(text: string, octets: number): boolean {
  return text.length > octets && text.split(/[ \t]/).some((word) => word.length > octets);
}

/** Whether a line of the field has over 998 octets. */
export function hasLongLine({ raw }: HeaderField): boolean {
  return raw.length > MAX_LINE && raw.split('\r\n').some((line) => line.length > MAX_LINE);
}

/**
 * Folds a header line before blanks (RFC 5322 §2.2.3), so that a line exceeds 78 octets only where a word is longer,
 * and never exceeds 998. The blank behind the name is folded only as a last resort.
 * @param line latin1, without CRLF.
 * @param from start of the text: a fold before it could produce a line of blanks alone.
 * @throws `invalid_header` when a word is too long for a line.
 */
export function foldLine(line: string, from: number): string {
  const good = line.includes('=?') ? ENCODED_LINE : GOOD_LINE;
  if (line.length <= good) return line;
  let out = '';
  let start = 0;
  let fold = -1;
  for (let i = Math.min(Math.max(1, from), line.length); i <= line.length; i++) {
    const c = line.charCodeAt(i);
    if (i < line.length && c !== 32 && c !== 9) continue;
    // A run of blanks is folded before its last one, because a line of blanks alone must not arise.
    const next = line.charCodeAt(i + 1);
    if (i < line.length && (next === 32 || next === 9 || i + 1 === line.length)) continue;
    if (i - start > good && fold > start) {
      out += `${line.slice(start, fold)}\r\n`;
      start = fold;
    }
    fold = i;
    if (i - start > MAX_LINE) {
      const blank = from > 1 && (line[from - 1] === ' ' || line[from - 1] === '\t');
      if (start > 0 || !blank || from - 1 > MAX_LINE || i - from + 1 > MAX_LINE) {
        throw invalid(
          `The header field ${line.slice(0, line.indexOf(':'))} has a word over ${MAX_LINE} octets.`,
        );
      }
      out += `${line.slice(0, from - 1)}\r\n`;
      start = from - 1;
    }
  }
  return out + line.slice(start);
}
