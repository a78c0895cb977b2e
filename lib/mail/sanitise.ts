/**
 * Settles the lines of outgoing mail (RFC 5321 §2.3.8, RFC 5322 §2.1.1): every line ends in CRLF, no other CR or LF
 * and no NUL, no line over 998 octets. A peer that treats `\r.\r` or `\n.\n` as the end of a message would read the
 * rest as a second message, in our name and from our IP (SMTP smuggling). So lines are settled here, once, before the
 * message is signed, and the signature covers the bytes that travel.
 */
import { PosternError } from '../errors.ts';
import { foldLine, MAX_LINE } from './message.ts';
import { EIGHT_BIT, factsOf, LONG_LINE, STRAY } from './octets.ts';

export type StrayLineBreaks = 'normalise' | 'refuse';

/** A message whose every line ends in CRLF. */
export interface SettledLines {
  bytes: Buffer;
  /** Whether a line has over 998 octets. */
  long: boolean;
  /** Whether an octet is beyond ASCII. */
  eightBit: boolean;
}

const CR = 0x0d;
const LF = 0x0a;

/**
 * Settles line breaks: `normalise` makes each stray CR or LF a CRLF and removes NULs; `refuse` throws. Several CR
 * before one LF are one line end, or the first of them would end the header of a message (some mailers write CR CR
 * LF). Either mode adds a missing last CRLF. Clean bytes come back as the same Buffer.
 * @throws `line_break_refused` in mode `refuse`
 */
export function settleLines(bytes: Buffer, strayLineBreaks: StrayLineBreaks): SettledLines {
  const facts = factsOf(bytes);
  const eightBit = (facts & EIGHT_BIT) !== 0;
  const whole = bytes.length >= 2 && bytes.at(-2) === CR && bytes.at(-1) === LF;
  if ((facts & STRAY) === 0 && whole) return { bytes, long: (facts & LONG_LINE) !== 0, eightBit };
  let text = bytes.toString('latin1');
  if ((facts & STRAY) !== 0) {
    if (strayLineBreaks === 'refuse') throw refused(text);
    text = text.replaceAll('\0', '');
    text = text.includes('\r\r')
      ? text.replace(/\r+\n?|\n/g, (end) => (end.endsWith('\n') ? '\r\n' : '\r\n'.repeat(end.length)))
      : text.replace(/\r\n?|\n/g, '\r\n');
  }
  if (!text.endsWith('\r\n')) text += '\r\n';
  const settled = Buffer.from(text, 'latin1');
  return { bytes: settled, long: (factsOf(settled) & LONG_LINE) !== 0, eightBit };
}

/**
 * Settles line breaks, folds header lines over 998 octets at blanks, and breaks body lines over 998 octets.
 * @throws `line_break_refused` in mode `refuse`; `invalid_header` on a header word too long for any line.
 */
export function sanitise(bytes: Buffer, strayLineBreaks: StrayLineBreaks): Buffer {
  const settled = settleLines(bytes, strayLineBreaks);
  return settled.long
    ? Buffer.from(shorten(settled.bytes.toString('latin1'), true), 'latin1')
    : settled.bytes;
}

/**
 * Breaks body lines over 998 octets as Postfix does (`smtp_line_length_limit`): CRLF and one space are inserted,
 * never inside a UTF-8 character. For content that cannot be re-encoded; a relay further on would do the same, but
 * after the signature.
 */
export function breakLongLines(body: Buffer): Buffer {
  return Buffer.from(shorten(body.toString('latin1'), false), 'latin1');
}

function refused(text: string): PosternError {
  const at = text.search(/\r(?!\n)|(?<!\r)\n|\0/);
  const line = text.slice(0, at).split('\r\n').length;
  const what = text[at] === '\r' ? 'CR' : text[at] === '\n' ? 'LF' : 'NUL';
  return new PosternError(
    'line_break_refused',
    `Line ${line} has a bare ${what}; end every line with CRLF and send no NUL.`,
  );
}

/** Folds or breaks the lines over 998 octets. @param startsWithHeader else all of it is body. */
function shorten(text: string, startsWithHeader: boolean): string {
  let out = '';
  let copied = 0;
  let inHeader = startsWithHeader;
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf('\r\n', start);
    if (end === start) inHeader = false;
    if (end - start > MAX_LINE) {
      const line = text.slice(start, end);
      out += text.slice(copied, start) + (inHeader ? foldHeader(line) : breakBody(line));
      copied = end;
    }
    start = end + 2;
  }
  return out + text.slice(copied);
}

function foldHeader(line: string): string {
  const continued = /^[ \t]+/.exec(line)?.[0].length;
  return foldLine(line, (continued ?? line.indexOf(':') + 1) + 1);
}

function breakBody(line: string): string {
  let out = '';
  let start = 0;
  let room = MAX_LINE;
  while (line.length - start > room) {
    let end = start + room;
    // Back to the first byte of a UTF-8 character, which has at most three bytes after it.
    for (let back = 0; back < 3 && (line.charCodeAt(end) & 0xc0) === 0x80; back++) end--;
    out += `${line.slice(start, end)}\r\n `;
    start = end;
    room = MAX_LINE - 1;
  }
  return out + line.slice(start);
}
