/** Lengths of time and rates as they are written in rules. */

const MILLISECONDS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SECONDS: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600, d: 86_400 };

const SPAN = /^([0-9]{1,6})([smhd])$/;
const RATE = /^([0-9]{1,9})\/(s|min|h|d)$/;

/** Milliseconds of `90s`, `30m`, `2h`, `1d`; undefined when it is none of these, or nothing. */
export function readSpan(text: unknown): number | undefined {
  const parts = typeof text === 'string' ? SPAN.exec(text) : null;
  if (parts === null) return undefined;
  return Number(parts[1]) * MILLISECONDS[parts[2]!]! || undefined;
}

/** Events a second of `10/s`, `1/min`, `500/h`, `10000/d`; undefined when it is none of these, or nothing. */
export function readRate(text: unknown): number | undefined {
  const parts = typeof text === 'string' ? RATE.exec(text) : null;
  if (parts === null) return undefined;
  return Number(parts[1]) / SECONDS[parts[2]!]! || undefined;
}
