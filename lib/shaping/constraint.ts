/**
 * Why mail waits: one limit, or what is over limits, as it stands now. Explanations, figures and the reason of a
 * message are three views of it, so that they cannot contradict each other. Each owner of limits yields its own.
 *
 * The test on the way of a message is written apart from it, by hand (`messageWait`, `StreamLimiter.wait`); a property
 * test holds the two equal: a message may begin when, and only when, no constraint waits.
 */
import type { LimitName } from './limits/limit.ts';

/** `learnt`: what the site bears, as its replies and faults have shown. */
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
  /** As an explanation names it: `messageRate`, `concurrency of tenant=acme`, `shared acme`. */
  readonly limit: string;
  /** As figures name it: never whose mail it is about. */
  readonly word: ConstraintWord;
  /** As one would write it. */
  readonly value: string;
  /** The rule that set it; `learnt` for what the replies of the site say. */
  readonly origin: string;
  /** How far it is used: `7 of 10 open`. */
  readonly used?: string;
  /** How long it lets no further message go, ms; 0 when it does not stand in the way. */
  readonly wait: number;
  /** Reason of a delivery that waits for it: a code of `lib/outcome/reasons.ts`, and a sentence. */
  readonly code: string;
  readonly text: string;
}

/** When a message or a connection will end is not known; a limit of these is looked at again after this time, ms. */
export const LOOK_AGAIN = 1_000;

/** The first constraint that lets nothing go: what the owners yield first names the cause best. */
export function firstWaiting(constraints: Iterable<Constraint>): Constraint | undefined {
  for (const constraint of constraints) if (constraint.wait > 0) return constraint;
  return undefined;
}

/** How long until all constraints let a message go, ms. */
export function longestWait(constraints: Iterable<Constraint>): number {
  let longest = 0;
  for (const { wait } of constraints) if (wait > longest) longest = wait;
  return longest;
}
