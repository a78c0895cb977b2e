/**
 * Tracking in raw MIME: the HTML parts that a reader shows are opened, tracked and closed again. Every octet of the
 * message outside of them stays, and of a part in which there is nothing to track, all of it.
 *
 * Not looked into: attachments, attached messages, and what is signed or encrypted as a whole (RFC 1847), which a
 * change would break. Nor HTML whose charset or transfer encoding is none that is known, or is given twice.
 */
import { decodeQuotedPrintable, encodeBase64, encodeOctets, fitsLines } from '../mail/encoding.ts';
import { boundaryOf, partsOf } from '../mail/mime-parts.ts';
import type { HeaderField, ParsedMessage } from '../mail/types.ts';
import type { Tracker } from './tracking.ts';

/**
 * The message with its HTML tracked; the same object when nothing changed.
 * @param message within the limits of `checkMimeLimits`.
 */
export function trackMessage(message: ParsedMessage, tracker: Tracker): ParsedMessage {
  const edits: Edit[] = [];
  const header = entityOf(message.fields);
  const root = trackEntity(header, message.body, 0, tracker, edits);
  if (root) {
    const body = endsLine(root.body) ? root.body : Buffer.concat([root.body, CRLF]);
    return { fields: withEncoding(message.fields, root.encoding), body };
  }
  return edits.length > 0 ? { fields: message.fields, body: applied(message.body, edits) } : message;
}

const CRLF = Buffer.from('\r\n');

/** Octets of the message's body that are replaced. */
interface Edit {
  start: number;
  end: number;
  bytes: Buffer;
}

/** What decides how an entity is read, in lower case. */
interface Entity {
  /** `text/html` */
  type: string;
  /** The whole Content-Type value. */
  contentType: string;
  encoding: string;
  disposition: string;
}

/** A leaf as it was changed; `encoding` when it is not the one it had. */
interface Tracked {
  body: Buffer;
  encoding?: string;
}

/**
 * @param at where `body` begins in the message's body. @param edits gets what changes inside of a multipart.
 * @returns the entity itself, when it is HTML that changed.
 */
function trackEntity(
  entity: Entity | undefined,
  body: Buffer,
  at: number,
  tracker: Tracker,
  edits: Edit[],
): Tracked | undefined {
  if (!entity) return undefined;
  const { type, contentType, encoding, disposition } = entity;
  if (type === 'text/html') {
    if (disposition !== '' && disposition !== 'inline') return undefined;
    return trackLeaf(body, encoding, charsetOf(contentType), tracker);
  }
  if (!type.startsWith('multipart/') || type === 'multipart/signed' || type === 'multipart/encrypted') {
    return undefined;
  }
  if (!IDENTITY.has(encoding)) return undefined;
  const boundary = boundaryOf(contentType);
  if (!boundary) return undefined;
  for (const [start, end] of partsOf(body, boundary)) {
    const part = body.subarray(start, end);
    // Without a header it is text/plain; without an empty line it has no content.
    const split = part[0] === 0x0d && part[1] === 0x0a ? -1 : part.indexOf('\r\n\r\n');
    if (split < 0) continue;
    const fields = fieldsOf(part.toString('latin1', 0, split));
    const content = split + 4;
    const tracked = trackEntity(
      entityOf(fields),
      part.subarray(content),
      at + start + content,
      tracker,
      edits,
    );
    if (!tracked) continue;
    let head = '';
    for (const { raw } of withEncoding(fields, tracked.encoding)) head += `${raw}\r\n`;
    edits.push({
      start: at + start,
      end: at + end,
      bytes: Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), tracked.body]),
    });
  }
  return undefined;
}

/** Transfer encodings that encode nothing. */
const IDENTITY = new Set(['7bit', '8bit', 'binary']);

function trackLeaf(
  body: Buffer,
  encoding: string,
  charset: string | undefined,
  tracker: Tracker,
): Tracked | undefined {
  const decode = DECODERS.get(encoding);
  if (!decode) return undefined;
  const changed = trackOctets(decode(body), charset, tracker);
  if (!changed) return undefined;
  if (encoding === 'base64') return { body: encodeBase64(changed) };
  if (IDENTITY.has(encoding) && fitsLines(changed.toString('latin1'))) return { body: changed };
  const encoded = encodeOctets(changed);
  return { body: encoded.bytes, encoding: encoded.encoding === encoding ? undefined : encoded.encoding };
}

const DECODERS = new Map<string, (body: Buffer) => Buffer>([
  ['7bit', (body) => body],
  ['8bit', (body) => body],
  ['binary', (body) => body],
  ['quoted-printable', (body) => decodeQuotedPrintable(body.toString('latin1'))],
  ['base64', (body) => Buffer.from(body.toString('latin1'), 'base64')],
]);

/**
 * Links are found among the octets, one character each, in any charset that ASCII is part of: the rest need not be
 * decoded, and stays as it is. ISO-2022-JP shifts to other characters in the same octets, which are covered up.
 */
function trackOctets(octets: Buffer, charset: string | undefined, tracker: Tracker): Buffer | undefined {
  if (charset === undefined || charset.startsWith('utf-16')) return undefined;
  const html = octets.toString('latin1');
  const changed = charset === 'iso-2022-jp' ? tracker(html, html.replace(SHIFTED, cover)) : tracker(html);
  return changed === undefined ? undefined : Buffer.from(changed, 'latin1');
}

/** From the shift to another set than ASCII up to the shift back (RFC 1468). */
const SHIFTED = /\x1b(?:\$|\([^BJ])[\s\S]*?(?=\x1b\([BJ]|$)/g;

function cover(shifted: string): string {
  return '\x80'.repeat(shifted.length);
}

const CHARSET = /;\s*charset\s*=\s*(?:"([^"\\]*)"|([^\s;"]+))/i;

/** The charset in the name that the Encoding standard gives it; undefined for one that it does not know. */
function charsetOf(contentType: string): string | undefined {
  if (/;\s*charset\*/i.test(contentType)) return undefined;
  const match = CHARSET.exec(contentType);
  try {
    return new TextDecoder(match?.[1] ?? match?.[2] ?? 'us-ascii').encoding;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function unfolded(raw: string): string {
  return raw.slice(raw.indexOf(':') + 1).replaceAll('\r\n', '');
}

const MEDIA_TYPE = /^\s*([^\s;]+)/;

/** Undefined when a field that decides is there twice. */
function entityOf(fields: readonly HeaderField[]): Entity | undefined {
  const values = new Map<string, string>();
  for (const { name, raw } of fields) {
    if (!name.startsWith('content-')) continue;
    if (values.has(name)) return undefined;
    values.set(name, unfolded(raw));
  }
  const word = (name: string, otherwise: string): string =>
    (MEDIA_TYPE.exec(values.get(name) ?? otherwise)?.[1] ?? '').toLowerCase();
  return {
    type: word('content-type', 'text/plain'),
    contentType: values.get('content-type') ?? '',
    encoding: word('content-transfer-encoding', '7bit'),
    disposition: word('content-disposition', ''),
  };
}

/** The header of a part. Lines that are no fields stay where they are. */
function fieldsOf(header: string): HeaderField[] {
  return header.split(/\r\n(?![ \t])/).map((raw) => ({ name: /^[^\s:]*/.exec(raw)![0].toLowerCase(), raw }));
}

/** The fields with another transfer encoding; the same ones when it stays. */
function withEncoding(fields: HeaderField[], encoding: string | undefined): HeaderField[] {
  if (encoding === undefined) return fields;
  const name = 'content-transfer-encoding';
  return [
    ...fields.filter((field) => field.name !== name),
    { name, raw: `Content-Transfer-Encoding: ${encoding}` },
  ];
}

/** @param edits in the order of their places. */
function applied(body: Buffer, edits: readonly Edit[]): Buffer {
  const chunks: Buffer[] = [];
  let from = 0;
  for (const { start, end, bytes } of edits) {
    chunks.push(body.subarray(from, start), bytes);
    from = end;
  }
  chunks.push(body.subarray(from));
  return Buffer.concat(chunks);
}

function endsLine(body: Buffer): boolean {
  return body.length >= 2 && body.subarray(-2).equals(CRLF);
}
