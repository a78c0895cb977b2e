/**
 * Lets other work of the process in between the messages of a call. A call of a thousand messages is seconds of
 * rendering and composing; without a pause, health checks and other clients wait for all of it.
 */

/** Work that is done at one go, in nanoseconds: 5 ms. */
const SLICE = 5_000_000;
/** What one message, one octet of it and one step of its template take, measured (bench/compose.ts). */
const MESSAGE = 50_000;
const OCTET = 10;
const STEP = 20;

/** Shared by all calls of a process: the slices of several calls follow each other, one in each turn of the event loop. */
export class Turns {
  #spent = 0;
  readonly #waiting: (() => void)[] = [];

  /** Counts a message that was made. */
  spend(octets: number, steps: number): void {
    this.#spent += MESSAGE + OCTET * octets + STEP * steps;
  }

  /** Resolves when the next message may be made; undefined when it may be made at once. */
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
