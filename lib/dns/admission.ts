/**
 * Bounds the queries under way. A name server reads datagrams from one socket buffer of about 200 KB: a burst of 500
 * queries overflows it, and each lost query is repeated a second later. A server has read the queries of the moments
 * before, however long its answers take. So there are two bounds: one on the most recent queries, and a wide one on
 * all of them, for their sockets.
 */
import type { Clock } from '../time.ts';

/** Maximum number of unanswered queries younger than `READ_AFTER`. */
const MAX_UNREAD = 100;
/** Time within which a server has read a query, ms. */
const READ_AFTER = 50;
/** Maximum number of queries under way, each with a socket. */
const MAX_OPEN = 500;

export class QueryAdmission {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #open = 0;
  #unread = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Waits for a place among the queries under way. @returns a function that releases it. */
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
