/**
 * Re-encodes raw mail in a form that every server accepts: 7-bit, in lines of at most 998 octets (RFC 5322 §2.1.1). A
 * peer without 8BITMIME refuses anything else, and a relay that converts mail on the way breaks its signature. So
 * parts are re-encoded here, before the signature (RFC 6376 §5.3), and fields become encoded words (RFC 2047).
 *
 * Three things are not changed: content that is signed or encrypted as a whole, a local part beyond ASCII (RFC 6531),
 * and parts that different readers read differently. They travel as they are, to peers that accept them.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { PosternError } from '../errors.ts';
import { formatAddress, parseAddressList } from './address.ts';
import { parameter } from './attachments.ts';
import { decodeWords, encodeWords } from './encoded-words.ts';
import {
  decodeQuotedPrintable,
  encodeBase64,
  encodeOctets,
  encodeShorter,
  fitsLines,
  type TransferEncoding,
} from './encoding.ts';
import { foldLine, hasLongLine, makeField, parseMessage, serialise, unfoldedValue } from './message.ts';
import { editLeaves, IDENTITY, type MimeLeaf, withEncoding } from './mime-parts.ts';
import type { HeaderField, ParsedMessage } from './types.ts';

/**
 * Re-encodes a message; the same object when nothing had to change.
 * @param message within the limits of `checkMimeLimits`.
 * @throws PosternError `invalid_header` for a word too long for a line in a field with a grammar
 */
export function toSevenBit(message: ParsedMessage): ParsedMessage {
  const { fields, body } = editLeaves(message, encodeLeaf);
  const header = plainFields(fields);
  if (fields === message.fields && header === fields && body === message.body) return message;
  return { fields: fields === message.fields ? header : withVersion(header), body };
}

/** Adds MIME-Version, without which readers ignore a transfer encoding (RFC 2045 §4). */
function withVersion(fields: HeaderField[]): HeaderField[] {
  if (fields.some(({ name }) => name === 'mime-version')) return fields;
  return [...fields, { name: 'mime-version', raw: 'MIME-Version: 1.0' }];
}

function encodeLeaf(leaf: MimeLeaf): ParsedMessage | undefined {
  if (leaf.type.startsWith('message/')) return encodeAttached(leaf);
  const fields = plainFields(leaf.fields);
  const content = isPlain(leaf.body) ? undefined : encodeContent(leaf);
  if (!content) return fields === leaf.fields ? undefined : { fields, body: leaf.body };
  const typed = leaf.contentType === '' ? [...fields, typeOf(leaf)] : fields;
  const same = content.encoding === leaf.encoding;
  return { fields: same ? typed : withEncoding(typed, content.encoding), body: content.bytes };
}

/** Re-encodes the content of an attached message, because no encoding may be applied around it (RFC 2046 §5.2.1). */
function encodeAttached({ type, encoding, fields, body }: MimeLeaf): ParsedMessage | undefined {
  if ((type !== 'message/rfc822' && type !== 'message/global') || !IDENTITY.has(encoding)) return undefined;
  if (isPlain(body)) return undefined;
  let attached: ParsedMessage;
  try {
    attached = parseMessage(body);
  } catch (error) {
    if (error instanceof PosternError) return undefined;
    throw error;
  }
  const encoded = toSevenBit(attached);
  if (encoded === attached) return undefined;
  const header = plainFields(fields);
  return {
    fields: encoding === '7bit' ? header : withEncoding(header, '7bit'),
    body: serialise(encoded.fields, encoded.body),
  };
}

function encodeContent({
  type,
  encoding,
  body,
}: MimeLeaf): { encoding: TransferEncoding; bytes: Buffer } | undefined {
  if (encoding === 'base64') {
    return { encoding, bytes: encodeBase64(Buffer.from(body.toString('latin1'), 'base64')) };
  }
  if (encoding === 'quoted-printable') return encodeOctets(decodeQuotedPrintable(body.toString('latin1')));
  if (!IDENTITY.has(encoding)) return undefined;
  return type.startsWith('text/') ? encodeShorter(body) : { encoding: 'base64', bytes: encodeBase64(body) };
}

function isPlain(body: Buffer): boolean {
  return isAscii(body) && fitsLines(body.toString('latin1'));
}

/** Content-Type for text that has none: without it, readers assume US-ASCII. */
function typeOf({ body }: MimeLeaf): HeaderField {
  const charset = isAscii(body) ? 'us-ascii' : isUtf8(body) ? 'utf-8' : 'unknown-8bit';
  return { name: 'content-type', raw: `Content-Type: text/plain; charset=${charset}` };
}

/** Converts fields to ASCII, in lines that fit; the same list when all of them were. */
function plainFields(fields: HeaderField[]): HeaderField[] {
  if (fields.every(isPlainField)) return fields;
  return fields.map((field) => (isPlainField(field) ? field : plainField(field)));
}

function isPlainField(field: HeaderField): boolean {
  return !/[^\x00-\x7f]/.test(field.raw) && !hasLongLine(field);
}

const ADDRESSES =
  /^(?:(?:resent-)?(?:from|sender|reply-to|to|cc|bcc)|disposition-notification-to|return-receipt-to)$/;
const PARAMETERS = /^content-(?:type|disposition)$/;
/** Fields with another grammar, in which single words may be encoded. */
const WORDS =
  /^(?:received|list-.*|message-id|in-reply-to|references|dkim-signature|content-(?!description$).*)$/;
const PARAMETER = /[ \t]*;[ \t]*([!#$&'*+.^_`{|}~\w-]+)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"/g;

function plainField(field: HeaderField): HeaderField {
  const { name, raw } = field;
  const written = raw.slice(0, raw.indexOf(':'));
  const value = textOf(field);
  if (!/[^\x00-\x7f]/.test(raw)) return makeField(written, value);
  if (ADDRESSES.test(name)) {
    try {
      return makeField(written, parseAddressList(value).map(formatAddress).join(', '));
    } catch (error) {
      if (error instanceof PosternError) return refolded(field);
      throw error;
    }
  }
  if (PARAMETERS.test(name)) {
    const encoded = value.replace(PARAMETER, (all, parameterName: string, text: string) =>
      /[^\x00-\x7f]/.test(text) ? parameter(parameterName, text.replace(/\\(.)/g, '$1')) : all,
    );
    return /[^\x00-\x7f]/.test(encoded) ? refolded(field) : { name, raw: `${written}: ${encoded}` };
  }
  if (!WORDS.test(name)) return makeField(written, decodeWords(value));
  const words = value.replace(/[^\s<>()",;:]*[^\x00-\x7f\s][^\s<>()",;:]*/g, (word) => encodeWords(word, 40));
  return makeField(written, words);
}

/** Refolds a field that cannot be encoded, in lines that fit. */
function refolded(field: HeaderField): HeaderField {
  if (!hasLongLine(field)) return field;
  const { name, raw } = field;
  return { name, raw: foldLine(raw.replaceAll('\r\n', ''), raw.indexOf(':') + 2) };
}

/** Decodes the value for display. Text that is not UTF-8 is read as Latin-1; controls become spaces. */
function textOf(field: HeaderField): string {
  const octets = Buffer.from(field.raw, 'latin1');
  const value = isUtf8(octets)
    ? unfoldedValue(field)
    : field.raw
        .slice(field.raw.indexOf(':') + 1)
        .replaceAll('\r\n', '')
        .trim();
  return value.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, ' ');
}
