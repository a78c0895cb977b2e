/**
 * Looks at the octets of a message, and rewrites them, sixteen at a time: JavaScript takes five to fifty times as long for
 * an octet, and the runtime's own searches begin anew at each line. `octets.wat` is the code; its memory holds a window of
 * the message.
 */
import { MODULE } from './octets-module.ts';

/** Facts about octets, a bit each. */
export const EIGHT_BIT = 1;
/** A NUL, or a CR or LF that is no part of a CRLF. */
export const STRAY = 2;
/** A line of over 998 octets without its CRLF. Where the last line has no line end, or others are stray, it may be wrong. */
export const LONG_LINE = 4;

/** Octets of a message that are looked at in one call. */
export const WINDOW = 64 * 1024;
/** What two windows share, so that a line of 998 octets is whole in one of them. */
const SHARED = 1024;
const CR = 0x0d;
const LF = 0x0a;

/** The part of the runtime's WebAssembly that is used here: only DOM's types have it. */
declare const WebAssembly: {
  Module: new (octets: Uint8Array) => object;
  Instance: new (module: object) => { exports: unknown };
};

interface Exports {
  memory: { buffer: ArrayBuffer };
  IN: { value: number };
  OUT: { value: number };
  facts(length: number): number;
  collapse(length: number, after: number): number;
}

interface Machine {
  /** Its memory, in which the window begins at `start` and what is written at `out`. */
  memory: Buffer;
  start: number;
  out: number;
  facts(length: number): number;
  collapse(length: number, after: number): number;
}

let made: Machine | undefined;

/** Compiled at the first message, in about 1 ms, so that a process that sees none does not pay for it. */
function machine(): Machine {
  if (made) return made;
  const module = new WebAssembly.Module(Buffer.from(MODULE, 'base64'));
  const { memory, IN, OUT, facts, collapse } = new WebAssembly.Instance(module).exports as Exports;
  return (made = { memory: Buffer.from(memory.buffer), start: IN.value, out: OUT.value, facts, collapse });
}

/** The facts of a message, or of a part of one that begins a line. */
export function factsOf(octets: Buffer): number {
  const { memory, start, facts } = machine();
  let found = 0;
  for (let at = 0; ; at += WINDOW - SHARED) {
    memory[start - 1] = at === 0 ? LF : octets[at - 1]!;
    const length = octets.copy(memory, start, at, at + WINDOW);
    found |= facts(length);
    if (at + length === octets.length) return octets.at(-1) === CR ? found | STRAY : found;
  }
}

/**
 * A window of a body with each run of blanks reduced to one space, and without blanks at ends of lines. The result is only
 * valid until the next call.
 * @param to `from` and `WINDOW` at most. Where it is the end of the text, whose last octet is no blank, CRLF is added.
 */
export function collapsed(body: Buffer, from: number, to: number, ends: boolean): Buffer {
  const { memory, start, out, collapse } = machine();
  const length = body.copy(memory, start, from, to);
  let end = out + collapse(length, ends ? CR : body[to]!);
  if (ends) {
    memory[end++] = CR;
    memory[end++] = LF;
  }
  return memory.subarray(out, end);
}
