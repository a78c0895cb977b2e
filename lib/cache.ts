/**
 * A bounded cache whose entries end at a given time. Beyond its capacity the entries that were used longest ago go,
 * so that a list of a million distinct domains costs bounded memory. An entry weighs 1 unless `set` gives its weight,
 * as octets where values differ in size.
 */
export class TtlCache<V> {
  readonly #entries = new Map<string, { value: V; expiresAt: number; weight: number }>();
  readonly #capacity: number;
  #weight = 0;

  /** @param capacity the largest sum of weights. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get(key: string, now: number): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.expiresAt <= now) {
      this.delete(key);
      return undefined;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** An entry that is heavier than the whole cache is not kept. */
  set(key: string, value: V, expiresAt: number, weight = 1): void {
    this.delete(key);
    if (weight > this.#capacity) return;
    this.#entries.set(key, { value, expiresAt, weight });
    this.#weight += weight;
    while (this.#weight > this.#capacity) this.delete(this.#entries.keys().next().value!);
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#weight -= entry.weight;
  }

  get size(): number {
    return this.#entries.size;
  }
}
