/** Simulated time: events in the order of their instants, as fast as they can be worked off. */
import type { Clock } from '../../lib/time.ts';

interface Event {
  at: number;
  /** Of events of one instant, the one that was ordered first comes first. */
  order: number;
  task: (() => void) | undefined;
}

export class SimulatedClock implements Clock {
  #now: number;
  #order = 0;
  readonly #heap: Event[] = [];

  constructor(start: number) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(delay: number, task: () => void): () => void {
    const event: Event = { at: this.#now + Math.max(0, delay), order: (this.#order += 1), task };
    this.#push(event);
    return () => {
      event.task = undefined;
    };
  }

  /** Runs what falls due up to and including `end`. */
  runUntil(end: number): void {
    while (this.#heap.length > 0 && this.#heap[0]!.at <= end) {
      const { at, task } = this.#pop();
      this.#now = at;
      task?.();
    }
    this.#now = end;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let place = heap.push(event) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (!before(event, heap[above]!)) break;
      heap[place] = heap[above]!;
      place = above;
    }
    heap[place] = event;
  }

  #pop(): Event {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let place = 0;
    for (;;) {
      let least = place * 2 + 1;
      if (least >= heap.length) break;
      if (least + 1 < heap.length && before(heap[least + 1]!, heap[least]!)) least += 1;
      if (!before(heap[least]!, last)) break;
      heap[place] = heap[least]!;
      place = least;
    }
    heap[place] = last;
    return first;
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
