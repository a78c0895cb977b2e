/**
 * Composes a message from the parts that an application supplies: text, HTML, files, addresses, headers.
 *
 * All input is untrusted. A header value that could end its line is refused (addresses, callers' headers, names of
 * files) or loses its line breaks (the subject), so no input can inject a field. The boundary never occurs in the
 * content, so no input can inject a part.
 *
 *     mixed                     only with files to download
 *     ├─ alternative            only with both texts
 *     │  ├─ text/plain
 *     │  └─ related             only with inline files of the HTML
 *     │     ├─ text/html
 *     │     └─ image/png …      inline files with a Content-ID
 *     └─ application/pdf …
 */

import { discard } from '../discard.ts';
import type { Random } from '../time.ts';
import { formatAddress, parseAddress, parseSender } from './address.ts';
import { attachmentPart, type Leaf } from './attachments.ts';
import { callerFields } from './caller-headers.ts';
import { rfc5322Date } from './date.ts';
import { encodeUtf8, sevenBitOf } from './encoding.ts';
import { makeField } from './message.ts';
import type { ComposeInput, HeaderField, ParsedMessage } from './types.ts';

interface Multipart {
  /** Media subtype and its parameters but for the boundary, as `mixed`. */
  subtype: string;
  parts: Part[];
}

type Part = Leaf | Multipart;

export interface ComposeIds {
  /** Message-ID without its angle brackets. */
  messageId: string;
  /** Date of the message, ms since the epoch. */
  date: number;
  /**
   * Source of boundaries; the machine's own when absent. Guessing one gains nothing: a boundary that occurs in the
   * content is never used.
   */
  random?: Random;
}

/** Controls and separators that a reader may take for the end of a line. */
const LINE_BREAKS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;

/**
 * Makes the header fields and the body of a message. The body has CRLF lines and ends in one; it is 7-bit.
 * @throws PosternError `invalid_address`, `invalid_header`, or `bad_request` for an attachment
 */
export function compose(input: ComposeInput, ids: ComposeIds): ParsedMessage {
  const fields: HeaderField[] = [makeField('From', formatAddress(parseSender(input.from)))];
  if (input.to?.length) fields.push(addressField('To', input.to));
  if (input.cc?.length) fields.push(addressField('Cc', input.cc));
  if (input.replyTo?.length) fields.push(addressField('Reply-To', input.replyTo));
  fields.push(
    makeField('Subject', input.subject.replace(LINE_BREAKS, ' ')),
    { name: 'date', raw: `Date: ${rfc5322Date(ids.date)}` },
    { name: 'message-id', raw: `Message-ID: <${ids.messageId}>` },
    { name: 'mime-version', raw: 'MIME-Version: 1.0' },
  );
  if (input.headers?.length) fields.push(...callerFields(input.headers));

  const root = structure(input);
  const random = ids.random ?? Math.random;
  if (!isLeaf(root)) {
    const { type, body } = render(root, newToken(root, random));
    fields.push({ name: 'content-type', raw: type });
    return { fields, body };
  }
  for (const raw of root.header.slice(0, -2).split(/\r\n(?![ \t])/)) {
    fields.push({ name: raw.slice(0, raw.indexOf(':')).toLowerCase(), raw });
  }
  return { fields, body: endLine(root) };
}

function addressField(name: string, texts: readonly string[]): HeaderField {
  let value = '';
  for (const text of texts) value += (value && ', ') + formatAddress(parseAddress(text));
  return makeField(name, value);
}

/** Builds the tree drawn above, with no node that has a single part. An empty text counts as none. */
function structure(input: ComposeInput): Part {
  const { text, html } = input;
  const inline: Leaf[] = [];
  const files: Leaf[] = [];
  for (const attachment of input.attachments ?? []) {
    const belongsToHtml = html && attachment.inline && attachment.contentId !== undefined;
    (belongsToHtml ? inline : files).push(attachmentPart(attachment));
  }
  const bodies: Part[] = [];
  if (text) bodies.push(textPart('plain', text));
  if (html) bodies.push(together('related; type="text/html"', [textPart('html', html), ...inline]));
  if (bodies.length === 0 && files.length === 0) return textPart('plain', '');
  const content = bodies.length === 0 ? [] : [together('alternative', bodies)];
  return together('mixed', [...content, ...files]);
}

function together(subtype: string, parts: Part[]): Part {
  return parts.length === 1 ? parts[0]! : { subtype, parts };
}

function textPart(subtype: string, text: string): Leaf {
  const plain = sevenBitOf(text);
  const { encoding, bytes: body } =
    plain === undefined ? encodeUtf8(text) : { encoding: '7bit', bytes: plain };
  const header = `Content-Type: text/${subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n`;
  return { header, body, verbatim: plain !== undefined };
}

function isLeaf(part: Part): part is Leaf {
  return 'body' in part;
}

/** The body of a message that is a single part, its last line ended (RFC 5321 §4.1.1.4). That of a part may stay open. */
function endLine({ body }: Leaf): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
  if (bytes.length === 0 || bytes[bytes.length - 1] === 0x0a) return bytes;
  return Buffer.concat([bytes, Buffer.from('\r\n')]);
}

/**
 * Makes a boundary token that occurs in none of the message's parts. It begins with `=_`, which cannot stand in
 * quoted-printable or base64 (RFC 2045 §6.7), so only 7bit content has to be searched.
 */
function newToken(root: Part, random: Random): string {
  for (;;) {
    const token = `=_${digits(random)}${digits(random)}`;
    if (!occurs(root, token)) return token;
  }
}

function digits(random: Random): string {
  return Math.floor(random() * 0x1_0000_0000_0000)
    .toString(36)
    .padStart(10, '0');
}

function occurs(part: Part, token: string): boolean {
  // Both kinds of body have this method.
  if (isLeaf(part)) return part.verbatim && (part.body as string).includes(token);
  return part.parts.some((child) => occurs(child, token));
}

/** Writes a multipart (RFC 2046 §5.1) into one buffer. */
function render(root: Multipart, token: string): { type: string; body: Buffer } {
  const chunks: (string | Buffer)[] = [];
  const type = write(root, token, chunks, { multiparts: 0 });
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  const body = Buffer.allocUnsafe(length);
  let at = 0;
  for (const chunk of chunks) {
    if (typeof chunk === 'string') body.write(chunk, at, 'latin1');
    else body.set(chunk, at);
    at += chunk.length;
    if (typeof chunk !== 'string') discard(chunk);
  }
  return { type, body };
}

/** Appends the body of a multipart to `chunks`. @returns its Content-Type field */
function write(node: Multipart, token: string, chunks: (string | Buffer)[], count: { multiparts: number }) {
  const boundary = `${token}_${++count.multiparts}`;
  let delimiter = `--${boundary}\r\n`;
  for (const part of node.parts) {
    if (isLeaf(part)) chunks.push(`${delimiter}${part.header}\r\n`, part.body);
    else {
      const place = chunks.push('') - 1;
      chunks[place] = `${delimiter}${write(part, token, chunks, count)}\r\n\r\n`;
    }
    delimiter = `\r\n--${boundary}\r\n`;
  }
  chunks.push(`\r\n--${boundary}--\r\n`);
  return `Content-Type: multipart/${node.subtype};\r\n boundary="${boundary}"`;
}
