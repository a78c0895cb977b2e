/**
 * Collects the content of one message. Chunks that a peer's packets filled are kept as they are, and joined once, when
 * all is there. Small ones are copied together: kept one by one they cost 30 times the octets that a peer sent (125
 * octets of heap for `..\r\n`), which crashed the process.
 */
import { discard } from '../discard.ts';
import type { OctetBudget } from './octet-budget.ts';

/** A chunk of at least this many octets is kept without a copy. */
const LARGE = 4096;
/** Octets of the end of the content, which stand behind it in its last chunk: `.` CRLF. */
const END = 3;
/** Maximum size of the piece that small chunks are copied into. */
const MAX_TAIL = 64 * 1024;

export class MessageBuffer {
  readonly #budget: OctetBudget;
  readonly #keep: number;
  #pieces: Buffer[] = [];
  /** Memory that holds nothing but kept content and was read to its end, so that it is this message's alone. */
  #owned: Buffer[] = [];
  /** The chunk that is being read, when a part of it was kept as it came. */
  #open: Buffer | undefined;
  /** The last piece while it has room, and its octets in use. */
  #tail: Buffer | undefined;
  #used = 0;
  /** Octets that were copied into such pieces. */
  #copied = 0;
  #size = 0;
  #taken = 0;
  #refused = false;

  /** @param keep octets from the start of the message that are kept; the rest is dropped. */
  constructor(budget: OctetBudget, keep: number) {
    this.#budget = budget;
    this.#keep = keep;
  }

  /** Whether the budget had no room: the kept content is gone. */
  get refused(): boolean {
    return this.#refused;
  }

  /** Adds the octets of `chunk` from `from`, without `to`. */
  append(chunk: Buffer, from: number, to: number): void {
    const end = Math.min(to, from + this.#keep - this.#size);
    const length = end - from;
    if (this.#refused || length <= 0) return;
    // The first chunk is most often the whole message. A small part of a large buffer would keep it alive.
    const isWhole = length >= LARGE || this.#size === 0;
    if (isWhole && length * 2 >= chunk.buffer.byteLength) {
      if (!this.#reserve(length)) return;
      this.#close();
      this.#pieces.push(chunk.subarray(from, end));
      this.#open = chunk;
    } else this.#copy(chunk, from, end);
    if (this.#refused) return;
    this.#size += length;
    if (this.#open === chunk && chunk.length - to <= END) this.#owned.push(chunk);
  }

  /** The kept octets, once the content has ended. Valid until `release` or `free`. */
  bytes(): Buffer {
    this.#close();
    if (this.#pieces.length !== 1) {
      const joined = Buffer.concat(this.#pieces, this.#size);
      this.#pieces = [joined];
      for (const memory of this.#owned) discard(memory);
      this.#owned = [joined];
    }
    return this.#pieces[0]!;
  }

  /** As `release`, once nothing of the connection's chunks is left to read: frees the memory of the content, too. */
  free(): void {
    for (const memory of this.#owned) discard(memory);
    this.release();
  }

  /** Drops the content and returns its octets to the budget. */
  release(): void {
    this.#give(this.#taken);
    this.#size = 0;
    this.#copied = 0;
    this.#pieces = [];
    this.#owned = [];
    this.#open = undefined;
    this.#tail = undefined;
  }

  #copy(chunk: Buffer, from: number, to: number): void {
    let at = from;
    if (this.#tail) {
      at += chunk.copy(this.#tail, this.#used, from, to);
      this.#used += at - from;
      if (at === to) return;
      this.#close();
    }
    // Each piece is as large as those before it, so that few are enough, and at most half of the octets is room.
    const left = this.#keep - this.#size - (at - from);
    const capacity = Math.min(left, Math.max(LARGE, Math.min(this.#copied, MAX_TAIL), to - at));
    if (!this.#reserve(capacity)) return;
    this.#tail = Buffer.allocUnsafeSlow(capacity);
    this.#used = chunk.copy(this.#tail, 0, at, to);
  }

  /** Ends the piece that has room. */
  #close(): void {
    if (!this.#tail) return;
    let piece = this.#tail.subarray(0, this.#used);
    // A peer that mixes small chunks with large ones would leave much room.
    if (this.#used * 2 < this.#tail.length) {
      this.#give(this.#tail.length - this.#used);
      const exact = Buffer.allocUnsafeSlow(this.#used);
      piece.copy(exact);
      piece = exact;
    }
    this.#copied += this.#used;
    this.#pieces.push(piece);
    this.#owned.push(piece);
    this.#tail = undefined;
  }

  #give(octets: number): void {
    this.#taken -= octets;
    this.#budget.give(octets);
  }

  #reserve(octets: number): boolean {
    if (this.#budget.take(octets)) {
      this.#taken += octets;
      return true;
    }
    this.release();
    this.#refused = true;
    return false;
  }
}
