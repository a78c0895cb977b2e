/**
 * Bounds the structure of JSON before it is parsed. `JSON.parse` takes 20 seconds for 50 MB of `[` and 7 for as many
 * one-letter members: one caller's request would hold up all the others. A large legitimate request is large by its
 * strings.
 */
import { PosternError } from '../errors.ts';

/** Size below which any JSON parses in a millisecond or two, octets. */
const LOOKED_AT = 16 * 1024;
const MAX_DEPTH = 64;
/** Brackets, commas and colons together: a bulk request of 50 entries has some thousands. */
const MAX_MARKS = 200_000;

/**
 * @param json UTF-8 text.
 * @throws PosternError `malformed_request` for JSON that nests too deep or has too many members.
 */
export function boundJson(json: Buffer): void {
  if (json.length <= LOOKED_AT) return;
  let depth = 0;
  let marks = 0;
  let quoted = false;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i];
    if (quoted) {
      if (byte === 0x22) quoted = false;
      else if (byte === 0x5c) i++;
      continue;
    }
    switch (byte) {
      case 0x22: // "
        quoted = true;
        break;
      case 0x5b: // [
      case 0x7b: // {
        marks++;
        if (++depth > MAX_DEPTH) throw tooMuch(`nests deeper than ${MAX_DEPTH} levels`);
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
        break;
      case 0x2c: // ,
      case 0x3a: // :
        if (++marks > MAX_MARKS) throw tooMuch('has too many members');
    }
  }
}

/** As `boundJson`, of a text: one that is short by its characters is not encoded. */
export function boundJsonText(text: string): void {
  if (text.length * 3 > LOOKED_AT) boundJson(Buffer.from(text));
}

function tooMuch(what: string): PosternError {
  return new PosternError('malformed_request', `The JSON ${what}.`);
}
