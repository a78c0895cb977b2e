/**
 * The state checker: reads the store of a data directory and lists its faults. Run after every crash test,
 * and by an operator who doubts a disk or a copy:
 *
 *   npm run check:store -- <data directory>
 *
 * It opens the file read-only, beside the process that uses it if there is one, and changes nothing. It reads
 * everything, about a second for each 100 MB, as it was when it began. Exit codes: 0 sound, 1 not sound, 2 not checked.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { asPosternError, PosternError } from '../../errors.ts';
import { checkDeliveries, ProblemList } from './check-deliveries.ts';
import { storageFault } from './faults.ts';
import { refuseForeign } from './store/database.ts';
import { journalOf } from './store/recovery.ts';
import { FILE, SPAN } from './store/schema.ts';

export interface StoreReport {
  /** One line each; empty when the store is sound. */
  problems: string[];
  /** Rows of each table, and deliveries by state. */
  counts: Record<string, number>;
}

const COUNTED = [
  'messages',
  'bodies',
  'queue',
  'ledger',
  'outcomes',
  'claims',
  'documents',
  'objects',
  'suppressions',
  'rows',
];

/** Rules that a query can find broken; each row it returns is one problem. `table`: only where there is one. */
const RULES: { what: string; sql: string; table?: string }[] = [
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
    what: 'the number of deliveries of a tenant queue is wrong',
    sql: `SELECT s.id FROM shelves s LEFT JOIN (SELECT key / ${SPAN} AS id, count(*) AS found FROM queue GROUP BY 1) f
          ON f.id = s.id WHERE s.count <> coalesce(f.found, 0)`,
  },
  {
    what: 'the number of waiting deliveries of a lane and tenant is wrong',
    table: 'later',
    sql: `SELECT coalesce(lane, found_lane) || ' ' || coalesce(tenant, found_tenant) AS id FROM later FULL JOIN
            (SELECT json_extract(item, '$.lane') AS found_lane, json_extract(item, '$.tenant') AS found_tenant,
                    count(*) AS found FROM ledger GROUP BY 1, 2)
          ON lane = found_lane AND tenant = found_tenant WHERE count IS NOT found`,
  },
  {
    what: 'a queue key is beyond what its tenant queue has given out',
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
 * @throws PosternError when it cannot be checked: `not_found`, `storage_too_new`, `storage_damaged`, and
 *   `storage_locked` when a Postern older than this one uses it.
 */
export function checkStore(directory: string): StoreReport {
  const file = join(directory, FILE);
  if (!existsSync(file))
    throw new PosternError('not_found', `There is no store in ${directory}: it holds no ${FILE}.`);
  const { notes, damage } = journalOf(directory);
  const problems: string[] = [];
  // Damage there makes no store unsound: what stood there is sent again.
  const counts: Record<string, number> = { journal: notes.length, journal_damage: damage.length };
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { readOnly: true, timeout: 0 });
    // All following queries see one state, even while others write.
    db.exec('BEGIN');
    refuseForeign(db, directory);
    for (const row of db.prepare('PRAGMA integrity_check').all()) {
      const text = String(row.integrity_check);
      if (text !== 'ok') problems.push(`the file is damaged: ${text}`);
    }
    // A store of an older version, which no newer one has opened yet, lacks some of them.
    const made = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    const isMade = (name: string): boolean => made.some((row) => row.name === name);
    for (const table of COUNTED.filter(isMade))
      counts[table] = Number(db.prepare(`SELECT count(*) AS count FROM ${table}`).get()!.count);
    for (const { what, sql, table } of RULES) {
      if (table !== undefined && !isMade(table)) continue;
      const report = new ProblemList(problems, what);
      for (const row of db.prepare(sql).iterate()) report.add(String(row.id));
      report.end();
    }
    checkDeliveries(db, problems, counts);
    return { problems, counts };
  } catch (error) {
    // Pages that cannot be read may end a rule; what was found before is still true.
    if (problems.length > 0) return { problems: [...problems, storageFault(error).message], counts };
    throw storageFault(error, directory);
  } finally {
    db?.close();
  }
}

/** Prints what was found, with the verdict as the last line. @returns the exit code. */
function report(directory: string | undefined): number {
  if (!directory) {
    console.error('Name the data directory: npm run check:store -- <data directory>');
    return 2;
  }
  try {
    const { problems, counts } = checkStore(directory);
    for (const [name, count] of Object.entries(counts)) console.log(`${name} ${count}`);
    for (const problem of problems) console.log(`PROBLEM ${problem}`);
    if (problems.length === 0) {
      console.log(`The store in ${directory} is sound.`);
      return 0;
    }
    console.log(
      `The store in ${directory} is not sound (problems: ${problems.length}). Stop Postern, keep a copy of the directory, and restore the last sound one.`,
    );
    return 1;
  } catch (error) {
    console.error(`The store cannot be checked. ${asPosternError(error).message}`);
    return 2;
  }
}

if (import.meta.main) process.exitCode = report(process.argv[2]);
