/**
 * The state checker: reads the store of a data directory that no process uses and says what is wrong with it.
 * Run after every crash test, and by an operator who doubts a disk:
 *
 *   node lib/engine/embedded/check.ts <data directory>
 *
 * It opens the file read-only (SQLite recovers the WAL in memory) and changes nothing. It reads everything,
 * about a second for each 100 MB.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SCHEMA_VERSION } from '../items.ts';
import { type DeliveryState, FINAL_STATES, isLegalTransition } from '../states.ts';
import { storageFault } from './faults.ts';
import { refuseForeign } from './store/database.ts';
import { FILE, SPAN } from './store/schema.ts';

/** How many problems of one kind are listed in full. */
const LISTED = 20;

export interface StoreReport {
  /** One line each; empty when the store is sound. */
  problems: string[];
  /** Rows of each table, and deliveries by state. */
  counts: Record<string, number>;
}

/** Rules that a query can find broken; each row it returns is one problem. */
const RULES: { what: string; sql: string }[] = [
  {
    what: 'a queued delivery has no message',
    sql: 'SELECT key AS id FROM queue q WHERE NOT EXISTS (SELECT 1 FROM messages WHERE seq = q.message)',
  },
  {
    what: 'a queued delivery has no body',
    sql: 'SELECT key AS id FROM queue q WHERE NOT EXISTS (SELECT 1 FROM bodies WHERE message = q.message)',
  },
  {
    what: 'a waiting delivery has no message',
    sql: 'SELECT id FROM ledger l WHERE NOT EXISTS (SELECT 1 FROM messages WHERE seq = l.message)',
  },
  {
    what: 'a waiting delivery has no body',
    sql: 'SELECT id FROM ledger l WHERE NOT EXISTS (SELECT 1 FROM bodies WHERE message = l.message)',
  },
  {
    what: 'a body is kept though every delivery of its message ended',
    sql: `SELECT message AS id FROM bodies WHERE message NOT IN
          (SELECT message FROM queue UNION SELECT message FROM ledger)`,
  },
  {
    what: 'the number of unfinished deliveries of a message is wrong',
    sql: `SELECT message AS id FROM
            (SELECT message, max(share) AS share, count(*) AS open FROM
               (SELECT message, share FROM queue UNION ALL SELECT message, share FROM ledger) GROUP BY message)
            LEFT JOIN pending USING (message)
          WHERE open <> CASE WHEN share = 1 THEN 1 ELSE coalesce(count, -1) END`,
  },
  {
    what: 'a number of unfinished deliveries is kept without need',
    sql: `SELECT message AS id FROM pending WHERE message NOT IN
          (SELECT message FROM queue UNION SELECT message FROM ledger)`,
  },
  {
    what: 'the number of deliveries of a shelf is wrong',
    sql: `SELECT s.id FROM shelves s LEFT JOIN (SELECT key / ${SPAN} AS id, count(*) AS found FROM queue GROUP BY 1) f
          ON f.id = s.id WHERE s.count <> coalesce(f.found, 0)`,
  },
  {
    what: 'a queue key is beyond what its shelf has given out',
    sql: `SELECT key AS id FROM queue q WHERE NOT EXISTS
          (SELECT 1 FROM shelves WHERE id = q.key / ${SPAN} AND next > q.key % ${SPAN})`,
  },
  {
    what: 'an outcome belongs to no message',
    sql: `SELECT seq AS id FROM outcomes o WHERE message IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM messages WHERE seq = o.message)`,
  },
];

/**
 * Checks the store in `directory`.
 * @throws PosternError when it cannot be opened (`storage_locked`, `storage_too_new`, `storage_damaged`).
 */
export function checkStore(directory: string): StoreReport {
  const file = join(directory, FILE);
  const problems: string[] = [];
  const counts: Record<string, number> = {};
  if (!existsSync(file)) return { problems: [`${file} does not exist`], counts };
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { readOnly: true, timeout: 0 });
    refuseForeign(db, directory);
    for (const row of db.prepare('PRAGMA integrity_check').all()) {
      const text = String(row.integrity_check);
      if (text !== 'ok') problems.push(`the file is damaged: ${text}`);
    }
    const made = new Set(
      db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .all()
        .map(({ name }) => name),
    );
    for (const table of [
      'messages',
      'bodies',
      'queue',
      'ledger',
      'outcomes',
      'idempotency',
      'documents',
      'objects',
      'suppressions',
    ]) {
      // An older version made the store, and has not been followed by a newer one yet.
      if (!made.has(table)) continue;
      counts[table] = Number(db.prepare(`SELECT count(*) AS count FROM ${table}`).get()!.count);
    }
    for (const { what, sql } of RULES) {
      const report = new Report(problems, what);
      for (const row of db.prepare(sql).iterate()) report.add(String(row.id));
      report.end();
    }
    checkDeliveries(db, problems, counts);
    return { problems, counts };
  } catch (error) {
    throw storageFault(error, directory);
  } finally {
    db?.close();
  }
}

/** Collects problems of one kind, listing the first ones. */
class Report {
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
function checkDeliveries(db: DatabaseSync, problems: string[], counts: Record<string, number>): void {
  const unreadable = new Report(problems, 'a record cannot be read');
  const illegal = new Report(problems, 'a delivery took a way that is not legal');
  const place = new Report(problems, 'a delivery is not in exactly one place');
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
 * Whether a delivery can come from one recorded state to the next. Only what is worth a row is recorded:
 * between two rows it may have been queued again, and attempted.
 */
function reachable(from: DeliveryState | undefined, to: DeliveryState): boolean {
  if (from === undefined) return false;
  if (FINAL_STATES.has(from)) return isLegalTransition(from, to);
  return (['accepted', 'queued', 'attempting', 'deferred'] as const).some((state) =>
    isLegalTransition(state, to),
  );
}

function parse(json: string, what: string, unreadable: Report): unknown {
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

  /** How many rows each delivery of a message has; messages are asked for in ascending order. */
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

if (import.meta.main) {
  const directory = process.argv[2];
  if (!directory) {
    console.error('Usage: node lib/engine/embedded/check.ts <data directory>');
    process.exit(2);
  }
  const { problems, counts } = checkStore(directory);
  console.log(
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join('\n'),
  );
  for (const problem of problems) console.log(`PROBLEM ${problem}`);
  process.exit(problems.length > 0 ? 1 : 0);
}
