/** Reads and removes records of messages. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { callOf } from '../../../mail/message-id.ts';
import type { DeliveryState } from '../../states.ts';
import type { AppendCall, DeliveriesReply } from '../protocol.ts';
import type { LedgerTable } from './ledger.ts';
import type { OutcomeTable } from './outcomes.ts';
import { PER_MS } from './schema.ts';

export class RecordTable {
  readonly #ledger: LedgerTable;
  readonly #outcomes: OutcomeTable;
  readonly #find: StatementSync;
  readonly #down: StatementSync;
  readonly #up: StatementSync;
  readonly #ended: StatementSync;
  readonly #delete: StatementSync;

  constructor(db: DatabaseSync, ledger: LedgerTable, outcomes: OutcomeTable) {
    this.#ledger = ledger;
    this.#outcomes = outcomes;
    this.#find = db.prepare('SELECT seq, record FROM messages WHERE id = ?');
    this.#down = db.prepare('SELECT id, record FROM messages WHERE seq < ? ORDER BY seq DESC');
    this.#up = db.prepare('SELECT id, record FROM messages WHERE seq > ? ORDER BY seq');
    this.#ended = db.prepare(`
      SELECT seq FROM messages m
      WHERE seq < ? AND NOT EXISTS (SELECT 1 FROM bodies WHERE message = m.seq) ORDER BY seq LIMIT ?`);
    this.#delete = db.prepare('DELETE FROM messages WHERE seq = ?');
  }

  messages(ids: readonly string[]): (string | undefined)[] {
    return ids.map((id) => this.#message(id)?.record);
  }

  /** The messages of a call stand side by side, because one transaction wrote them. */
  call(id: string): string[] {
    const message = this.#message(id);
    if (!message) return [];
    const call = callOf(id);
    const beside = (rows: StatementSync): string[] => {
      const found: string[] = [];
      if (call === undefined) return found;
      for (const row of rows.iterate(message.seq) as Iterable<{ id: string; record: string }>) {
        if (callOf(row.id) !== call) break;
        found.push(row.record);
      }
      return found;
    };
    return [...beside(this.#down).reverse(), message.record, ...beside(this.#up)];
  }

  deliveries(id: string): DeliveriesReply | undefined {
    const message = this.#message(id);
    if (!message) return undefined;
    return {
      record: message.record,
      outcomes: this.#outcomes.ofMessage(message.seq),
      waiting: this.#ledger.ofMessage(message.seq),
    };
  }

  state(id: string, n: number): DeliveryState | undefined {
    const message = this.#message(id);
    if (!message) return undefined;
    return this.#outcomes.state(message.seq, n);
  }

  /**
   * Appends reports. A report about a message that is no longer stored goes to the feed all the same, except opens
   * and clicks, which any reader of the message can repeat at will and so could fill the disk.
   */
  append({ outcomes, bounded, most }: AppendCall): void {
    for (const [at, [id, n, state, json]] of outcomes.entries()) {
      const message = this.#message(id);
      if (bounded.includes(at) && (!message || this.#outcomes.count(message.seq, most) >= most)) continue;
      if (message) this.#outcomes.report(message.seq, n, state, json);
      else this.#outcomes.append(null, n, null, json);
    }
  }

  /** Message numbers are in time order, so old ones are found without reading the others. */
  prune(before: number, max: number): number {
    const old = this.#ended.all(before * PER_MS, max);
    for (const row of old) {
      this.#outcomes.remove(row.seq as number);
      this.#delete.run(row.seq as number);
    }
    if (old.length > 0) this.#outcomes.saveNext();
    return old.length;
  }

  #message(id: string): { seq: number; record: string } | undefined {
    return this.#find.get(id) as { seq: number; record: string } | undefined;
  }
}
