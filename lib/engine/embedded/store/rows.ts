/** Rows of small values, in the order of their names, and the counters among them. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { BATCH_MEMORY, COUNTED, countersAfter, type RowDelta } from '../../rows.ts';
import { readValue } from '../json.ts';
import type { RowName, RowsCall, RowTuple } from '../protocol.ts';

const COLUMNS = 'kind, partition, key, value, version, expires';
const LIVE = '(expires IS NULL OR expires > ?1)';

export class RowTable {
  readonly #get: StatementSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #up: StatementSync;
  readonly #down: StatementSync;
  readonly #prune: StatementSync;

  constructor(db: DatabaseSync) {
    this.#get = db.prepare(
      `SELECT ${COLUMNS} FROM rows WHERE kind = ?2 AND partition = ?3 AND key = ?4 AND ${LIVE}`,
    );
    this.#put = db.prepare(`INSERT OR REPLACE INTO rows (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`);
    this.#delete = db.prepare('DELETE FROM rows WHERE kind = ? AND partition = ? AND key = ?');
    // One bound below and one above, so that the index finds where to begin and where to end: of two it would use one, and
    // a page deep in a partition would read all before it. No text is above a blob, and none below the empty one.
    const range = (from: string, to: string): string =>
      `SELECT ${COLUMNS} FROM rows WHERE kind = ?2 AND partition = ?3 AND key >= ${from} AND key < ${to} AND ${LIVE}`;
    const before = "coalesce(?5, x'')";
    this.#up = db.prepare(`${range('max(?4, ?6)', before)} AND key <> ?6 ORDER BY key LIMIT ?7`);
    this.#down = db.prepare(`${range('?4', `min(${before}, coalesce(?6, x''))`)} ORDER BY key DESC LIMIT ?7`);
    this.#prune = db.prepare(`
      DELETE FROM rows WHERE (kind, partition, key) IN
        (SELECT kind, partition, key FROM rows WHERE expires <= ? ORDER BY expires LIMIT ?)`);
    for (const read of [this.#get, this.#up, this.#down]) read.setReturnArrays(true);
  }

  get(names: readonly RowName[], now: number): (RowTuple | undefined)[] {
    return names.map((name) => this.#get.get(now, ...name) as RowTuple | undefined);
  }

  put(rows: readonly RowTuple[]): void {
    for (const row of rows) this.#put.run(...row);
  }

  /** @returns false when the row's version is another one: nothing is written. */
  change(row: RowTuple, expect: number, now: number): boolean {
    const [kind, partition, key] = row;
    const [held] = this.get([[kind, partition, key]], now);
    if ((held?.[4] ?? 0) !== expect) return false;
    this.#put.run(...row);
    return true;
  }

  delete(names: readonly RowName[]): void {
    for (const name of names) this.#delete.run(...name);
  }

  query({ kind, partition, from, before, after, descending, now, max }: RowsCall): RowTuple[] {
    const statement = descending ? this.#down : this.#up;
    const behind = descending ? after : (after ?? '');
    return statement.all(now, kind, partition, from, before, behind, max) as unknown as RowTuple[];
  }

  /** @returns false when the batch was counted before. */
  add(batch: string, deltas: readonly RowDelta[], version: number, now: number): boolean {
    if (this.get([[COUNTED, batch, '-']], now)[0]) return false;
    this.#put.run(COUNTED, batch, '-', 'true', version, now + BATCH_MEMORY);
    for (const delta of deltas) {
      const { kind, partition, key, expiresAt } = delta;
      const [held] = this.get([[kind, partition, key]], now);
      const value = held && readValue(held[3], `the row ${kind} ${key}`);
      const counters = countersAfter(delta, value, delta.add);
      const expires = expiresAt ?? held?.[5] ?? null;
      this.#put.run(kind, partition, key, JSON.stringify(counters), version, expires);
    }
    return true;
  }

  /** Removes rows that have expired, at most `max`. @returns the number removed. */
  prune(now: number, max: number): number {
    return Number(this.#prune.run(now, max).changes);
  }
}
