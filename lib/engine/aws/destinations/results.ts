/** What the answer of a batch means for each of its events. */
import type { EventMessage, SendResult } from '../../destinations.ts';
import { errorName, isThrottle } from '../clients.ts';

interface Failure {
  code?: string;
  text?: string;
  /** The same event would fail again. */
  permanent: boolean;
}

/** @param failureOf the failure of the event at a place; undefined: it was taken. */
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
 * The whole call failed. Every such failure may end, even one of authorisation or of a topic that is gone: an operator
 * mends it, and what waited for a day at most is sent then.
 */
export function failAll(events: readonly EventMessage[], error: unknown): SendResult[] {
  const text = `${errorName(error)}: ${(error as Error).message}`;
  return events.map(() => ({ kind: 'retry', text, ...(isThrottle(error) && { after: 1_000 }) }));
}
