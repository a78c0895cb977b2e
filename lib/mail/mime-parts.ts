/**
 * The parts of MIME messages: multiparts split by RFC 2046 §5.1, and leaves edited in place. All of Postern reads the
 * structure of a message with this code.
 */
import { PosternError } from '../errors.ts';
import type { HeaderField, ParsedMessage } from './types.ts';

const BOUNDARY = /;\s*boundary\s*=\s*(?:"((?:[^"\\]|\\[\s\S])*)"|([^\s;"]+))/i;

/**
 * The boundary in a Content-Type value; undefined when there is none, because then no reader finds parts.
 * @throws PosternError `message_rejected` when it is in pieces, which readers join in different ways.
 */
export function boundaryOf(type: string): string | undefined {
  if (/;\s*boundary\*/i.test(type)) {
    throw new PosternError(
      'message_rejected',
      'A MIME boundary is written in pieces or encoded (RFC 2231); write it as one parameter.',
    );
  }
  const match = BOUNDARY.exec(type);
  return match?.[1]?.replace(/\\([\s\S])/g, '$1') ?? match?.[2];
}

/** Finds where each part of a multipart's body begins and ends: its header, an empty line, its content. Linear. */
export function* partsOf(body: Buffer, boundary: string): Generator<[start: number, end: number]> {
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  let start = -1; // offset of the open part
  // The first delimiter may stand at the very beginning, without a line break before it.
  const first = body.subarray(0, delimiter.length - 2).equals(delimiter.subarray(2));
  let at = first ? -2 : body.indexOf(delimiter);
  for (; at !== -1; at = body.indexOf(delimiter, Math.max(0, at + 2))) {
    const after = at + delimiter.length;
    const closes = body[after] === 0x2d && body[after + 1] === 0x2d;
    // The boundary of another multipart may begin with this one.
    if (!closes && !isBlank(body[after])) continue;
    if (start >= 0) yield [start, Math.max(start, at)];
    if (closes) return;
    const line = body.indexOf('\r\n', after);
    start = line < 0 ? body.length : line + 2;
  }
  if (start >= 0) yield [start, body.length];
}

function isBlank(byte: number | undefined): boolean {
  return byte === undefined || byte === 0x0d || byte === 0x20 || byte === 0x09;
}

/** A part of a message that holds content, or the message itself when it is no multipart. */
export interface MimeLeaf {
  /** `text/html`, lower case. */
  type: string;
  /** The whole Content-Type value, unfolded; empty when there is none. */
  contentType: string;
  /** Transfer encoding, lower case. */
  encoding: string;
  /** Lower case; empty when there is none. */
  disposition: string;
  fields: HeaderField[];
  body: Buffer;
}

/** Edits a leaf; undefined leaves every octet of it. */
export type EditLeaf = (leaf: MimeLeaf) => ParsedMessage | undefined;

/** Transfer encodings that leave the octets as they are. */
export const IDENTITY: ReadonlySet<string> = new Set(['7bit', '8bit', 'binary']);

/**
 * Edits the leaves of a message; the same object when nothing changed. Content that is signed or encrypted as a whole
 * (RFC 1847) is skipped, because a change would break it; so is a part in which a field that governs its decoding
 * occurs twice.
 * @param message within the limits of `checkMimeLimits`.
 */
export function editLeaves(message: ParsedMessage, edit: EditLeaf): ParsedMessage {
  const edits: BodyEdit[] = [];
  const root = editEntity(message, 'text/plain', 0, edit, edits);
  if (root) {
    const body = endsLine(root.body) ? root.body : Buffer.concat([root.body, CRLF]);
    return { fields: root.fields, body };
  }
  return edits.length > 0 ? { fields: message.fields, body: applied(message.body, edits) } : message;
}

/** A replaced range of the message's body. */
interface BodyEdit {
  start: number;
  end: number;
  bytes: Buffer;
}

/**
 * Edits the leaves of one entity.
 * @param at offset of the entity's body in the message's body. @param edits collects the changes inside a multipart.
 * @returns the entity itself, when it is a leaf that changed.
 */
function editEntity(
  { fields, body }: ParsedMessage,
  standard: string,
  at: number,
  edit: EditLeaf,
  edits: BodyEdit[],
): ParsedMessage | undefined {
  const leaf = leafOf(fields, body, standard);
  if (!leaf) return undefined;
  const { type, contentType, encoding } = leaf;
  if (!type.startsWith('multipart/')) return edit(leaf);
  if (type === 'multipart/signed' || type === 'multipart/encrypted' || !IDENTITY.has(encoding)) {
    return undefined;
  }
  const boundary = boundaryOf(contentType);
  if (!boundary) return undefined;
  const inner = type === 'multipart/digest' ? 'message/rfc822' : 'text/plain';
  for (const [start, end] of partsOf(body, boundary)) {
    const part = body.subarray(start, end);
    const headless = part[0] === 0x0d && part[1] === 0x0a;
    const split = headless ? 0 : part.indexOf('\r\n\r\n');
    if (split < 0) continue; // no empty line: no content
    const content = headless ? 2 : split + 4;
    const entity = {
      fields: headless ? [] : fieldsOf(part.toString('latin1', 0, split)),
      body: part.subarray(content),
    };
    const edited = editEntity(entity, inner, at + start + content, edit, edits);
    if (!edited) continue;
    let head = '';
    for (const { raw } of edited.fields) head += `${raw}\r\n`;
    const bytes = Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), edited.body]);
    edits.push({ start: at + start, end: at + end, bytes });
  }
  return undefined;
}

const MEDIA_TYPE = /^\s*([^\s;]+)/;

/** Reads a part as a leaf; undefined when a field that governs its decoding occurs twice. */
function leafOf(fields: HeaderField[], body: Buffer, standard: string): MimeLeaf | undefined {
  const values = new Map<string, string>();
  for (const { name, raw } of fields) {
    if (!name.startsWith('content-')) continue;
    if (values.has(name)) return undefined;
    values.set(name, raw.slice(raw.indexOf(':') + 1).replaceAll('\r\n', ''));
  }
  const word = (name: string, otherwise: string): string =>
    (MEDIA_TYPE.exec(values.get(name) ?? otherwise)?.[1] ?? '').toLowerCase();
  return {
    type: word('content-type', standard),
    contentType: values.get('content-type') ?? '',
    encoding: word('content-transfer-encoding', '7bit'),
    disposition: word('content-disposition', ''),
    fields,
    body,
  };
}

/** Splits the header of a part into fields. Lines that are not fields stay in place. */
function fieldsOf(header: string): HeaderField[] {
  return header.split(/\r\n(?![ \t])/).map((raw) => ({ name: /^[^\s:]*/.exec(raw)![0].toLowerCase(), raw }));
}

/** Copies the fields with another transfer encoding. */
export function withEncoding(fields: HeaderField[], encoding: string): HeaderField[] {
  const name = 'content-transfer-encoding';
  return [
    ...fields.filter((field) => field.name !== name),
    { name, raw: `Content-Transfer-Encoding: ${encoding}` },
  ];
}

const CRLF = Buffer.from('\r\n');

/** Applies the edits. @param edits ordered by position. */
function applied(body: Buffer, edits: readonly BodyEdit[]): Buffer {
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
