/** Multiparts cut as RFC 2046 §5.1 says, for whoever looks into a message: there is one reading of it. */
import { PosternError } from '../errors.ts';

const BOUNDARY = /;\s*boundary\s*=\s*(?:"((?:[^"\\]|\\[\s\S])*)"|([^\s;"]+))/i;

/**
 * The boundary in a Content-Type value; undefined when there is none: then no reader finds parts.
 * @throws PosternError `message_rejected` when it is in pieces, which readers put together in different ways.
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

/** Where each part of a multipart's body begins and ends: its header, an empty line, its content. Linear. */
export function* partsOf(body: Buffer, boundary: string): Generator<[start: number, end: number]> {
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  let start = -1; // of the part that is open
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
