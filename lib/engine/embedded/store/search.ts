/**
 * The search of messages: the table of messages from its newest row down, and an index of blocks that need not be looked
 * at. A block is 4,096 messages and the sorted hashes of their recipients, senders and campaigns, 16 to 48 KB.
 *
 * ```
 *  messages by seq   ├──── block ────┼──── block ────┼── not in a block yet ──►
 *                     hashes          hashes           hashes in memory
 * ```
 * Rows are written in order and never changed, so that taking a message in costs half a microsecond and no page of its own.
 * An index by address would dirty a page for each. What is in memory is made again from the messages when the store is
 * opened, or a transaction was undone.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { MessageRecord } from '../../items.ts';
import { messageHashes } from '../../search.ts';
import { readJson } from '../json.ts';
import type { SearchCall, SearchReply } from '../protocol.ts';

/** Messages of a block. */
export const BLOCK = 4_096;
/** Messages, and blocks, that one call looks at: other calls must not wait long. */
const STEP = 2_000;
const BLOCKS = 64;

export class MessageSearchTable {
  readonly #insert: StatementSync;
  readonly #blocks: StatementSync;
  readonly #last: StatementSync;
  readonly #unindexed: StatementSync;
  readonly #end: StatementSync;
  readonly #scan: StatementSync;
  readonly #prune: StatementSync;
  /** Hashes of messages behind the last block. */
  #hashes = new Set<number>();
  #count = 0;
  /** Last message of the last block; undefined: to be read again. */
  #indexed: number | undefined;

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare('INSERT INTO search_blocks (last, first, hashes) VALUES (?, ?, ?)');
    this.#blocks = db.prepare(
      'SELECT last, first, hashes FROM search_blocks WHERE last >= ? AND first < ? ORDER BY last DESC LIMIT ?',
    );
    this.#last = db.prepare('SELECT max(last) AS last FROM search_blocks');
    this.#unindexed = db.prepare('SELECT seq, record FROM messages WHERE seq > ? ORDER BY seq');
    this.#end = db.prepare(`SELECT min(seq) AS seq FROM (
      SELECT seq FROM messages WHERE seq < ? AND seq >= ? ORDER BY seq DESC LIMIT ${STEP})`);
    // Names of tenants have no letter that JSON escapes; lower() is of ASCII alone, and the caller looks again.
    this.#scan = db.prepare(`
      SELECT seq, record FROM messages
      WHERE seq < ?1 AND seq >= ?2 AND instr(record, ?3) > 0 AND (?4 IS NULL OR instr(lower(record), ?4) > 0)
      ORDER BY seq DESC LIMIT ?5`);
    this.#scan.setReturnArrays(true);
    this.#prune = db.prepare(
      'DELETE FROM search_blocks WHERE last < (SELECT coalesce(min(seq), 0) FROM messages)',
    );
    this.#open();
  }

  /** Takes in a message that is being written. */
  add(seq: number, hashes: readonly number[]): void {
    // The message itself is in the table already.
    if (this.#indexed === undefined) this.#open();
    else this.#take(seq, hashes);
  }

  /** A transaction was undone, and with it perhaps a block. */
  forget(): void {
    this.#indexed = undefined;
  }

  prune(): void {
    this.#prune.run();
  }

  /** Looks at the next messages from `before` down. */
  search({ tenant, hashes, needle, from, before, max }: SearchCall): SearchReply {
    if (this.#indexed === undefined) this.#open();
    const indexed = this.#indexed!;
    if (before <= from) return { found: [] };
    if (hashes.length === 0) return this.#look(tenant, needle, from, before, max);
    if (before > indexed + 1) {
      const first = Math.max(from, indexed + 1);
      const reply = hashes.every((one) => this.#hashes.has(one))
        ? this.#look(tenant, needle, first, before, max)
        : { found: [] };
      return reply.next === undefined && first > from ? { ...reply, next: first } : reply;
    }
    const blocks = this.#blocks.all(from, before, BLOCKS) as unknown as {
      last: number;
      first: number;
      hashes: Uint8Array;
    }[];
    for (const block of blocks) {
      if (!holds(block.hashes, hashes)) continue;
      const first = Math.max(from, block.first);
      const reply = this.#look(tenant, needle, first, Math.min(before, block.last + 1), max);
      return { ...reply, next: reply.next ?? first };
    }
    return blocks.length === BLOCKS ? { found: [], next: blocks.at(-1)!.first } : { found: [] };
  }

  /** Looks at messages one by one. */
  #look(tenant: string, needle: string | null, from: number, before: number, max: number): SearchReply {
    const end = (this.#end.get(before, from) as { seq: number | null }).seq;
    if (end === null) return { found: [] };
    const named = `"tenant":${JSON.stringify(tenant)}`;
    const found = this.#scan.all(before, end, named, needle, max) as unknown as [number, string][];
    if (found.length === max) return { found, next: found.at(-1)![0] };
    return end > from ? { found, next: end } : { found };
  }

  #open(): void {
    this.#indexed = (this.#last.get() as { last: number | null }).last ?? 0;
    this.#hashes = new Set();
    this.#count = 0;
    for (const row of this.#unindexed.all(this.#indexed) as { seq: number; record: string }[])
      this.#take(row.seq, messageHashes(readJson<MessageRecord>(row.record, 'a message record')));
  }

  #take(seq: number, hashes: readonly number[]): void {
    for (const one of hashes) this.#hashes.add(one);
    this.#count += 1;
    if (this.#count < BLOCK) return;
    const sorted = Int32Array.from(this.#hashes).sort();
    this.#insert.run(seq, this.#indexed! + 1, new Uint8Array(sorted.buffer));
    this.#indexed = seq;
    this.#hashes = new Set();
    this.#count = 0;
  }
}

/** Whether a block has all the hashes. */
function holds(block: Uint8Array, wanted: readonly number[]): boolean {
  // A copy, because the bytes that SQLite gives need not begin at a multiple of four.
  const hashes = new Int32Array(block.slice().buffer);
  return wanted.every((one) => {
    let [low, high] = [0, hashes.length - 1];
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = hashes[middle]!;
      if (found === one) return true;
      if (found < one) low = middle + 1;
      else high = middle - 1;
    }
    return false;
  });
}
