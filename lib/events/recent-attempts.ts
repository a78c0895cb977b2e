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

const KEPT = 100;
const TEXT_KEPT = 1_024;

export class RecentAttempts {
  #attempts: SendAttempt[];
  changed = false;

  constructor(stored: readonly SendAttempt[] = []) {
    this.#attempts = stored.slice(-KEPT);
  }

  add(attempt: SendAttempt): void {
    this.#attempts.push({ ...attempt, ...(attempt.text && { text: attempt.text.slice(0, TEXT_KEPT) }) });
    if (this.#attempts.length >= 2 * KEPT) this.#attempts = this.#attempts.slice(-KEPT);
    this.changed = true;
  }

  /** Newest last, 100 at most. */
  list(): SendAttempt[] {
    return this.#attempts.slice(-KEPT);
  }
}
