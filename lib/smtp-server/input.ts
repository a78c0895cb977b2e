/**
 * The octets of a connection that have arrived and are not read yet: lines while commands are awaited, content behind
 * DATA. Commands end at LF; a CR before it is no part of them.
 */
import type { ContentSink, DotReader } from './dot-reader.ts';

/**
 * Maximum length of a command without its line end, octets. RFC 5321 §4.5.3.1.4 demands 512, RFC 4954 §4 12,288 for a
 * line of AUTH.
 */
export const MAX_LINE = 16 * 1024;

const CR = 0x0d;
const LF = 0x0a;
const NOTHING = Buffer.alloc(0);

export class Input {
  #octets: Buffer = NOTHING;
  #at = 0;
  #tooLong = false;

  /** Whether a line was longer than `MAX_LINE`: no more lines can be read. */
  get tooLong(): boolean {
    return this.#tooLong;
  }

  push(chunk: Buffer): void {
    this.#octets =
      this.#octets.length === 0 ? chunk : Buffer.concat([this.#octets.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /** Drops what has arrived. */
  clear(): void {
    this.#octets = NOTHING;
    this.#at = 0;
  }

  /** The next command, without its line end; undefined until it is whole. */
  line(): string | undefined {
    const octets = this.#octets;
    const start = this.#at;
    const end = octets.indexOf(LF, start);
    if (end < 0) {
      // With the CR that may be its last octet.
      this.#tooLong = octets.length - start > MAX_LINE + 1;
      return undefined;
    }
    const stop = end > start && octets[end - 1] === CR ? end - 1 : end;
    if (stop - start > MAX_LINE) {
      this.#tooLong = true;
      return undefined;
    }
    this.#readTo(end + 1);
    return octets.toString('utf8', start, stop);
  }

  /** Passes on content. @returns whether it has ended. */
  content(reader: DotReader, sink: ContentSink): boolean {
    if (this.#octets.length === 0) return false;
    const end = reader.read(this.#octets, this.#at, sink);
    this.#readTo(end < 0 ? this.#octets.length : end);
    return end >= 0;
  }

  #readTo(at: number): void {
    // A chunk that was read is let go, so that an idle connection holds none.
    if (at === this.#octets.length) this.clear();
    else this.#at = at;
  }
}
