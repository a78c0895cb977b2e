/** A binary heap: the first entry is at hand, and each entry is added and removed in logarithmic time. */
export class Heap<T> {
  readonly #entries: T[] = [];
  readonly #before: (a: T, b: T) => boolean;

  /** @param before whether `a` comes before `b`. */
  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  /** The first entry. */
  get first(): T | undefined {
    return this.#entries[0];
  }

  push(entry: T): void {
    const entries = this.#entries;
    let place = entries.push(entry) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (!this.#before(entry, entries[above]!)) break;
      entries[place] = entries[above]!;
      place = above;
    }
    entries[place] = entry;
  }

  /** Takes the first entry out. */
  pop(): T | undefined {
    const entries = this.#entries;
    const first = entries[0];
    const last = entries.pop()!;
    if (entries.length === 0) return first;
    let place = 0;
    for (;;) {
      let least = place * 2 + 1;
      if (least >= entries.length) break;
      if (least + 1 < entries.length && this.#before(entries[least + 1]!, entries[least]!)) least += 1;
      if (!this.#before(entries[least]!, last)) break;
      entries[place] = entries[least]!;
      place = least;
    }
    entries[place] = last;
    return first;
  }
}
