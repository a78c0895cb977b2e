/** Time that passes only when a simulation lets it, for any number of nodes with clocks of their own. */
import type { Clock } from '../../lib/time.ts';

interface Task {
  at: number;
  n: number;
  run: () => void;
}

export class VirtualTime {
  now = 0;
  readonly #heap: Task[] = [];
  #count = 0;
  #answered = false;

  /** Runs a task after a delay; tasks of one instant in their order. */
  after(delay: number, run: () => void): void {
    const task = { at: this.now + Math.max(0, delay), n: (this.#count += 1), run };
    const heap = this.#heap;
    let i = heap.push(task) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(task, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = task;
  }

  /** A promise was settled: what awaits it runs before the next task. */
  answered(): void {
    this.#answered = true;
  }

  /** Lets time pass, with all that happens in it. */
  async run(ms: number): Promise<void> {
    const end = this.now + ms;
    for (let next = this.#heap[0]; next !== undefined && next.at <= end; next = this.#heap[0]) {
      this.#pop();
      this.now = next.at;
      next.run();
      if (!this.#answered) continue;
      // All that follows from an answer at once, before time goes on.
      this.#answered = false;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    this.now = end;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (before(last, heap[child]!)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Task, b: Task): boolean {
  return a.at < b.at || (a.at === b.at && a.n < b.n);
}

/** A process in virtual time: it may be stopped and continued, and killed; its clock is its own. */
export class VirtualProcess {
  readonly time: VirtualTime;
  /** What its clock shows, less the true time, ms. */
  readonly skew: number;
  alive = true;
  #stoppedUntil = 0;

  constructor(time: VirtualTime, skew = 0) {
    this.time = time;
    this.skew = skew;
  }

  readonly clock: Clock = {
    now: () => this.now,
    after: (delay, task) => {
      let cancelled = false;
      this.time.after(delay, () => {
        if (!cancelled) this.run(task);
      });
      return () => (cancelled = true);
    },
  };

  get now(): number {
    return Math.floor(this.time.now + this.skew);
  }

  get stopped(): boolean {
    return this.time.now < this.#stoppedUntil;
  }

  /** It stands still, while time passes. */
  stop(ms: number): void {
    this.#stoppedUntil = this.time.now + ms;
  }

  /** Runs a task in it: when it is continued, or never. */
  run(task: () => void): void {
    if (!this.alive) return;
    if (this.stopped)
      this.time.after(Math.ceil(this.#stoppedUntil - this.time.now) + 1, () => this.run(task));
    else task();
  }
}
