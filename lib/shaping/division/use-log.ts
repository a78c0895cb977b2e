/**
 * Units by the time when they were used, so that each is free again a span later: never earlier, and at most a part
 * of the span late.
 */
import { FOR_GOOD } from './terms.ts';

/** Parts of a span in `ages`. */
export const AGES = 24;

export class UseLog {
  readonly #span: number;
  /** Length of a part, ms. */
  readonly part: number;
  /** Parts of the time axis in which units were used, oldest first, each with its number of units. */
  #parts: number[] = [];
  #counts: number[] = [];
  #total = 0;

  /** @param span how long a unit is in use, ms. @param parts in which the span is measured. */
  constructor(span: number, parts: number) {
    this.#span = span;
    this.part = span === FOR_GOOD ? Number.POSITIVE_INFINITY : span / parts;
  }

  /** Counts units used at a time, in any order. */
  add(at: number, count: number): void {
    if (count <= 0) return;
    const part = this.part === Number.POSITIVE_INFINITY ? 0 : Math.floor(at / this.part);
    this.#total += count;
    let i = this.#parts.length;
    while (i > 0 && this.#parts[i - 1]! > part) i -= 1;
    if (i > 0 && this.#parts[i - 1] === part) {
      this.#counts[i - 1]! += count;
      return;
    }
    this.#parts.splice(i, 0, part);
    this.#counts.splice(i, 0, count);
  }

  /** Units in use. */
  used(now: number): number {
    if (this.#freeAt(0) > now) return this.#total;
    let free = 0;
    for (; this.#freeAt(free) <= now; free += 1) this.#total -= this.#counts[free]!;
    this.#parts.splice(0, free);
    this.#counts.splice(0, free);
    return this.#total;
  }

  /** When a unit is free again, ms since the epoch; `Infinity`: none will be. */
  get nextFree(): number {
    return this.#freeAt(0);
  }

  #freeAt(i: number): number {
    const part = this.#parts[i];
    return part === undefined ? Number.POSITIVE_INFINITY : (part + 1) * this.part + this.#span;
  }

  /** Units in use by age: `ages[a]` were used `a` of the `AGES` parts of the span ago, or earlier. */
  ages(now: number): number[] {
    if (this.used(now) === 0) return [];
    if (this.#span === FOR_GOOD) return [this.#total];
    const ages: number[] = [];
    for (const [i, part] of this.#parts.entries()) {
      const age = Math.max(0, Math.floor(((now - (part + 1) * this.part) / this.#span) * AGES));
      while (ages.length <= age) ages.push(0);
      ages[age]! += this.#counts[i]!;
    }
    return ages;
  }
}

/** The time at which units of an age were used, at the latest. */
export function usedAt(age: number, span: number, now: number): number {
  return span === FOR_GOOD ? now : now - (age * span) / AGES;
}
