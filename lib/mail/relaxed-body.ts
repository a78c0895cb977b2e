/**
 * The relaxed form of a body (RFC 6376 §3.4.4): runs of blanks reduced to one, no blanks at the end of a line, no empty lines
 * at the end, and CRLF after the last line. Most bodies have that form except at their end, and are not copied.
 */

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;

/** Converts a body whose lines end in CRLF. */
export function relaxedBody(body: Buffer): Buffer {
  const from = firstBlank(body);
  return from < 0 ? withoutEmptyEnd(body) : withoutEmptyEnd(collapse(body, from));
}

/** Words that are looked at before the finding is. */
const BLOCK = 1024;
const LOW = 0x7f7f7f7f;
const FOUR_SPACES = 0x20202020;
const FOUR_CR = 0x0d0d0d0d;

/**
 * Finds the first blank that the relaxed form may not have: a tab, or a space before a space or at the end of a line; -1:
 * there is none.
 *
 * Four octets are compared at a time, without a branch that depends on them: where words end cannot be predicted, so a loop
 * over octets spends most of its time on wrong guesses, twice as much in all.
 */
function firstBlank(body: Buffer): number {
  let tab = body.indexOf(TAB);
  if (tab > 0 && body[tab - 1] === SPACE) tab--;
  const space = firstSpace(body, tab < 0 ? body.length : tab);
  return space < 0 ? tab : space;
}

/** Finds the first space before `end` that a space, or the end of a line or of the body, follows. */
function firstSpace(body: Buffer, end: number): number {
  // Words begin where the memory allows it.
  const start = Math.min(end, -body.byteOffset & 3);
  const words = new Int32Array(body.buffer, start < end ? body.byteOffset + start : 0, (end - start) >> 2);
  const first = pairWithin(body, 0, start + 1);
  if (first >= 0) return first;
  /** Whether the last octet of the word before is a space, at the place of the first one of a word (little-endian). */
  let carry = 0;
  for (let i = 0; i < words.length; ) {
    const begin = i;
    const stop = Math.min(words.length, i + BLOCK);
    let found = 0;
    for (; i < stop; i++) {
      const word = words[i]!;
      // The highest bit of each octet that is a space, or a CR: what is left of it by the XOR is 0.
      const a = word ^ FOUR_SPACES;
      const spaces = ~(((a & LOW) + LOW) | a | LOW);
      const b = word ^ FOUR_CR;
      const ends = ~(((b & LOW) + LOW) | b | LOW);
      found |= ((spaces << 8) | carry) & (spaces | ends);
      carry = spaces >>> 24;
    }
    if (found !== 0) return pairWithin(body, start + begin * 4 - 1, end);
  }
  return pairWithin(body, start + words.length * 4 - 1, end);
}

/** Finds the first space from `from` to before `end` that a space, a CR or nothing follows. */
function pairWithin(body: Buffer, from: number, end: number): number {
  for (let i = Math.max(0, from); i < end; i++) {
    if (body[i] !== SPACE) continue;
    const after = body[i + 1];
    if (after === SPACE || after === CR || after === undefined) return i;
  }
  return -1;
}

/** Copies the body, collapsing blanks from `from` on, where no blank stands before it. */
function collapse(body: Buffer, from: number): Buffer {
  const out = Buffer.allocUnsafe(body.length);
  body.copy(out, 0, 0, from);
  let o = from;
  let blank = false;
  for (let i = from; i < body.length; i++) {
    const c = body[i]!;
    if (c === SPACE || c === TAB) {
      blank = true;
      continue;
    }
    if (blank) {
      if (c !== CR) out[o++] = SPACE;
      blank = false;
    }
    out[o++] = c;
  }
  return out.subarray(0, o);
}

function withoutEmptyEnd(body: Buffer): Buffer {
  let end = body.length;
  while (end >= 2 && body[end - 1] === LF && body[end - 2] === CR) end -= 2;
  if (end === 0) return body.subarray(0, 0);
  if (end < body.length) return body.subarray(0, end + 2);
  return Buffer.concat([body, Buffer.from('\r\n')]);
}
