/** What has been sent of some mail alone, and is under way: the count of one rule, at one IP and site. */
import type { Pacer } from './rate.ts';
import type { Waiter } from './shared-permits.ts';

/** A bound with room for a number of messages; a caller that finds it full is called back when there is room. */
export interface Parking {
  park(waiter: Waiter, who: object): void;
  leave(waiter: Waiter): void;
}

export class MailCounter implements Parking {
  readonly pacer: Pacer;
  running = 0;
  /** It was idle and is forgotten: a holder of it asks its limiter for the one that counts now. */
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

  /** One that was running has ended: first come, first called. */
  ended(): void {
    this.running -= 1;
    for (const waiter of this.#waiting) {
      this.#waiting.delete(waiter);
      // A caller that is woken may have to wait for something else; the last to end wakes all, so that none is left.
      if (waiter.wake() && this.running > 0) break;
    }
  }

  /** Whether nothing of the past or present bears on what comes. */
  idle(now: number): boolean {
    return this.running === 0 && this.#waiting.size === 0 && this.pacer.idle(now);
  }
}
