/** Results of a batch for each of its events. */
import type { EventMessage, SendResult } from '../../destinations.ts';
import { errorName, isThrottle } from '../clients.ts';

interface Failure {
  code?: string;
  text?: string;
  /** Whether the same event would fail again. */
  permanent: boolean;
}

/** @param failureOf the failure of the event at an index; undefined: it was accepted. */
export function byResult(
  events: readonly EventMessage[],
  failureOf: (place: number) => Failure | undefined,
): SendResult[] {
  return events.map((_, place) => {
    const failure = failureOf(place);
    if (!failure) return { kind: 'taken' };
    const text = [failure.code, failure.text].filter(Boolean).join(': ');
    return { kind: failure.permanent ? 'refused' : 'retry', text };
  });
}

/**
 * Results of a call that failed as a whole. Every such failure may end, even one of authorisation or of a deleted
 * topic: an operator mends it, and events that waited for a day at most are sent then.
 */
export function failAll(events: readonly EventMessage[], error: unknown): SendResult[] {
  const text = `${errorName(error)}: ${(error as Error).message}`;
  return events.map(() => ({ kind: 'retry', text, ...(isThrottle(error) && { after: 1_000 }) }));
}
