/** Deliveries that wait for a time, and the way out of the store for those that ended. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Outcome, QueueItem } from '../../items.ts';
import { SCHEMA_VERSION } from '../../items.ts';
import type { PromoteReply, SettlementTuple } from '../protocol.ts';
import type { LaterCounts } from './later-counts.ts';
import type { OutcomeTable } from './outcomes.ts';
import type { TenantQueues } from './tenant-queues.ts';

interface LedgerRow {
  id: number;
  message: number;
  n: number;
  share: number;
  item: string;
}

interface MessageRow {
  seq: number;
  keys: number | string | null;
  record: string;
}

export class LedgerTable {
  readonly #tenantQueues: TenantQueues;
  readonly #outcomes: OutcomeTable;
  readonly #later: LaterCounts;
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #due: StatementSync;
  readonly #next: StatementSync;
  readonly #ofMessage: StatementSync;
  readonly #insertAgain: StatementSync;
  readonly #deleteReady: StatementSync;
  readonly #findReady: StatementSync;
  readonly #findAgain: StatementSync;
  readonly #findMessage: StatementSync;
  readonly #deleteBody: StatementSync;
  readonly #countDown: StatementSync;
  readonly #deletePending: StatementSync;

  constructor(db: DatabaseSync, tenantQueues: TenantQueues, outcomes: OutcomeTable, later: LaterCounts) {
    this.#tenantQueues = tenantQueues;
    this.#outcomes = outcomes;
    this.#later = later;
    this.#insert = db.prepare('INSERT INTO ledger (due, message, n, share, item) VALUES (?, ?, ?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM ledger WHERE id = ?');
    this.#due = db.prepare(
      'SELECT id, message, n, share, item FROM ledger WHERE due <= ? ORDER BY due, id LIMIT ?',
    );
    this.#next = db.prepare('SELECT min(due) AS next FROM ledger');
    this.#ofMessage = db.prepare(
      'SELECT id, message, n, share, item FROM ledger WHERE message = ? ORDER BY n',
    );
    this.#insertAgain = db.prepare(
      'INSERT INTO queue (key, message, n, share, again, item) VALUES (?, ?, ?, ?, 1, ?)',
    );
    this.#deleteReady = db.prepare('DELETE FROM queue WHERE key = ?');
    this.#findReady = db.prepare('SELECT key, n, share FROM queue WHERE key = ? AND message = ?');
    this.#findAgain = db.prepare('SELECT key, n, share FROM queue WHERE message = ? AND again IS NOT NULL');
    this.#findMessage = db.prepare('SELECT seq, keys, record FROM messages WHERE id = ?');
    this.#deleteBody = db.prepare('DELETE FROM bodies WHERE message = ?');
    this.#countDown = db.prepare('UPDATE pending SET count = count - 1 WHERE message = ? RETURNING count');
    this.#deletePending = db.prepare('DELETE FROM pending WHERE message = ?');
  }

  /** @param due ms, whole or not: delays that chance spreads seldom are. */
  add(
    lane: string,
    tenant: string,
    due: number,
    message: number,
    n: number,
    share: number,
    item: string,
  ): void {
    this.#insert.run(Math.ceil(due), message, n, share, item);
    this.#later.change(lane, tenant, 1);
  }

  /** Ends leases. Those whose delivery is no longer queued are dropped; returns how many. */
  settle(settlements: SettlementTuple[]): number {
    let dropped = 0;
    for (const [key, message, n, share, state, outcome, due, item, lane] of settlements) {
      if (this.#deleteReady.run(key).changes === 0) {
        dropped += 1;
        continue;
      }
      const from = this.#tenantQueues.removed(key);
      if (outcome !== null) this.#outcomes.append(message, n, state, outcome);
      if (item === null) this.#ended(message, share);
      else this.add(lane ?? from.lane, from.tenant, due, message, n, share, item);
    }
    return dropped;
  }

  /** Moves at most `max` of what is due by `now` to the ends of their tenant queues. */
  promote(now: number, max: number): PromoteReply {
    const rows = this.#due.all(now, max) as unknown as LedgerRow[];
    const promoted: PromoteReply['promoted'] = [];
    for (const row of rows) {
      const item = JSON.parse(row.item) as QueueItem;
      const key = this.#tenantQueues.place(item.lane, item.tenant);
      this.#remove(row.id, item);
      this.#insertAgain.run(key, row.message, row.n, row.share, row.item);
      promoted.push([item.lane, item.tenant, key]);
    }
    const next = this.next();
    return { promoted, more: next !== undefined && next <= now, next };
  }

  /** Cancels the deliveries of a message that wait, but for those with a queue key in `except` (leased). */
  cancel(id: string, except: number[], at: number): { places: number[]; keys: number[] } {
    const message = this.#findMessage.get(id) as unknown as MessageRow | undefined;
    if (!message) return { places: [], keys: [] };
    const first: number[] =
      typeof message.keys === 'string'
        ? JSON.parse(message.keys)
        : message.keys === null
          ? []
          : [message.keys];
    const ready = [
      ...first.map((key) => this.#findReady.get(key, message.seq)),
      ...this.#findAgain.all(message.seq),
    ]
      .filter((row) => row !== undefined)
      .map((row) => row as unknown as { key: number; n: number; share: number })
      .filter((row) => !except.includes(row.key));
    const waiting = this.#ofMessage.all(message.seq) as unknown as LedgerRow[];
    for (const row of ready) {
      this.#deleteReady.run(row.key);
      this.#tenantQueues.removed(row.key);
    }
    for (const row of waiting) this.#remove(row.id, JSON.parse(row.item) as QueueItem);
    const tenant = (JSON.parse(message.record) as { tenant: string }).tenant;
    for (const { n, share } of [...ready, ...waiting]) {
      const outcome: Outcome = { v: SCHEMA_VERSION, messageId: id, n, at, kind: 'cancelled', tenant };
      this.#outcomes.append(message.seq, n, 'cancelled', JSON.stringify(outcome));
      this.#ended(message.seq, share);
    }
    return {
      places: [...ready, ...waiting].map((row) => row.n).sort((a, b) => a - b),
      keys: ready.map((row) => row.key),
    };
  }

  waiting(): { count: number; next?: number } {
    return { count: this.#later.total(), next: this.next() };
  }

  /** Earliest time for which something waits. */
  next(): number | undefined {
    return (this.#next.get() as { next: number | null }).next ?? undefined;
  }

  ofMessage(message: number): [n: number, item: string][] {
    return (this.#ofMessage.all(message) as unknown as LedgerRow[]).map((row) => [row.n, row.item]);
  }

  #remove(id: number, { lane, tenant }: QueueItem): void {
    this.#delete.run(id);
    this.#later.change(lane, tenant, -1);
  }

  /** One delivery of the message ended; with the last one its bytes go. */
  #ended(message: number, share: number): void {
    if (share > 1) {
      const left = this.#countDown.get(message) as { count: number };
      if (left.count > 0) return;
      this.#deletePending.run(message);
    }
    this.#deleteBody.run(message);
  }
}
