/** Counts one rule's mail, sent and under way, at one IP and site. */
import type { Pacer } from './rate.ts';
import type { Waiter } from './shared-permits.ts';

/** A bound on a number of messages; a caller that finds it full is called back when there is room. */
export interface Parking {
  park(waiter: Waiter, who: object): void;
  leave(waiter: Waiter): void;
}

export class MailCounter implements Parking {
  readonly pacer: Pacer;
  running = 0;
  /** Set when it was idle and was dropped: its holder requests the current one from the limiter. */
  dropped = false;
  readonly #waiting = new Set<Waiter>();

  constructor(pacer: Pacer) {
    this.pacer = pacer;
  }

  park(waiter: Waiter): void {
    this.#waiting.add(waiter);
  }

  leave(waiter: Waiter): void {
    this.#waiting.delete(waiter);
  }

  /** Counts an ended message and wakes the longest waiter. */
  ended(): void {
    this.running -= 1;
    for (const waiter of this.#waiting) {
      this.#waiting.delete(waiter);
      // A waiter that is woken may have to wait for something else; the last message to end wakes all, so that none
      // is left.
      if (waiter.wake() && this.running > 0) break;
    }
  }

  /** Whether past or present messages no longer affect the next one. */
  idle(now: number): boolean {
    return this.running === 0 && this.#waiting.size === 0 && this.pacer.idle(now);
  }
}
