/**
 * How many deliveries of each lane and tenant wait in the ledger: kept in the transactions that change the ledger, so
 * that nobody has to count them. What changed goes to the event loop with the answer of the batch.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { LaterCount } from '../protocol.ts';

/** Counts kept in memory; beyond that they are read again when needed. */
const KEPT = 20_000;

export class LaterCounts {
  readonly #known = new Map<string, LaterCount>();
  readonly #changed = new Set<LaterCount>();
  readonly #find: StatementSync;
  readonly #write: StatementSync;
  readonly #drop: StatementSync;
  readonly #all: StatementSync;
  readonly #sum: StatementSync;

  constructor(db: DatabaseSync) {
    this.#find = db.prepare('SELECT count FROM later WHERE lane = ? AND tenant = ?');
    this.#write = db.prepare('INSERT OR REPLACE INTO later (lane, tenant, count) VALUES (?, ?, ?)');
    this.#drop = db.prepare('DELETE FROM later WHERE lane = ? AND tenant = ?');
    this.#all = db.prepare('SELECT lane, tenant, count FROM later');
    this.#all.setReturnArrays(true);
    this.#sum = db.prepare('SELECT coalesce(sum(count), 0) AS total FROM later');
  }

  change(lane: string, tenant: string, by: number): void {
    const name = `${lane}\0${tenant}`;
    let known = this.#known.get(name);
    if (known === undefined) {
      const row = this.#find.get(lane, tenant) as { count: number } | undefined;
      known = [lane, tenant, row?.count ?? 0];
      this.#known.set(name, known);
    }
    known[2] += by;
    this.#changed.add(known);
  }

  /** Writes what changed; part of each transaction. */
  flush(): void {
    for (const [lane, tenant, count] of this.#changed) {
      if (count > 0) this.#write.run(lane, tenant, count);
      else this.#drop.run(lane, tenant);
    }
  }

  /** What the transaction changed, once it is committed. */
  committed(): LaterCount[] {
    if (this.#changed.size === 0) return [];
    const changed = [...this.#changed];
    this.#changed.clear();
    if (this.#known.size > KEPT) this.#known.clear();
    return changed;
  }

  /** Drops what is in memory, after a rollback. */
  forget(): void {
    this.#known.clear();
    this.#changed.clear();
  }

  /** Number of all deliveries that wait for a time. */
  total(): number {
    // What this transaction has changed is not written yet.
    this.flush();
    return (this.#sum.get() as { total: number }).total;
  }

  /** All counts. */
  all(): LaterCount[] {
    return this.#all.all() as unknown as LaterCount[];
  }
}
