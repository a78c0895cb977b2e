/** The outcome feed: an append-only table whose rows also hold the states of deliveries. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type DeliveryState, isLegalTransition } from '../../states.ts';
import type { OutcomeTuple } from '../protocol.ts';

export class OutcomeTable {
  #next: number;
  readonly #highest: StatementSync;
  readonly #insert: StatementSync;
  readonly #ofMessage: StatementSync;
  readonly #countOf: StatementSync;
  readonly #lastState: StatementSync;
  readonly #inLedger: StatementSync;
  readonly #after: StatementSync;
  readonly #delete: StatementSync;
  readonly #saveNext: StatementSync;

  constructor(db: DatabaseSync) {
    this.#highest = db.prepare(`
      SELECT max(coalesce((SELECT max(seq) + 1 FROM outcomes), 1),
                 coalesce((SELECT value FROM meta WHERE name = 'next_outcome'), 1)) AS next`);
    this.#insert = db.prepare('INSERT INTO outcomes (seq, message, n, state, json) VALUES (?, ?, ?, ?, ?)');
    this.#ofMessage = db.prepare('SELECT n, state, json FROM outcomes WHERE message = ? ORDER BY seq');
    this.#countOf = db.prepare(
      'SELECT count(*) AS count FROM (SELECT 1 FROM outcomes WHERE message = ? LIMIT ?)',
    );
    this.#lastState = db.prepare(`
      SELECT state FROM outcomes WHERE message = ? AND n IN (?, -1) AND state IS NOT NULL
      ORDER BY seq DESC LIMIT 1`);
    this.#inLedger = db.prepare('SELECT 1 FROM ledger WHERE message = ? AND n = ?');
    this.#after = db.prepare('SELECT seq, json FROM outcomes WHERE seq > ? ORDER BY seq LIMIT ?');
    this.#delete = db.prepare('DELETE FROM outcomes WHERE message = ?');
    this.#saveNext = db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('next_outcome', ?)");
    this.#next = (this.#highest.get() as { next: number }).next;
  }

  append(message: number | null, n: number, state: DeliveryState | null, json: string): void {
    this.#insert.run(this.#next++, message, n, state, json);
  }

  /**
   * Appends a later report. It is a fact and goes to the feed in any case; the state changes only where the
   * table of transitions allows it (a bounce after a bounce, or of a delivery still queued, changes nothing).
   */
  report(message: number, n: number, state: DeliveryState | null, json: string): void {
    const current = state === null ? undefined : this.state(message, n);
    this.append(message, n, current && state && isLegalTransition(current, state) ? state : null, json);
  }

  /** State of a delivery of a message that exists. A lease is not known here: it counts as queued. */
  state(message: number, n: number): DeliveryState {
    const last = this.#lastState.get(message, n)?.state as DeliveryState | undefined;
    if (last !== undefined && last !== 'deferred') return last;
    return this.#inLedger.get(message, n) ? 'deferred' : 'queued';
  }

  ofMessage(message: number): OutcomeTuple[] {
    return this.#ofMessage.all(message).map((row) => [row.n, row.state, row.json] as OutcomeTuple);
  }

  /** How many outcomes a message has, as far as `limit`. */
  count(message: number, limit: number): number {
    return (this.#countOf.get(message, limit) as { count: number }).count;
  }

  feed(after: number, max: number): { cursor: number; outcomes: string[]; places: number[] } {
    const rows = this.#after.all(after, max) as { seq: number; json: string }[];
    return {
      cursor: rows.at(-1)?.seq ?? after,
      outcomes: rows.map((row) => row.json),
      places: rows.map((row) => row.seq),
    };
  }

  /** The place of the newest outcome, which may be gone; 0 before the first. */
  get end(): number {
    return this.#next - 1;
  }

  /** Deletes the outcomes of a message. A cursor that was given out must never come back for another row. */
  remove(message: number): void {
    this.#delete.run(message);
  }

  saveNext(): void {
    this.#saveNext.run(this.#next);
  }
}
