import type { Clock } from './time.ts';

/** Counts by key within fixed windows. The map starts empty with each window, so that it cannot grow without end. */
export class WindowCounter {
  readonly #window: number;
  readonly #clock: Clock;
  readonly #counts = new Map<string, number>();
  #end = 0;

  constructor(window: number, clock: Clock) {
    this.#window = window;
    this.#clock = clock;
  }

  /** The count of the window under way. */
  of(key: string): number {
    return this.#clock.now() < this.#end ? (this.#counts.get(key) ?? 0) : 0;
  }

  /** @returns the count with this one. */
  add(key: string): number {
    const now = this.#clock.now();
    if (now >= this.#end) {
      this.#counts.clear();
      this.#end = now + this.#window;
    }
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return count;
  }
}
