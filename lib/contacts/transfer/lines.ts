/**
 * Splits a stream of bytes into lines, each by itself, so that one damaged line costs one line. Memory holds one piece
 * of the stream and one line.
 */
import { PosternError } from '../../errors.ts';

/** Maximum length of a line, octets: attributes of a contact are the longest content. */
export const MAX_LINE = 64 * 1024;

/** A line of a file, counted from 1; `fault` in place of the text where it cannot be read. */
export type FileLine = { number: number } & ({ text: string } | { fault: string });

const LF = 0x0a;
const CR = 0x0d;

/**
 * Reads lines in UTF-8 that end with LF or CRLF; the last may lack its end. Empty lines are counted and left out.
 * @throws `bad_request` for a file in UTF-16, in which no line could be read.
 */
export async function* readLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<FileLine> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let held: Uint8Array[] = [];
  let size = 0;
  let number = 0;

  function lineOf(last: Uint8Array): FileLine | undefined {
    const length = size + last.length;
    const pieces = [...held, last];
    held = [];
    size = 0;
    number += 1;
    if (length > MAX_LINE) return { number, fault: `is longer than ${MAX_LINE} octets` };
    const whole = pieces.length === 1 ? last : Buffer.concat(pieces, length);
    const end = whole.at(-1) === CR ? length - 1 : length;
    try {
      // The decoder drops a byte order mark.
      const text = decoder.decode(whole.subarray(0, end));
      return text.trim() === '' ? undefined : { number, text };
    } catch {
      return { number, fault: 'is not text in UTF-8' };
    }
  }

  let first = true;
  for await (const chunk of source) {
    if (first && chunk.length > 0) refuseUtf16(chunk);
    first &&= chunk.length === 0;
    let from = 0;
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, from)) {
      const line = lineOf(chunk.subarray(from, at));
      from = at + 1;
      if (line) yield line;
    }
    const rest = chunk.subarray(from);
    size += rest.length;
    // Of a line that is too long only the length is kept.
    if (size <= MAX_LINE) held.push(rest);
    else held = [];
  }
  if (size > 0) {
    const line = lineOf(new Uint8Array(0));
    if (line) yield line;
  }
}

function refuseUtf16(start: Uint8Array): void {
  const mark = (start[0]! << 8) | (start[1] ?? 0);
  if (mark !== 0xfffe && mark !== 0xfeff) return;
  throw new PosternError('bad_request', 'The file is in UTF-16. Save it in UTF-8 and send it again.');
}
