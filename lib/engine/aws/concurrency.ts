/** Waits before repeats, and runs many tasks a few at a time. */
import type { Clock, Random } from '../../time.ts';

export interface Pacing {
  clock: Clock;
  random: Random;
}

const FIRST = 50;
const LONGEST = 2_000;

/**
 * Waits before try `tries` + 1: half of a length that doubles from 50 ms, the rest random, so that many do not come
 * back at once.
 */
export function pause({ clock, random }: Pacing, tries: number): Promise<void> {
  const most = Math.min(LONGEST, FIRST * 2 ** tries);
  return new Promise((resolve) => void clock.after(most * (0.5 + random() / 2), resolve));
}

/** Parts of at most `size`. */
export function chunks<T>(list: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < list.length; at += size) parts.push(list.slice(at, at + size));
  return parts;
}

/**
 * Runs a task for each element, at most `width` at a time.
 * @throws the first error, after all started tasks have ended: none continues behind the caller's back.
 */
export async function each<T>(
  list: readonly T[],
  width: number,
  work: (one: T) => Promise<unknown>,
): Promise<void> {
  let at = 0;
  const errors: unknown[] = [];
  const run = async (): Promise<void> => {
    while (at < list.length && errors.length === 0) {
      try {
        await work(list[at++]!);
      } catch (error) {
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, list.length) }, run));
  if (errors.length > 0) throw errors[0];
}

/** The answer, or undefined when the signal comes first. */
export function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(undefined);
    signal.addEventListener('abort', stop, { once: true });
    const over = (): void => signal.removeEventListener('abort', stop);
    answer.then(resolve, reject).finally(over);
    if (signal.aborted) stop();
  });
}
