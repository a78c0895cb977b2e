/** Repeatable random numbers: one seed gives one simulation. */
import type { Random } from '../../lib/time.ts';

/** Numbers in [0, 1) (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A number between two bounds. */
export function between(random: Random, low: number, high: number): number {
  return low + random() * (high - low);
}

/** A normally distributed number (Box and Muller 1958). */
function normal(random: Random, mean: number, deviation: number): number {
  return mean + deviation * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Number of `count` events of probability `share` that happen; beyond 50 by the normal approximation. */
export function binomial(random: Random, count: number, share: number): number {
  if (share <= 0 || count <= 0) return 0;
  if (share >= 1) return count;
  if (count <= 50) {
    let happened = 0;
    for (let n = 0; n < count; n += 1) if (random() < share) happened += 1;
    return happened;
  }
  const mean = count * share;
  if (mean < 20) return Math.min(count, poisson(random, mean));
  const drawn = Math.round(normal(random, mean, Math.sqrt(mean * (1 - share))));
  return Math.max(0, Math.min(count, drawn));
}

/** A Poisson-distributed number of small mean (Knuth). */
function poisson(random: Random, mean: number): number {
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = random(); product > limit; product *= random()) count += 1;
  return count;
}
