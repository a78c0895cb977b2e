/**
 * Time and chance, handed in from outside (so that shaping, retries and expiry run in simulation and in
 * tests without sleeping). Nothing in `lib/` calls `Date.now`, `setTimeout` or `Math.random` directly.
 */

/** A source of time. All instants are milliseconds since the Unix epoch. */
export interface Clock {
  now(): number;
  /** Runs `task` once, no sooner than `delay` ms from now. The returned function cancels it. */
  after(delay: number, task: () => void): () => void;
}

/** A number in [0, 1), like `Math.random`. */
export type Random = () => number;

/** The machine's own clock. Timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delay, task) {
    const timer = setTimeout(task, Math.max(0, delay));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
