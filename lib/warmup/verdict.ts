/**
 * Judges a day for the next: whether it counts at all, and whether its bounces, complaints, deferrals and blocks let
 * the IP go up, keep it where it is, or take it back a step.
 */
import { optional, readNumber, readObject, refuse } from '../document.ts';

/** Results of a message that matter to warm-up. */
export const SIGNALS = ['delivered', 'bounced', 'complained', 'deferred', 'blocked'] as const;
export type Signal = (typeof SIGNALS)[number];

/** Messages of one day by signal. */
export type SignalCounts = Record<Signal, number>;

export function noCounts(): SignalCounts {
  return { delivered: 0, bounced: 0, complained: 0, deferred: 0, blocked: 0 };
}

/** Limits at which a signal holds an IP back. Shares from 0 to 1. */
export interface Threshold {
  /** Share from which the IP stays at its step. */
  readonly hold: number;
  /** Share from which it goes back a step, at once. */
  readonly stepBack: number;
  /** Minimum number of events: one bounce of fifty is 2 % and chance. */
  readonly atLeast: number;
}

export interface Thresholds {
  /** Addresses that do not exist, of all final replies. */
  readonly bounced: Threshold;
  /** Complaints, of all delivered messages. */
  readonly complained: Threshold;
  /** Deferrals for rate or reputation, of all attempts. */
  readonly deferred: Threshold;
  /** Refusals for the IP's reputation or a block list, of all attempts. */
  readonly blocked: Threshold;
  /** Share of its budget that a day must have sent to count: a tenth of it is no evidence about all of it. */
  readonly traffic: number;
}

/**
 * Bounces: SES reviews a sender at 5 % and pauses it at 10 % ("Enforcement FAQs"); holding an IP without a history
 * from 2 % on is our choice.
 * Complaints: SES reviews at 0.1 %; Google requires less than 0.1 % and never 0.3 % ("Email sender guidelines").
 * Deferrals and blocks: the providers publish no figure (SES: "send less email if you receive a high number of IP
 * blocking or throttling responses"); these, and `traffic`, are our choice.
 */
export const THRESHOLDS: Thresholds = {
  bounced: { hold: 0.02, stepBack: 0.05, atLeast: 3 },
  complained: { hold: 0.001, stepBack: 0.003, atLeast: 2 },
  deferred: { hold: 0.1, stepBack: 0.2, atLeast: 5 },
  blocked: { hold: 0.01, stepBack: 0.05, atLeast: 2 },
  traffic: 0.1,
};

const JUDGED = ['bounced', 'complained', 'deferred', 'blocked'] as const;

/** Parses thresholds; omitted members have the defaults. @throws PosternError */
export function readThresholds(value: unknown, path: string): Thresholds {
  const given = readObject(value, path, [...JUDGED, 'traffic']);
  const read = (signal: (typeof JUDGED)[number]): Threshold =>
    optional(given[signal], `${path}.${signal}`, THRESHOLDS[signal], (member, at) =>
      readThreshold(member, at, THRESHOLDS[signal]),
    );
  return {
    bounced: read('bounced'),
    complained: read('complained'),
    deferred: read('deferred'),
    blocked: read('blocked'),
    traffic: optional(given.traffic, `${path}.traffic`, THRESHOLDS.traffic, (share, at) =>
      readNumber(share, at, { min: 0, max: 1 }),
    ),
  };
}

function readThreshold(value: unknown, path: string, fallback: Threshold): Threshold {
  const given = readObject(value, path, ['hold', 'stepBack', 'atLeast']);
  const share = (member: unknown, at: string): number => readNumber(member, at, { min: 0, max: 1 });
  const hold = optional(given.hold, `${path}.hold`, fallback.hold, share);
  const stepBack = optional(given.stepBack, `${path}.stepBack`, fallback.stepBack, share);
  if (stepBack < hold) refuse(`${path}.stepBack`, `${stepBack} is less than hold, ${hold}.`);
  const atLeast = optional(given.atLeast, `${path}.atLeast`, fallback.atLeast, (count, at) =>
    readNumber(count, at, { min: 1, max: 1_000_000, integer: true }),
  );
  return { hold, stepBack, atLeast };
}

export interface WarmupVerdict {
  kind: 'promote' | 'hold' | 'step-back';
  /** Why the IP is not promoted, for a person: `6.1 % blocked`. */
  cause?: string;
}

const PROMOTE: WarmupVerdict = { kind: 'promote' };

/**
 * Judges the signals of a day that is complete or still running.
 * @param deliveredBefore messages delivered on the last day with traffic: complaints come hours later, and are
 * compared with the larger of the two days.
 */
export function judge(counts: SignalCounts, deliveredBefore: number, thresholds: Thresholds): WarmupVerdict {
  const attempts = counts.delivered + counts.bounced + counts.deferred + counts.blocked;
  const of: Record<(typeof JUDGED)[number], number> = {
    bounced: counts.delivered + counts.bounced,
    complained: Math.max(counts.delivered, deliveredBefore),
    deferred: attempts,
    blocked: attempts,
  };
  let held: WarmupVerdict = PROMOTE;
  for (const signal of JUDGED) {
    const count = counts[signal];
    const { hold, stepBack, atLeast } = thresholds[signal];
    if (count < atLeast) continue;
    const share = count / Math.max(1, of[signal]);
    if (share >= stepBack) return { kind: 'step-back', cause: causeOf(signal, share) };
    if (share >= hold && held === PROMOTE) held = { kind: 'hold', cause: causeOf(signal, share) };
  }
  return held;
}

function causeOf(signal: Signal, share: number): string {
  return `${(share * 100).toFixed(share < 0.01 ? 2 : 1)} % ${signal}`;
}
