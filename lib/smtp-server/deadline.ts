/**
 * A deadline that moves with each message. Its timer is set anew only when the deadline comes nearer; when it fires
 * before a deadline that has moved away, it is set for the rest. So a message that arrives in time costs no timer.
 */
import type { Clock } from '../time.ts';

export class MovingDeadline {
  readonly #clock: Clock;
  readonly #passed: (text: string) => void;
  #at = Number.POSITIVE_INFINITY;
  #text = '';
  #fires = Number.POSITIVE_INFINITY;
  #cancel = (): void => undefined;

  /** @param passed called once for each deadline that passes, with its text. */
  constructor(clock: Clock, passed: (text: string) => void) {
    this.#clock = clock;
    this.#passed = passed;
  }

  /** Sets the deadline. @param time from now, ms. */
  set(time: number, text: string): void {
    const now = this.#clock.now();
    this.#at = now + time;
    this.#text = text;
    if (this.#at < this.#fires) this.#arm(now);
  }

  /** Removes the deadline, until another is set. */
  rest(): void {
    this.#at = Number.POSITIVE_INFINITY;
  }

  /** Removes the deadline and its timer. */
  end(): void {
    this.rest();
    this.#cancel();
  }

  #arm(now: number): void {
    this.#cancel();
    this.#fires = this.#at;
    this.#cancel = this.#clock.after(this.#at - now, () => this.#fire());
  }

  #fire(): void {
    this.#fires = Number.POSITIVE_INFINITY;
    if (this.#at === Number.POSITIVE_INFINITY) return;
    const now = this.#clock.now();
    if (now < this.#at) {
      this.#arm(now);
      return;
    }
    this.rest();
    this.#passed(this.#text);
  }
}
