/**
 * Parses SMTP replies (RFC 5321 §4.2) from a byte stream that an attacker may write. Work is linear in the bytes,
 * memory is bounded by the caps, and nothing throws: an invalid reply leaves a `fault`, and the connection is then of
 * no more use.
 */
import { cleanText } from '../text.ts';
import type { SmtpReply } from './types.ts';

/** Maximum length of one line with its line end, octets. RFC 5321 §4.5.3.1.5 allows 512; real peers exceed it. */
export const MAX_LINE = 4096;
/** Maximum octets and lines of one reply. */
export const MAX_REPLY = 65_536;
export const MAX_LINES = 100;
/** Maximum length of a line that is kept, characters. */
const MAX_TEXT = 1000;

const EMPTY = Buffer.alloc(0);
const LF = 10;
const CR = 13;
const SPACE = 32;
const HYPHEN = 45;
const ENHANCED = /^[245]\.\d{1,3}\.\d{1,3}(?= |$)/;

export class ReplyParser {
  /** The fault of the stream; set once, and then `next` returns nothing more. */
  fault: string | undefined;

  #chunk: Buffer = EMPTY;
  #at = 0;
  /** The beginning of an unfinished line. */
  #held: Buffer = EMPTY;
  #heldLength = 0;
  /** The code of an unfinished reply. */
  #code = 0;
  #octets = 0;
  #lines: string[] = [];
  #enhanced: string | undefined;

  /** Adds bytes. `next` reads them until it returns `undefined`, and then they are no longer referenced. */
  push(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Whether bytes came after the last reply that `next` returned. */
  get pending(): boolean {
    return this.#at < this.#chunk.length || this.#heldLength > 0 || this.#lines.length > 0;
  }

  /** The next whole reply, or undefined when more bytes are needed or there is a fault. */
  next(): SmtpReply | undefined {
    while (this.fault === undefined) {
      const end = this.#chunk.indexOf(LF, this.#at);
      if (end === -1) {
        this.#hold(this.#chunk.length);
        this.#chunk = EMPTY;
        this.#at = 0;
        return undefined;
      }
      let reply: SmtpReply | undefined;
      if (this.#heldLength > 0) {
        if (!this.#hold(end)) return undefined;
        const length = this.#heldLength;
        this.#heldLength = 0;
        reply = this.#line(this.#held, 0, length);
      } else {
        reply = this.#line(this.#chunk, this.#at, end);
      }
      this.#at = end + 1;
      if (reply) return reply;
    }
    return undefined;
  }

  /** Keeps the bytes up to `end` as the beginning of a line. */
  #hold(end: number): boolean {
    const length = end - this.#at;
    if (length === 0) return true;
    if (this.#heldLength + length >= MAX_LINE) return this.#fail(`a line is longer than ${MAX_LINE} octets`);
    if (this.#held === EMPTY) this.#held = Buffer.allocUnsafeSlow(MAX_LINE);
    this.#chunk.copy(this.#held, this.#heldLength, this.#at, end);
    this.#heldLength += length;
    this.#at = end;
    return true;
  }

  /** Parses one line, without its LF. @returns the reply that it ends, if any. */
  #line(bytes: Buffer, start: number, end: number): SmtpReply | undefined {
    const octets = end - start + 1;
    if (octets > MAX_LINE) return this.#fail(`a line is longer than ${MAX_LINE} octets`) || undefined;
    this.#octets += octets;
    if (this.#octets > MAX_REPLY)
      return this.#fail(`a reply is longer than ${MAX_REPLY} octets`) || undefined;
    const stop = bytes[end - 1] === CR && end > start ? end - 1 : end;
    const code = readCode(bytes, start, stop);
    const separator = stop - start > 3 ? bytes[start + 3] : SPACE;
    if (code === 0 || (separator !== SPACE && separator !== HYPHEN))
      return this.#fail('a line does not begin with a reply code') || undefined;
    const first = this.#lines.length === 0;
    if (!first && code !== this.#code)
      return this.#fail(`a reply changes its code from ${this.#code} to ${code}`) || undefined;
    if (this.#lines.length === MAX_LINES)
      return this.#fail(`a reply has more than ${MAX_LINES} lines`) || undefined;

    let text = readText(bytes, start + 4, stop);
    if (text.charCodeAt(1) === 46) {
      const enhanced = ENHANCED.exec(text)?.[0];
      if (enhanced !== undefined) {
        if (first) this.#enhanced = enhanced;
        text = text.slice(enhanced.length + 1);
      }
    }
    this.#code = code;
    this.#lines.push(text);
    if (separator === HYPHEN) return undefined;

    const reply: SmtpReply = { code, enhanced: this.#enhanced, lines: this.#lines };
    this.#lines = [];
    this.#enhanced = undefined;
    this.#octets = 0;
    return reply;
  }

  #fail(fault: string): false {
    this.fault = fault;
    this.#chunk = EMPTY;
    this.#at = 0;
    return false;
  }
}

/** The three digits of a line, 100 to 599; 0 when there are none. */
function readCode(bytes: Buffer, start: number, stop: number): number {
  if (stop - start < 3) return 0;
  const a = bytes[start]! - 48;
  const b = bytes[start + 1]! - 48;
  const c = bytes[start + 2]! - 48;
  return a >= 1 && a <= 5 && b >= 0 && b <= 9 && c >= 0 && c <= 9 ? a * 100 + b * 10 + c : 0;
}

function readText(bytes: Buffer, start: number, stop: number): string {
  if (start >= stop) return '';
  return cleanText(bytes.toString('utf8', start, Math.min(stop, start + MAX_TEXT)));
}

/** The first digit of the code, on which a client decides (RFC 5321 §4.2.1). */
export function replyClass(reply: SmtpReply): number {
  return Math.trunc(reply.code / 100);
}

/** The text of a reply on one line, with the enhanced code in front, at most 2,000 characters. */
export function replyText(reply: SmtpReply): string {
  const { lines, enhanced } = reply;
  const text = lines.length === 1 ? lines[0]! : cleanText(lines.join(' ').slice(0, 2 * MAX_TEXT));
  if (enhanced === undefined) return text;
  return text === '' ? enhanced : `${enhanced} ${text}`;
}
