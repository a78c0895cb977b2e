/** Simulated time: events run in the order of their times, as fast as the machine can. */
import { Heap } from '../../lib/heap.ts';
import type { Clock } from '../../lib/time.ts';

interface Event {
  at: number;
  /** Events of one time run in the order in which they were scheduled. */
  order: number;
  task: (() => void) | undefined;
}

export class SimulatedClock implements Clock {
  #now: number;
  #order = 0;
  readonly #events = new Heap<Event>(before);

  constructor(start: number) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(delay: number, task: () => void): () => void {
    const event: Event = { at: this.#now + Math.max(0, delay), order: (this.#order += 1), task };
    this.#events.push(event);
    return () => {
      event.task = undefined;
    };
  }

  /** Runs what falls due up to and including `end`. */
  runUntil(end: number): void {
    for (let next = this.#events.first; next !== undefined && next.at <= end; next = this.#events.first) {
      this.#events.pop();
      this.#now = next.at;
      next.task?.();
    }
    this.#now = end;
  }

  /** As `runUntil`, for tasks that go on after what they await: promises are run out before time moves. */
  async runAsync(end: number): Promise<void> {
    await turn();
    for (let next = this.#events.first; next !== undefined && next.at <= end; next = this.#events.first) {
      this.#now = next.at;
      for (; next !== undefined && next.at === this.#now; next = this.#events.first) {
        this.#events.pop();
        next.task?.();
      }
      await turn();
    }
    this.#now = end;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
