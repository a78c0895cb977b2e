import type { Clock } from '../time.ts';

/**
 * One absolute deadline that moves often and is hardly ever reached. Moving it later costs no timer: the timer that
 * is already set fires, finds the deadline further away, and sets itself again.
 */
export class Watchdog {
  readonly #clock: Clock;
  readonly #expired: () => void;
  #deadline = Number.POSITIVE_INFINITY;
  #wakesAt = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, expired: () => void) {
    this.#clock = clock;
    this.#expired = expired;
  }

  /** Sets the deadline (since the epoch, ms), which replaces the last. */
  set(deadline: number): void {
    this.#deadline = deadline;
    if (deadline < this.#wakesAt) this.#sleep();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#deadline = Number.POSITIVE_INFINITY;
    this.#wakesAt = Number.POSITIVE_INFINITY;
  }

  #sleep(): void {
    this.#cancel?.();
    this.#wakesAt = this.#deadline;
    this.#cancel = this.#clock.after(this.#deadline - this.#clock.now(), () => {
      this.#cancel = undefined;
      this.#wakesAt = Number.POSITIVE_INFINITY;
      if (this.#clock.now() >= this.#deadline) this.#expired();
      else this.#sleep();
    });
  }
}
