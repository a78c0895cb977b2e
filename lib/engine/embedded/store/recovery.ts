/** Settles what the run before had noted in its journal and not stored, before anything is handed out. */

import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { type JournalReading, readJournal } from '../../settlement-journal.ts';
import { type NotedEnd, readNote } from '../note.ts';
import type { Recovered } from '../protocol.ts';
import type { LedgerTable } from './ledger.ts';
import { IN_MEMORY, JOURNAL } from './schema.ts';

/** What the journal of a data directory holds. */
export function journalOf(directory: string): JournalReading {
  return directory === IN_MEMORY
    ? { notes: [], damage: [], files: [] }
    : readJournal(join(directory, JOURNAL));
}

/** Ends what the notes name, each delivery if it is still queued where it was then. Part of a transaction. */
export function recover(db: DatabaseSync, ledger: LedgerTable, { notes, damage }: JournalReading): Recovered {
  const queued = db.prepare(`
    SELECT 1 FROM queue q JOIN messages m ON m.seq = q.message
    WHERE q.key = ? AND q.message = ? AND q.n = ? AND m.id = ?`);
  const recovered: Recovered = { settled: 0, damage: [...damage] };
  for (const note of notes) {
    let end: NotedEnd;
    try {
      end = readNote(note);
    } catch (error) {
      recovered.damage.push(`A note of the settlement journal cannot be read: ${(error as Error).message}`);
      continue;
    }
    const [key, message, n] = end.tuple;
    if (queued.get(key, message, n, end.messageId) === undefined) continue;
    ledger.settle([end.tuple]);
    recovered.settled += 1;
  }
  return recovered;
}
