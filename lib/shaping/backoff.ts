/** How long an unreachable destination is left alone. */
import type { Random } from '../time.ts';

const FIRST = 15_000;
const LONGEST = 30 * 60_000;

/**
 * Delay before the next connection after `failures` failures in a row: 15 s times their square, at most 30 minutes,
 * spread by ±10 % so that hosts that failed together are not all tried together, ms.
 */
export function backoffDelay(failures: number, random: Random): number {
  return Math.min(LONGEST, FIRST * failures * failures) * (0.9 + 0.2 * random());
}
