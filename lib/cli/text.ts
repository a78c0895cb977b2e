/** Numbers, times and spans as the tables show them. Pure. */
import { styleText } from 'node:util';
import { DAY, HOUR } from '../time.ts';
import { cleaned } from './table.ts';

export type Style = Parameters<typeof styleText>[0];

/** A count in five characters at most: `999`, `12.3k`, `4.5M`. */
export function short(count: number | undefined): string {
  if (count === undefined) return '';
  if (count < 10_000) return String(Number.isInteger(count) ? count : Number(count.toPrecision(3)));
  const unit = count < 999_500 ? 'k' : count < 999_500_000 ? 'M' : 'G';
  const value = count / { k: 1e3, M: 1e6, G: 1e9 }[unit];
  return `${value < 99.95 ? value.toFixed(1) : Math.round(value)}${unit}`;
}

/** A span: `3s`, `12m`, `5h`, `2d`. @param ms negative: none. */
export function span(ms: number): string {
  if (ms < 1_000) return ms < 1 ? '0s' : `${Math.round(ms)}ms`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** How long ago, or in how long. */
export function away(time: string | undefined, now: number): string {
  if (time === undefined) return '';
  const ms = Date.parse(time) - now;
  return ms > 0 ? `in ${span(ms)}` : span(-ms);
}

/** A time in the reader's zone, to the second. */
export function clockTime(time: string | undefined): string {
  if (time === undefined) return '';
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return time;
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString();
  return `${local.slice(0, 10)} ${local.slice(11, 19)}`;
}

export function bytes(count: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  for (; value >= 1_024 && unit < units.length - 1; unit += 1) value /= 1_024;
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A list of words in a cell. */
export function joined(words: readonly string[] | undefined): string {
  return (words ?? []).map(cleaned).join(', ');
}

/** A span of the command line (`90s`, `15m`, `2h`, `7d`), ms. @returns undefined for what is none. */
export function spanGiven(text: string): number | undefined {
  const given = /^(\d{1,6})([smhd])$/.exec(text);
  if (given === null) return undefined;
  return Number(given[1]) * { s: 1_000, m: 60_000, h: HOUR, d: DAY }[given[2] as 's' | 'm' | 'h' | 'd'];
}

/**
 * A time of the command line as RFC 3339: a time, a day, or how long ago (`90s`, `15m`, `2h`, `7d`).
 * @returns undefined for what is none of these.
 */
export function timeGiven(text: string, now: number): string | undefined {
  const ago = spanGiven(text);
  if (ago !== undefined) return new Date(now - ago).toISOString();
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}

export function styled(style: Style, text: string): string {
  return styleText(style, text, { validateStream: false });
}
