/**
 * A Bloom filter of pairs of strings: "certainly not in" in a fraction of a microsecond, or "may be in". Sixteen bits
 * for each pair and four of them set let one in some 400 pass wrongly. What is removed stays until the filter is made
 * anew. When it has taken in as many as it was made for, a second one of twice the size joins it, and so on.
 */
import { keyHash } from '../key-hash.ts';

const BITS = 16;
const HASHES = 4;
const SMALLEST = 1 << 12;

/** Makes a filter for `count` pairs. */
export function filterFor(count: number): Uint32Array {
  let pairs = SMALLEST;
  while (pairs < count) pairs *= 2;
  return new Uint32Array((pairs * BITS) / 32);
}

/** Puts a pair into a filter. */
export function addKey(filter: Uint32Array, first: string, second: string): void {
  const mask = filter.length * 32 - 1;
  let bit = keyHash(first, second, 0x811c9dc5);
  const step = keyHash(second, first, 0x9e3779b9) | 1;
  for (let i = 0; i < HASHES; i++) {
    const at = bit & mask;
    filter[at >>> 5]! |= 1 << (at & 31);
    bit = (bit + step) | 0;
  }
}

export class KeyFilter {
  readonly #filters: Uint32Array[];
  /** How many more the last filter takes. */
  #room: number;

  /** @param filter half full at most, as `filterFor` twice the number of its pairs makes it. */
  constructor(filter: Uint32Array) {
    this.#filters = [filter];
    this.#room = capacity(filter) / 2;
  }

  add(first: string, second: string): void {
    if (this.has(first, second)) return;
    let last = this.#filters.at(-1)!;
    if (this.#room === 0) {
      last = new Uint32Array(last.length * 2);
      this.#filters.push(last);
      this.#room = capacity(last);
    }
    this.#room -= 1;
    addKey(last, first, second);
  }

  /** False: it was never added. */
  has(first: string, second: string): boolean {
    const start = keyHash(first, second, 0x811c9dc5);
    const step = keyHash(second, first, 0x9e3779b9) | 1;
    return this.#filters.some((filter) => {
      const mask = filter.length * 32 - 1;
      let bit = start;
      for (let i = 0; i < HASHES; i++) {
        const at = bit & mask;
        if ((filter[at >>> 5]! & (1 << (at & 31))) === 0) return false;
        bit = (bit + step) | 0;
      }
      return true;
    });
  }
}

function capacity(filter: Uint32Array): number {
  return (filter.length * 32) / BITS;
}
