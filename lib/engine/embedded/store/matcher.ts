/** Finds waiting deliveries by tenant, campaign, domain, pool and provider group, a step of rows at a time. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { MATCH_STEP, type MatchCall, type MatchReply } from '../protocol.ts';

/** Of rows with a key behind the first parameter, up to the second. */
const MATCHES = `
  (?3 IS NULL OR json_extract(item, '$.tenant') = ?3) AND
  (?4 IS NULL OR json_extract(item, '$.campaign') = ?4) AND
  (?5 IS NULL OR json_extract(item, '$.domain') = ?5) AND
  (?6 IS NULL OR json_extract(item, '$.lane') GLOB ?6)`;
/** A delivery that its sender scheduled has no reason yet. */
const DEFERRED = `id > ?1 AND id <= ?2 AND ${MATCHES} AND json_extract(item, '$.reason') IS NOT NULL`;

export class LedgerMatcher {
  readonly #ends: Record<MatchCall['table'], StatementSync>;
  readonly #counts: Record<MatchCall['table'], StatementSync>;
  readonly #hasten: StatementSync;
  readonly #recall: StatementSync;

  constructor(db: DatabaseSync) {
    const end = (table: string, key: string) =>
      db.prepare(`SELECT count(*) AS rows, max(k) AS last FROM (
        SELECT ${key} AS k FROM ${table} WHERE ${key} > ? ORDER BY ${key} LIMIT ${MATCH_STEP})`);
    this.#ends = { ledger: end('ledger', 'id'), queue: end('queue', 'key') };
    this.#counts = {
      ledger: db.prepare(`SELECT count(*) AS count FROM ledger WHERE ${DEFERRED}`),
      queue: db.prepare(`SELECT count(*) AS count FROM queue WHERE key > ?1 AND key <= ?2 AND ${MATCHES}`),
    };
    this.#hasten = db.prepare(`
      UPDATE ledger SET due = ?7, item = json_set(item, '$.due', ?7) WHERE due > ?7 AND ${DEFERRED}`);
    this.#recall = db.prepare(`
      UPDATE ledger
      SET due = ?2, item = json_remove(json_set(item, '$.due', ?2, '$.recalled', ?2), '$.site')
      WHERE id IN (
        SELECT id FROM ledger INDEXED BY ledger_by_site
        WHERE json_extract(item, '$.site') = ?1 AND due > ?2 ORDER BY due LIMIT ?3)`);
  }

  recall({ site, now, max }: { site: string; now: number; max: number }): number {
    return Number(this.#recall.run(site, now, max).changes);
  }

  match({ table, match, after, due }: MatchCall): MatchReply {
    const { rows, last } = this.#ends[table].get(after) as { rows: number; last: number | null };
    if (last === null) return { count: 0 };
    const { tenant = null, campaign = null, domain = null, pool, group } = match;
    // Pools and groups have no character that means something to GLOB.
    const lane = pool === undefined && group === undefined ? null : `${pool ?? '*'}:*:${group ?? '*'}`;
    const found = [after, last, tenant, campaign, domain, lane];
    const count =
      due === undefined
        ? (this.#counts[table].get(...found) as { count: number }).count
        : Number(this.#hasten.run(...found, due).changes);
    return rows < MATCH_STEP ? { count } : { count, last };
  }
}
