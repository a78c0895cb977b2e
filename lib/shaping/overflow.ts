/**
 * How much of the node's memory one destination may hold. Deliveries in hand share one room; a destination
 * that drains slowly must not fill it and so hide the others from view.
 *
 * The bound moves with what is free (dynamic threshold, Choudhury and Hahne 1998): one destination alone may
 * hold half of the room, n slow ones together leave 1/(n+1) of it free. A destination that drains what it
 * holds within `FAST` hides nobody for long and is not bounded; nor is one that is too new to be judged, for
 * what it then holds too much of is put back as soon as it can be. How fast it drains, `load-meter.ts` says.
 */
import type { Random } from '../time.ts';

const FAST = 5_000;
/** What any destination may hold, so that a full room does not stop those that have nothing yet. */
const LEAST = 8;
/** Longest time after which a destination that takes nothing is looked at again, ms. */
const LONGEST_SILENCE = 60_000;

/**
 * Whether a destination holds more than its share.
 * @param held deliveries it holds.
 * @param free deliveries for which there is still room.
 * @param rate what it drains, deliveries a second; undefined when not yet known.
 */
export function overShare(held: number, free: number, rate: () => number | undefined): boolean {
  if (held < LEAST || held < free) return false;
  const drained = rate();
  return drained !== undefined && held * 1000 > drained * FAST;
}

/**
 * When a delivery that found no room is to be looked at again: about when the destination will have drained
 * what it holds, from 1 s to 5 minutes. One that takes nothing is looked at when as long again has passed.
 * @param loaded how long mail has waited for it without a pause, ms.
 * @returns milliseconds.
 */
export function overflowDelay(held: number, rate: number, loaded: number, random: Random): number {
  const drain = rate > 0 ? (held / rate) * 1000 : Math.min(LONGEST_SILENCE, Math.max(FAST, loaded));
  return Math.min(300_000, Math.max(1_000, drain)) * (0.75 + 0.5 * random());
}
