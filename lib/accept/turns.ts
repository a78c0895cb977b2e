/**
 * Lets other work of the process run between the messages of a call. A call of a thousand messages takes seconds of
 * rendering and composing; without a pause, health checks and other clients wait for all of it.
 */

/** Maximum duration of uninterrupted work, ns: 5 ms. */
const SLICE = 5_000_000;
/** Cost of one message, one octet of it and one step of its template, measured (bench/compose.ts), ns. */
const MESSAGE = 50_000;
const OCTET = 10;
const STEP = 20;

/**
 * Shared by all calls of a process: the slices of several calls follow each other, one in each turn of the event
 * loop.
 */
export class Turns {
  #spent = 0;
  readonly #waiting: (() => void)[] = [];

  /** Counts the cost of a composed message. */
  spend(octets: number, steps: number): void {
    this.#spent += MESSAGE + OCTET * octets + STEP * steps;
  }

  /** Resolves when the next message may be composed; undefined when that is now. */
  next(): Promise<void> | undefined {
    if (this.#spent < SLICE && this.#waiting.length === 0) return undefined;
    return new Promise((resolve) => {
      if (this.#waiting.push(resolve) === 1) setImmediate(this.#release);
    });
  }

  readonly #release = (): void => {
    this.#spent = 0;
    this.#waiting.shift()!();
    if (this.#waiting.length > 0) setImmediate(this.#release);
  };
}
