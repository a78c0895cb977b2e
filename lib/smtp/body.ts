/** Encodes a message for DATA (RFC 5321 §4.5.2). */

const DOT = 46;
const LINE_DOT = Buffer.from('\r\n.');
const DOT_BYTE = Buffer.from('.');

/**
 * Doubles the dot at the beginning of each line. `bytes` has CRLF line ends only. Without such a dot, the
 * common case, the same Buffer comes back and nothing is copied.
 */
export function dotStuff(bytes: Buffer): Buffer {
  let dot = bytes[0] === DOT ? 0 : nextDot(bytes, 0);
  if (dot === -1) return bytes;
  const parts: Buffer[] = [];
  let from = 0;
  while (dot !== -1) {
    parts.push(bytes.subarray(from, dot), DOT_BYTE);
    from = dot;
    dot = nextDot(bytes, dot);
  }
  parts.push(bytes.subarray(from));
  return Buffer.concat(parts);
}

/** Finds the next line that begins with a dot; -1 when there is none. */
function nextDot(bytes: Buffer, from: number): number {
  const at = bytes.indexOf(LINE_DOT, from);
  return at === -1 ? -1 : at + 2;
}

/** The end of a body: the CRLF that its last line may lack, and the lone dot. */
export function endOfData(bytes: Buffer): string {
  const length = bytes.length;
  const whole = length === 0 || (bytes[length - 1] === 10 && bytes[length - 2] === 13);
  return whole ? '.\r\n' : '\r\n.\r\n';
}
