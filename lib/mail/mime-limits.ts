/**
 * Bounds the structure of raw MIME before the message is accepted: a reader, here or at the recipient, may recurse
 * over the parts or hold them all. Parts are split by RFC 2046 §5.1; each level of nesting is searched once, so the
 * time is linear in the message.
 */
import { PosternError } from '../errors.ts';
import { MAX_HEADER } from './message.ts';
import { boundaryOf, partsOf } from './mime-parts.ts';
import type { ParsedMessage } from './types.ts';

/** SES's limit of MIME parts in one message. */
const MAX_PARTS = 500;
/** Maximum depth of multiparts and attached messages; mail that people send has about five levels. */
const MAX_DEPTH = 30;

const CONTENT_TYPE = /^content-type[ \t]*:((?:[^\r\n]|\r\n[ \t])*)/gim;
const COMPOSITE = /^\s*(multipart|message)\//i;

interface Count {
  parts: number;
}

/**
 * Checks the number, the depth and the boundaries of the parts.
 * @throws PosternError `message_rejected` for more than 500 parts, for parts nested over 30 deep, and for a part that
 * readers would split in different ways (two Content-Type fields, a boundary in pieces)
 */
export function checkMimeLimits(message: ParsedMessage): void {
  let type: string | undefined;
  for (const { name, raw } of message.fields) {
    if (name !== 'content-type') continue;
    if (type !== undefined) throw rejected("Duplicate header 'Content-Type'.");
    type = raw.slice(raw.indexOf(':') + 1);
  }
  if (type !== undefined) checkEntity(type, message.body, 0, { parts: 0 });
}

/** Counts the parts of a composite entity. */
function checkEntity(type: string, body: Buffer, depth: number, count: Count): void {
  const composite = COMPOSITE.exec(type)?.[1]?.toLowerCase();
  if (composite === undefined) return;
  if (depth >= MAX_DEPTH) throw rejected(`The message has MIME parts nested over ${MAX_DEPTH} deep.`);
  if (composite === 'message') checkPart(body, depth, count);
  else {
    const boundary = boundaryOf(type);
    if (!boundary) return;
    for (const [start, end] of partsOf(body, boundary)) checkPart(body.subarray(start, end), depth, count);
  }
}

/** Checks one part or one attached message: header fields, an empty line, content. */
function checkPart(part: Buffer, depth: number, count: Count): void {
  if (++count.parts > MAX_PARTS) throw rejected(`The message has more than ${MAX_PARTS} MIME parts.`);
  if (part[0] === 0x0d && part[1] === 0x0a) return; // no header: text/plain
  const end = part.indexOf('\r\n\r\n');
  if (end < 0) return; // no content
  if (end > MAX_HEADER) throw rejected(`The header of a MIME part is longer than ${MAX_HEADER} octets.`);
  const header = part.toString('latin1', 0, end);
  let type: string | undefined;
  for (const match of header.matchAll(CONTENT_TYPE)) {
    if (type !== undefined) throw rejected('A MIME part has two Content-Type fields.');
    type = match[1]!;
  }
  if (type !== undefined) checkEntity(type, part.subarray(end + 4), depth + 1, count);
}

function rejected(message: string): PosternError {
  return new PosternError('message_rejected', message);
}
