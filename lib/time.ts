/**
 * Clock and random source, injected so that shaping, retries and expiry run in simulation and in tests without
 * sleeping. Nothing in `lib/` calls `Date.now`, `setTimeout` or `Math.random` directly.
 */

/** Durations, ms. */
export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

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

/** Rate at which a correction of the wall clock is followed. */
const SLEW = 0.01;

/**
 * A clock for leases and deadlines, which a change of the wall clock must not affect. Its time never jumps and
 * advances while the process is stopped; when the wall clock is set, it follows by one hundredth of the elapsed time,
 * so that a lease of 12 s is always measured to 0.12 s.
 * @param wall since the epoch, ms. @param steady clock in ms that never goes back (CLOCK_MONOTONIC).
 */
export function createSteadyClock(
  wall: () => number = Date.now,
  steady: () => number = () => performance.now(),
): Clock {
  let last = steady();
  let offset = wall() - last;
  return {
    now() {
      const at = steady();
      const most = (at - last) * SLEW;
      offset += Math.max(-most, Math.min(most, wall() - at - offset));
      last = at;
      return Math.floor(at + offset);
    },
    after: systemClock.after,
  };
}
