/** Durations in rules and other documents. */
import { DAY, HOUR } from './time.ts';

const MILLISECONDS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: HOUR, d: DAY };
const SPAN = /^([0-9]{1,6})([smhd])$/;

/** Parses `90s`, `30m`, `2h`, `1d` to ms; undefined for any other value, and for zero. */
export function readSpan(text: unknown): number | undefined {
  const parts = typeof text === 'string' ? SPAN.exec(text) : null;
  if (parts === null) return undefined;
  return Number(parts[1]) * MILLISECONDS[parts[2]!]! || undefined;
}
