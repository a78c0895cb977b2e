/**
 * Collects the content of one message in one growing buffer. The stream of smtp-server writes each dot-stuffed line
 * as a chunk of its own; keeping the chunks costs 30 times the octets that a peer sent (125 octets of heap for
 * `..\r\n`), which crashed the process.
 */
import type { OctetBudget } from './octet-budget.ts';

const FIRST_CAPACITY = 4096;

export class MessageBuffer {
  readonly #budget: OctetBudget;
  readonly #keep: number;
  #buffer: Buffer = Buffer.alloc(0);
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

  append(chunk: Buffer): void {
    if (this.#refused) return;
    const part = this.#size + chunk.length > this.#keep ? chunk.subarray(0, this.#keep - this.#size) : chunk;
    if (part.length === 0) return;
    const size = this.#size + part.length;
    // The first chunk is most often the whole message. It is not copied, unless it is a small part of a large buffer,
    // which it would keep alive.
    if (this.#size === 0 && part.length * 2 >= part.buffer.byteLength) {
      if (!this.#reserve(part.length)) return;
      this.#buffer = part;
    } else {
      if (this.#buffer.length < size) {
        const capacity = Math.min(this.#keep, Math.max(size, 2 * this.#size, FIRST_CAPACITY));
        if (!this.#reserve(capacity)) return;
        const grown = Buffer.allocUnsafeSlow(capacity);
        this.#buffer.copy(grown, 0, 0, this.#size);
        this.#buffer = grown;
      }
      part.copy(this.#buffer, this.#size);
    }
    this.#size = size;
  }

  /** The kept octets. Valid until `release`. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#size);
  }

  /** Drops the content and returns its octets to the budget. */
  release(): void {
    this.#budget.give(this.#taken);
    this.#taken = 0;
    this.#size = 0;
    this.#buffer = Buffer.alloc(0);
  }

  #reserve(capacity: number): boolean {
    if (capacity > this.#taken && !this.#budget.take(capacity - this.#taken)) {
      this.release();
      this.#refused = true;
      return false;
    }
    this.#taken = Math.max(this.#taken, capacity);
    return true;
  }
}
