/** The part of the state checker that follows each delivery through its outcomes. */
import type { DatabaseSync } from 'node:sqlite';
import { SCHEMA_VERSION } from '../items.ts';
import { type DeliveryState, FINAL_STATES, isLegalTransition } from '../states.ts';

/** How many problems of one kind are listed in full. */
const LISTED = 20;

/** Collects problems of one kind, listing the first ones. */
export class ProblemList {
  readonly #problems: string[];
  readonly #what: string;
  #count = 0;

  constructor(problems: string[], what: string) {
    this.#problems = problems;
    this.#what = what;
  }

  add(where: string): void {
    this.#count += 1;
    if (this.#count <= LISTED) this.#problems.push(`${this.#what} (${where})`);
  }

  end(): void {
    if (this.#count > LISTED) this.#problems.push(`${this.#what}: ${this.#count - LISTED} more`);
  }
}

/** Follows each delivery through its outcomes, and asserts that it is in exactly one place. */
export function checkDeliveries(db: DatabaseSync, problems: string[], counts: Record<string, number>): void {
  const unreadable = new ProblemList(problems, 'a record cannot be read');
  const illegal = new ProblemList(problems, 'a delivery took a way that is not legal');
  const place = new ProblemList(problems, 'a delivery is not in exactly one place');
  const outcomes = db.prepare('SELECT n, state, json FROM outcomes WHERE message = ? ORDER BY seq');
  const queued = db.prepare('SELECT message, n, item FROM queue ORDER BY message, n').iterate();
  const waiting = db.prepare('SELECT message, n, item FROM ledger ORDER BY message, n').iterate();
  const ready = new Cursor(queued);
  const deferred = new Cursor(waiting);
  for (const row of db.prepare('SELECT seq, id, record FROM messages ORDER BY seq').iterate()) {
    const seq = Number(row.seq);
    const id = String(row.id);
    const record = parse(String(row.record), `message ${id}`, unreadable) as
      | { recipients?: unknown }
      | undefined;
    const recipients = Array.isArray(record?.recipients) ? record.recipients.length : 0;
    const states = recipients > 0 ? Array.from({ length: recipients }, (): DeliveryState => 'queued') : [];
    for (const { n, state, json } of outcomes.all(seq)) {
      parse(String(json), `outcome of ${id}`, unreadable);
      if (state === null) continue;
      const next = state as DeliveryState;
      for (const i of Number(n) < 0 ? states.keys() : [Number(n)]) {
        if (!reachable(states[i], next)) illegal.add(`${id}, ${i}: ${states[i]} to ${next}`);
        states[i] = next;
      }
    }
    const inQueue = ready.of(seq, (n, item) => parse(item, `queue item ${id}, ${n}`, unreadable));
    const inLedger = deferred.of(seq, (n, item) => parse(item, `queue item ${id}, ${n}`, unreadable));
    for (const [n, state] of states.entries()) {
      const places = (inQueue.get(n) ?? 0) + (inLedger.get(n) ?? 0) + (FINAL_STATES.has(state) ? 1 : 0);
      if (places !== 1) place.add(`${id}, ${n}: ${places} places, last state ${state}`);
      const shown = FINAL_STATES.has(state) ? state : inLedger.has(n) ? 'deferred' : 'queued';
      counts[shown] = (counts[shown] ?? 0) + 1;
    }
    for (const n of [...inQueue.keys(), ...inLedger.keys()]) {
      if (n < 0 || n >= recipients) place.add(`${id} has no recipient ${n}`);
    }
  }
  unreadable.end();
  illegal.end();
  place.end();
}

/**
 * Whether a delivery can come from one recorded state to the next. Not every state is recorded: between two rows it
 * may have been queued again, and attempted.
 */
function reachable(from: DeliveryState | undefined, to: DeliveryState): boolean {
  if (from === undefined) return false;
  if (FINAL_STATES.has(from)) return isLegalTransition(from, to);
  return (['accepted', 'queued', 'attempting', 'deferred'] as const).some((state) =>
    isLegalTransition(state, to),
  );
}

function parse(json: string, what: string, unreadable: ProblemList): unknown {
  try {
    const value = JSON.parse(json) as { v?: unknown };
    if (typeof value.v !== 'number' || value.v > SCHEMA_VERSION)
      unreadable.add(`${what}: schema ${String(value.v)}`);
    return value;
  } catch {
    unreadable.add(`${what}: not JSON`);
    return undefined;
  }
}

/** Walks rows that are in the order of messages beside the messages themselves. */
class Cursor {
  readonly #rows: Iterator<Record<string, unknown>>;
  #row: Record<string, unknown> | undefined;

  constructor(rows: Iterator<Record<string, unknown>>) {
    this.#rows = rows;
    this.#advance();
  }

  /** Number of rows of each delivery of a message; messages must be requested in ascending order. */
  of(message: number, each: (n: number, item: string) => void): Map<number, number> {
    const found = new Map<number, number>();
    while (this.#row && Number(this.#row.message) <= message) {
      if (this.#row.message === message) {
        const n = Number(this.#row.n);
        found.set(n, (found.get(n) ?? 0) + 1);
        each(n, String(this.#row.item));
      }
      this.#advance();
    }
    return found;
  }

  #advance(): void {
    const next = this.#rows.next();
    this.#row = next.done ? undefined : next.value;
  }
}
