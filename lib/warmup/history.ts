/**
 * The days of a warm-up that are over: what each provider was planned and sent, and what became of the plan for it.
 * Kept beside the state of an IP, written once a day, because the state itself is written every few seconds.
 */
import type { SignalCounts } from './verdict.ts';

/**
 * promoted: it counted, and the next day has the next budget. held: it counted, and its signals kept the IP where it
 * was. stepped-back: they took it back a step. quiet: too little was sent to count.
 */
export const DAY_VERDICTS = ['promoted', 'held', 'stepped-back', 'quiet'] as const;

/** A day of an IP at a provider. */
export interface WarmupDay {
  /** UTC day, days since the epoch. */
  day: number;
  /** Messages that it might send. */
  budget: number;
  /** Messages that it sent, at most: after a crash what may have been sent counts. */
  sent: number;
  counts: SignalCounts;
  verdict: (typeof DAY_VERDICTS)[number];
  /** Why it was held or stepped back, for a person. */
  cause?: string;
}

export type WarmupDays = Record<string, readonly WarmupDay[]>;

/** Days that are kept of each provider: 60, the longest schedule of the library. */
const KEPT = 60;
const VERSION = 1;

/** Name of the checkpoint that has the days of an IP. */
export function daysName(ip: string): string {
  return `warmup-days:${ip}`;
}

/** The days of a stored value; none in one that is absent, damaged or of a later version: they are for people alone. */
export function readDays(value: unknown): WarmupDays {
  const { v, days } = (value ?? {}) as { v?: number; days?: WarmupDays };
  return v === VERSION && typeof days === 'object' && days !== null ? days : {};
}

/** The value to store: what was there, and the days that ended. A day that is there already is replaced. */
export function withDays(value: unknown, ended: WarmupDays): { v: number; days: WarmupDays } {
  const days: Record<string, readonly WarmupDay[]> = { ...readDays(value) };
  for (const [provider, more] of Object.entries(ended)) {
    const all = new Map([...(days[provider] ?? []), ...more].map((one) => [one.day, one]));
    days[provider] = [...all.values()].sort((a, b) => a.day - b.day).slice(-KEPT);
  }
  return { v: VERSION, days };
}
