/**
 * The relaxed form of a body (RFC 6376 §3.4.4): runs of blanks reduced to one, no blanks at the end of a line, no empty lines
 * at the end, and CRLF after the last line.
 */
import { collapsed, WINDOW } from './octets.ts';

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;

/**
 * Passes on the relaxed form of a body whose lines end in CRLF, in pieces that are only valid during the call: one piece for
 * a body of up to `WINDOW` octets, none for an empty one.
 */
export function relaxedBody(body: Buffer, take: (piece: Buffer) => void): void {
  const end = endOfText(body);
  for (let from = 0; from < end; from += WINDOW) {
    const to = Math.min(end, from + WINDOW);
    take(collapsed(body, from, to, to === end));
  }
}

/** Where the blanks and line ends begin that are at the end of a body. */
function endOfText(body: Buffer): number {
  let end = body.length;
  for (; end > 0; end--) {
    const c = body[end - 1]!;
    if (c !== LF && c !== CR && c !== SPACE && c !== TAB) break;
  }
  return end;
}
