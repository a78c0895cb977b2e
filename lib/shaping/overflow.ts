/**
 * Limits how much of the node's memory one destination may hold. Deliveries in memory share one room; a destination
 * that drains slowly must not fill it and so hide the others.
 *
 * The bound moves with the free room (dynamic threshold, Choudhury and Hahne 1998): one destination alone may hold
 * half of the room, n slow ones together leave 1/(n+1) of it free. A destination that drains its deliveries within
 * `FAST` hides others only briefly and is not bounded; nor is one that is too new to be judged, because its excess is
 * put back as soon as possible. `load-meter.ts` measures how fast it drains.
 */
import type { Random } from '../time.ts';

const FAST = 5_000;
/** Minimum for any destination, so that a full room does not stop those that have nothing yet. */
const LEAST = 8;
/** Maximum time after which a destination that accepts nothing is checked again, ms. */
const LONGEST_SILENCE = 60_000;

/**
 * Whether a destination holds more than its share.
 * @param held deliveries that it holds.
 * @param free deliveries for which there is still room.
 * @param rate its drain rate, deliveries a second; undefined when not yet known.
 */
export function overShare(held: number, free: number, rate: () => number | undefined): boolean {
  if (held < LEAST || held < free) return false;
  const drained = rate();
  return drained !== undefined && held * 1000 > drained * FAST;
}

/**
 * When to retry a delivery that found no room: about when the destination will have drained its deliveries, from 1 s
 * to 5 minutes, ms. For one that accepts nothing the delay equals the time it has been loaded.
 * @param loaded how long mail has waited for it without a pause, ms.
 */
export function overflowDelay(held: number, rate: number, loaded: number, random: Random): number {
  const drain = rate > 0 ? (held / rate) * 1000 : Math.min(LONGEST_SILENCE, Math.max(FAST, loaded));
  return Math.min(300_000, Math.max(1_000, drain)) * (0.75 + 0.5 * random());
}
