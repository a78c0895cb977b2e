/** The suppression lists: a row for each address, and for some time one for each that was taken off. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { REMOVAL_MEMORY, type Suppression, type SuppressionReason } from '../../suppression.ts';
import { addKey, filterFor } from '../key-filter.ts';
import type { Argument } from '../protocol.ts';

interface SuppressionRow {
  tenant: string;
  address: string;
  reason: SuppressionReason;
  at: number;
  message: string | null;
  feedback: string | null;
  since: number | null;
  why: string | null;
}

const COLUMNS = 'tenant, address, reason, at, message, feedback, since, why';

export class SuppressionTable {
  readonly #find: StatementSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #list: StatementSync;
  readonly #forget: StatementSync;
  readonly #count: StatementSync;
  readonly #keys: StatementSync;

  constructor(db: DatabaseSync) {
    this.#find = db.prepare(
      `SELECT ${COLUMNS} FROM suppressions WHERE tenant = ? AND key = ? AND reason IS NOT NULL`,
    );
    this.#put = db.prepare(`
      INSERT INTO suppressions (tenant, key, address, reason, at, message, feedback, why, since)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?5)
      ON CONFLICT DO UPDATE SET address = excluded.address, reason = excluded.reason, at = excluded.at,
        message = excluded.message, feedback = excluded.feedback, why = excluded.why,
        since = CASE WHEN reason IS NULL THEN excluded.at ELSE coalesce(since, at) END
      WHERE excluded.at >= at`);
    this.#remove = db.prepare(`
      UPDATE suppressions SET reason = NULL, at = ?1, message = NULL, feedback = NULL, since = NULL, why = NULL
      WHERE tenant = ?2 AND key = ?3 AND reason IS NOT NULL AND (?4 IS NULL OR (reason = ?4 AND at <= ?1))`);
    this.#list = db.prepare(`
      SELECT ${COLUMNS} FROM suppressions
      WHERE tenant = ? AND reason = ? AND (at, key) > (?, ?) AND at < ? ORDER BY at, key LIMIT ?`);
    this.#forget = db.prepare(`
      DELETE FROM suppressions WHERE (tenant, key) IN
        (SELECT tenant, key FROM suppressions WHERE reason IS NULL AND at < ? LIMIT ?)`);
    this.#count = db.prepare('SELECT count(*) AS count FROM suppressions WHERE reason IS NOT NULL');
    this.#keys = db.prepare('SELECT tenant, key FROM suppressions WHERE reason IS NOT NULL');
    this.#keys.setReturnArrays(true);
  }

  find(keys: Argument<'findSuppressions'>): (Suppression | undefined)[] {
    return keys.map(([tenant, key]) => {
      const row = this.#find.get(tenant, key);
      return row && entryOf(row as unknown as SuppressionRow);
    });
  }

  put({ key, entry }: Argument<'putSuppression'>): boolean {
    const { tenant, address, reason, at, messageId = null, feedbackId = null, why = null } = entry;
    return this.#put.run(tenant, key, address, reason, at, messageId, feedbackId, why).changes === 1;
  }

  remove({ tenant, key, at, reason }: Argument<'removeSuppression'>): boolean {
    return this.#remove.run(at, tenant, key, reason ?? null).changes === 1;
  }

  list({ tenant, reason, from, before, after, max }: Argument<'listSuppressions'>): Suppression[] {
    const rows = this.#list.all(tenant, reason, from, after, before, max);
    return (rows as unknown as SuppressionRow[]).map(entryOf);
  }

  /** Forgets of at most `max` addresses that they were taken off, long ago. @returns the number forgotten. */
  prune(now: number, max: number): number {
    return Number(this.#forget.run(now - REMOVAL_MEMORY, max).changes);
  }

  /** Bits of a filter of all that is listed, made for twice as many. */
  filter(): Uint32Array {
    const { count } = this.#count.get() as { count: number };
    const filter = filterFor(2 * count);
    for (const row of this.#keys.iterate() as unknown as Iterable<[string, string]>)
      addKey(filter, row[0], row[1]);
    return filter;
  }
}

function entryOf(row: SuppressionRow): Suppression {
  const { tenant, address, reason, at, message, feedback, since, why } = row;
  return {
    tenant,
    address,
    reason,
    at,
    since: since ?? at,
    ...(why !== null && { why }),
    ...(message !== null && { messageId: message }),
    ...(feedback !== null && { feedbackId: feedback }),
  };
}
