/**
 * Lets other work of the process run between pieces of work that come in bulk: messages that are taken in, content that
 * peers pour in. A call of a thousand messages takes seconds of rendering and composing, and forty bodies that a pause
 * brought together tens of milliseconds; meanwhile health checks, other clients and the replies of peers would wait, and
 * what was answered is sent again when the process is killed before the reply is read. A socket that never runs dry is
 * read 32 times before the next one: 150 peers who sent nothing but dot-stuffed lines kept all others waiting for 10 s.
 */

/** Maximum duration of uninterrupted work, ms. */
const SLICE = 3;

/** Shared by all who bring such work: what is left over follows in later turns of the event loop, in its order. */
export class Turns {
  readonly #now: () => number;
  readonly #waiting: (() => void)[] = [];
  /** When work began in this turn of the event loop, if it did. */
  #began: number | undefined;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** Resolves when the next piece may be worked on; undefined when that is now. */
  next(): Promise<void> | undefined {
    if (this.#began === undefined) {
      this.#began = this.#now();
      setImmediate(this.#turn);
      return undefined;
    }
    if (this.#waiting.length === 0 && this.#now() - this.#began < SLICE) return undefined;
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  readonly #turn = (): void => {
    this.#began = undefined;
    if (this.#waiting.length === 0) return;
    this.#began = this.#now();
    setImmediate(this.#turn);
    this.#release();
  };

  /** Lets one go on, and the next one when that one's work is done, as far as it waits for nothing else. */
  readonly #release = (): void => {
    if (this.#now() - this.#began! >= SLICE) return;
    this.#waiting.shift()!();
    // Ticks run before microtasks: a tick alone would come before the work.
    if (this.#waiting.length > 0) queueMicrotask(() => process.nextTick(this.#release));
  };
}
