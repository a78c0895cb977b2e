/** The last tries at one destination, for the person who has to mend it. */

export interface SendAttempt {
  /** ms since the epoch. */
  at: number;
  eventId: string;
  eventType: string;
  messageId: string;
  result: 'taken' | 'retry' | 'refused' | 'gone';
  /** What the destination answered, or the fault; of a success nothing. */
  text?: string;
}

export const KEPT_ATTEMPTS = 100;
const TEXT_KEPT = 1_024;

export class RecentAttempts {
  #attempts: SendAttempt[];
  changed = false;

  constructor(stored: readonly SendAttempt[] = []) {
    this.#attempts = stored.slice(-KEPT_ATTEMPTS);
  }

  add(attempt: SendAttempt): void {
    this.#attempts.push(shortened(attempt));
    if (this.#attempts.length >= 2 * KEPT_ATTEMPTS) this.#attempts = this.#attempts.slice(-KEPT_ATTEMPTS);
    this.changed = true;
  }

  /** Newest last, 100 at most. */
  list(): SendAttempt[] {
    return this.#attempts.slice(-KEPT_ATTEMPTS);
  }
}

/** A try with a text that fits its store. */
export function shortened(attempt: SendAttempt): SendAttempt {
  return { ...attempt, ...(attempt.text && { text: attempt.text.slice(0, TEXT_KEPT) }) };
}
