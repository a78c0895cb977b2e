/**
 * Lets other work of the process run between pieces of work that come in bulk: messages that are taken in, content that
 * peers pour in. A call of a thousand messages takes seconds of rendering and composing, and forty bodies that a pause
 * brought together tens of milliseconds; meanwhile health checks, other clients and the replies of peers would wait, and
 * what was answered is sent again when the process is killed before the reply is read. A socket that never runs dry is
 * read 32 times before the next one: 150 peers who sent nothing but dot-stuffed lines kept all others waiting for 10 s.
 *
 * ```
 *  a turn of the event loop:  all sockets that have something are read ─► a slice of this work ─► the next turn
 * ```
 */

/** What waits until the sockets of this turn of the event loop were read. */
let tasks: (() => void)[] = [];

function runTasks(): void {
  if (tasks.length === 0) return;
  const due = tasks;
  tasks = [];
  for (const task of due) task();
}

/**
 * Runs a task that must not throw when all sockets of this turn of the event loop were read, before any slice of work:
 * what is written, so that one wake of a peer serves several writes, and no reply that is there waits for it.
 */
export function afterInput(task: () => void): void {
  if (tasks.length === 0) setImmediate(runTasks);
  tasks.push(task);
}

/** Maximum duration of uninterrupted work, ms. */
const SLICE = 3;

/** Shared by all who bring such work: it is done in the order in which it came. */
export class Turns {
  readonly #now: () => number;
  readonly #waiting: (() => void)[] = [];
  /** When the slice under way began, or the first piece of this turn that did not wait. */
  #began: number | undefined;
  /** A slice is under way, or will be. */
  #sliced = false;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Resolves when the next piece may be worked on: never before the sockets of this turn of the event loop were read. A
   * message would otherwise be checked and composed in front of replies that are there already.
   */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#plan();
    });
  }

  /** As `next`, for pieces so small that it costs more to put them off; undefined when the next one is due now. */
  nextSmall(): Promise<void> | undefined {
    if (this.#waiting.length > 0) return this.next();
    if (this.#began === undefined) {
      this.#began = this.#now();
      setImmediate(this.#end);
      return undefined;
    }
    return this.#now() - this.#began < SLICE ? undefined : this.next();
  }

  readonly #end = (): void => {
    if (!this.#sliced) this.#began = undefined;
  };

  #plan(): void {
    if (this.#sliced) return;
    this.#sliced = true;
    setImmediate(this.#begin);
  }

  readonly #begin = (): void => {
    runTasks();
    this.#began = this.#now();
    this.#release();
  };

  /** Lets one go on, and the next one when that one's work is done, as far as it waits for nothing else. */
  readonly #release = (): void => {
    const isOver = this.#now() - this.#began! >= SLICE;
    if (isOver || this.#waiting.length === 0) {
      this.#sliced = false;
      this.#began = undefined;
      if (this.#waiting.length > 0) this.#plan();
      return;
    }
    this.#waiting.shift()!();
    // Ticks run before microtasks: a tick alone would come before the work.
    queueMicrotask(() => process.nextTick(this.#release));
  };
}
