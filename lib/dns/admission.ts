/**
 * Bounds the questions under way. A name server reads datagrams from one socket buffer of some 200 KB: a burst of 500
 * questions overflows it, and each question lost there is asked again a second later. What a server has had for a
 * while it has read, however long it then takes to answer. So two bounds hold: one on the questions sent in the last
 * moments, and a wide one on all of them, for the sockets that they hold.
 */
import type { Clock } from '../time.ts';

/** Questions that are neither answered nor older than `READ_AFTER`. */
const MAX_UNREAD = 100;
/** A server has read a question by then, ms. */
const READ_AFTER = 50;
/** Questions under way, each with a socket. */
const MAX_OPEN = 500;

export class QueryAdmission {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #open = 0;
  #unread = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Waits for a place among the questions under way. @returns what gives the place back. */
  async enter(): Promise<() => void> {
    if (this.#free) this.#take();
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let unread = true;
    const read = (): void => {
      if (!unread) return;
      unread = false;
      this.#unread -= 1;
      this.#next();
    };
    const cancel = this.#clock.after(READ_AFTER, read);
    return () => {
      cancel();
      this.#open -= 1;
      read();
      this.#next();
    };
  }

  get #free(): boolean {
    return this.#open < MAX_OPEN && this.#unread < MAX_UNREAD;
  }

  #take(): void {
    this.#open += 1;
    this.#unread += 1;
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#free) {
      this.#take();
      this.#waiting.shift()!();
    }
  }
}
