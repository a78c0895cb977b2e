/** Lengths of time and rates, written as Postern's documents write them. */
import type { RateText, Span } from '../automation/rule.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../time.ts';

/** `90s`, `30m`, `4d`: whole seconds, at least one. @param ms length, ms. */
export function spanOf(ms: number): Span {
  const seconds = Math.max(1, Math.round(ms / SECOND));
  for (const [unit, size] of [
    ['d', DAY / SECOND],
    ['h', HOUR / SECOND],
    ['m', MINUTE / SECOND],
  ] as const) {
    if (seconds % size === 0) return `${seconds / size}${unit}`;
  }
  return seconds < 1_000_000 ? `${seconds}s` : `${Math.floor(seconds / 3600)}h`;
}

/** The nearest length within bounds, all in ms. */
export function clamped(ms: number, min: number, max: number): { ms: number; moved: boolean } {
  const within = Math.min(max, Math.max(min, ms));
  return { ms: within, moved: within !== ms };
}

const PERIODS = [
  ['s', SECOND],
  ['min', MINUTE],
  ['h', HOUR],
  ['d', DAY],
] as const;

/**
 * A rate of `count` in `per` ms in the shortest period in which it is a whole number; a rate of less than one a day is
 * one a day. `exact` is false when it had to be made slower, or was less than one a day.
 */
export function rateOf(count: number, per: number): { text: RateText; exact: boolean } {
  for (const [unit, size] of PERIODS) {
    const events = (count * size) / per;
    if (events >= 1 && Number.isInteger(events))
      return { text: `${Math.min(events, 999_999_999)}/${unit}`, exact: true };
  }
  for (const [unit, size] of PERIODS) {
    const events = Math.floor((count * size) / per);
    // At least 100 events: rounded down, it is slower by one in a hundred at most.
    if (events >= 100 || (unit === 'd' && events >= 1)) return { text: `${events}/${unit}`, exact: false };
  }
  return { text: '1/d', exact: false };
}
