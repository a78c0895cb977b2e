/**
 * Why mail waits: one limit, or another cause above limits, in its current state. Explanations, metrics and the
 * reason of a message are three views of it, so that they cannot contradict each other. Each owner of limits yields
 * its own.
 *
 * The test on the way of a message is written separately, by hand (`messageWait`, `StreamLimiter.wait`); a property
 * test checks that the two agree: a message may begin when, and only when, no constraint waits.
 */
import type { LimitName } from './limits/limit.ts';

/** `learnt`: the site's capacity, learnt from its replies and faults. */
export type ConstraintWord =
  | Extract<LimitName, `${string}onnections` | `${string}Rate` | 'concurrency'>
  | `shared ${'rate' | 'quota' | 'concurrency'}`
  | 'back-off'
  | 'directive'
  | 'learnt'
  | 'source IP'
  | 'tenant share'
  | 'unproven sites'
  | 'warm-up';

export interface Constraint {
  /** Name in an explanation: `messageRate`, `concurrency of tenant=acme`, `shared acme`. */
  readonly limit: string;
  /** Name in metrics, without the tenant or campaign. */
  readonly word: ConstraintWord;
  /** Value in the notation of documents. */
  readonly value: string;
  /** The rule that set it; `learnt` when the site's replies did. */
  readonly origin: string;
  /** How far it is used: `7 of 10 open`. */
  readonly used?: string;
  /** How long no further message may go, ms; 0 when it does not bind. */
  readonly wait: number;
  /** Reason of a delivery that waits for it: a code of `lib/outcome/reasons.ts`, and a sentence. */
  readonly code: string;
  readonly text: string;
}

/** Interval after which a limit without a known end, as of messages under way, is checked again, ms. */
export const LOOK_AGAIN = 1_000;

/** The first waiting constraint: owners yield the one that names the cause best first. */
export function firstWaiting(constraints: Iterable<Constraint>): Constraint | undefined {
  for (const constraint of constraints) if (constraint.wait > 0) return constraint;
  return undefined;
}

/** Wait until all constraints let a message go, ms. */
export function longestWait(constraints: Iterable<Constraint>): number {
  let longest = 0;
  for (const { wait } of constraints) if (wait > longest) longest = wait;
  return longest;
}
