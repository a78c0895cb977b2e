/** Takes messages in, and hands ready deliveries out again. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { PosternError } from '../../../errors.ts';
import { sqliteCode } from '../faults.ts';
import type { AdmitReply, ClaimCall, LoadCall, LoadReply, MessageTuple, ReadyTuple } from '../protocol.ts';
import type { ClaimTable } from './claims.ts';
import type { LedgerTable } from './ledger.ts';
import type { OutcomeTable } from './outcomes.ts';
import { PER_MS } from './schema.ts';
import type { MessageSearchTable } from './search.ts';
import type { TenantQueues } from './tenant-queues.ts';

const SQLITE_CONSTRAINT = 19;

export class AdmissionWriter {
  readonly #tenantQueues: TenantQueues;
  readonly #ledger: LedgerTable;
  readonly #outcomes: OutcomeTable;
  readonly #search: MessageSearchTable;
  readonly #claims: ClaimTable;
  #lastMessage: number;
  readonly #insertMessage: StatementSync;
  readonly #insertBody: StatementSync;
  readonly #insertPending: StatementSync;
  readonly #insertReady: StatementSync;
  readonly #load: StatementSync;

  constructor(
    db: DatabaseSync,
    tenantQueues: TenantQueues,
    ledger: LedgerTable,
    outcomes: OutcomeTable,
    search: MessageSearchTable,
    claims: ClaimTable,
  ) {
    this.#search = search;
    this.#claims = claims;
    this.#tenantQueues = tenantQueues;
    this.#ledger = ledger;
    this.#outcomes = outcomes;
    this.#lastMessage = Number(db.prepare('SELECT max(seq) AS last FROM messages').get()?.last ?? 0);
    this.#insertMessage = db.prepare('INSERT INTO messages (seq, id, keys, record) VALUES (?, ?, ?, ?)');
    this.#insertBody = db.prepare('INSERT INTO bodies (message, bytes) VALUES (?, ?)');
    this.#insertPending = db.prepare('INSERT INTO pending (message, count) VALUES (?, ?)');
    this.#insertReady = db.prepare('INSERT INTO queue (key, message, n, share, item) VALUES (?, ?, ?, ?, ?)');
    this.#load = db.prepare(`
      SELECT q.key, q.message, q.n, q.share, q.item, b.bytes
      FROM queue q JOIN bodies b ON b.message = q.message
      WHERE q.key > ? AND q.key <= ? ORDER BY q.key LIMIT ?`);
    this.#load.setReturnArrays(true);
  }

  /**
   * Admits all of `messages`, or none. `bytes` are their bodies one after another. `full` describes the missing room
   * when the disk has none for new mail; a repeat still gets its first answer then.
   */
  admit(
    { now, claim, messages }: { now: number; claim?: ClaimCall; messages: MessageTuple[] },
    bytes: Uint8Array,
    full: () => string | undefined,
  ): AdmitReply {
    if (claim) {
      const known = this.#claims.find(claim.key, now);
      if (known)
        return known.digest === claim.digest
          ? { kind: 'repeated', text: known.response }
          : { kind: 'conflict' };
    }
    const text = full();
    if (text !== undefined) return { kind: 'full', text };
    if (claim) this.#claims.add(claim);
    const numbers: number[] = [];
    let at = 0;
    for (const message of messages) {
      const length = message[3];
      this.#insert(now, message, bytes.subarray(at, at + length), numbers);
      at += length;
    }
    return numbers;
  }

  /** Rows in the order of keys, with their bodies in `out`. */
  load(call: LoadCall, out: (bytes: Uint8Array) => void): LoadReply {
    const rows: ReadyTuple[] = [];
    let size = 0;
    let to = call.to;
    for (const row of this.#load.iterate(call.after, call.to, call.max) as unknown as Iterable<unknown[]>) {
      const [key, message, n, share, item, bytes] = row as [
        number,
        number,
        number,
        number,
        string,
        Uint8Array,
      ];
      rows.push([key, message, n, share, item, bytes.byteLength]);
      out(bytes);
      size += bytes.byteLength;
      if (rows.length === call.max || size >= call.bytes) {
        to = key;
        break;
      }
    }
    return { rows, to };
  }

  #insert(now: number, message: MessageTuple, body: Uint8Array, numbers: number[]): void {
    const [id, acceptedAt, record, , deliveries, settled, hashes] = message;
    const seq = Math.max(this.#lastMessage + 1, acceptedAt * PER_MS);
    this.#lastMessage = seq;
    numbers.push(seq);
    const share = deliveries.length;
    const keys: number[] = [];
    for (const [lane, tenant, n, due, item] of deliveries) {
      if (due > now) {
        this.#ledger.add(lane, tenant, due, seq, n, share, item);
        numbers.push(0);
        continue;
      }
      const key = this.#tenantQueues.place(lane, tenant);
      this.#insertReady.run(key, seq, n, share, item);
      keys.push(key);
      numbers.push(key);
    }
    try {
      this.#insertMessage.run(seq, id, keys.length > 1 ? JSON.stringify(keys) : (keys[0] ?? null), record);
    } catch (error) {
      if (sqliteCode(error) !== SQLITE_CONSTRAINT) throw error;
      throw new PosternError('already_exists', `A message with the id ${id} is stored already.`, {
        cause: error,
      });
    }
    this.#search.add(seq, hashes);
    if (share > 0) this.#insertBody.run(seq, body);
    if (share > 1) this.#insertPending.run(seq, share);
    for (const [n, state, json] of settled) this.#outcomes.append(seq, n, state, json);
  }
}
