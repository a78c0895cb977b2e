/** Times and rates as KumoMTA writes them. */
import { DAY, HOUR, MINUTE, SECOND } from '../../time.ts';

const UNITS: readonly (readonly [RegExp, number])[] = [
  [/^(s|secs?|seconds?)$/i, SECOND],
  [/^(m|mins?|minutes?)$/i, MINUTE],
  [/^(h|hrs?|hours?)$/i, HOUR],
  [/^(d|days?)$/i, DAY],
  [/^(w|weeks?)$/i, 7 * DAY],
  [/^(ms|msecs?|milliseconds?)$/i, 1],
];

function unitOf(text: string): number | undefined {
  return UNITS.find(([form]) => form.test(text))?.[1];
}

/** `5 minutes`, `1h 30m`, 300 (seconds); ms. */
export function durationOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value * SECOND;
  if (typeof value !== 'string' || !/^(\s*\d{1,9}(\.\d+)?\s*[a-z]+)+\s*$/i.test(value)) return undefined;
  let sum = 0;
  for (const [, count, unit] of value.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/gi)) {
    const size = unitOf(unit!);
    if (size === undefined) return undefined;
    sum += Number(count) * size;
  }
  return sum;
}

/** `100/min`, `local:1_000/h,max_burst=10`. */
export function throttleOf(
  value: unknown,
): { count: number; per: number; local: boolean; burst: boolean } | undefined {
  if (typeof value !== 'string') return undefined;
  const parts =
    /^(local:)?\s*([\d_,]{1,15}?)\s*\/\s*(\d{0,6})\s*([a-z]+)(\s*,\s*max_burst\s*=\s*\d+)?$/i.exec(
      value.trim(),
    );
  const unit = parts === null ? undefined : unitOf(parts[4]!);
  const count = Number(parts?.[2]?.replace(/[_,]/g, ''));
  if (unit === undefined || !(count > 0)) return undefined;
  return {
    count,
    per: Number(parts![3] || '1') * unit,
    local: parts![1] !== undefined,
    burst: parts![5] !== undefined,
  };
}

/** `10`, `"local:10"`. */
export function limitOf(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isInteger(value) ? value : undefined;
  const parts = typeof value === 'string' ? /^(?:local:)?(\d{1,9})$/.exec(value) : null;
  return parts ? Number(parts[1]) : undefined;
}
