/** The effect of an outcome on the state of its delivery. */
import type { Outcome } from './items.ts';
import type { DeliveryState } from './states.ts';

/** The state to which an outcome leads, or null when it changes none (a complaint, an acceptance). */
export function stateAfter(outcome: Outcome): DeliveryState | null {
  if (outcome.attempt) return outcome.attempt.state;
  if (outcome.kind === 'bounce') return 'bounced';
  // A message that could not be rendered is never sent.
  if (outcome.kind === 'cancelled' || outcome.kind === 'rendering-failure') return 'cancelled';
  return null;
}
