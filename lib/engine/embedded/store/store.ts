/**
 * The store: runs batches of calls, each batch in one transaction, synced once.
 *
 * A call that fails must not fail its neighbours, but a savepoint around every call would cost each of them.
 * So the batch runs bare; when a call throws, the whole batch is rolled back and run again, one transaction
 * for each call. The same way a commit that fails (disk full) is retried: what is small enough still goes in.
 */
import { statfsSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { discard } from '../../../discard.ts';
import { removeJournal } from '../../settlement-journal.ts';
import { storageFault } from '../faults.ts';
import { pack } from '../pack.ts';
import type {
  Batch,
  BatchAnswer,
  LaterCount,
  Opened,
  OperationName,
  Operations,
  StorageFault,
  StoreOptions,
} from '../protocol.ts';
import { Anonymiser } from './anonymiser.ts';
import { ClaimTable } from './claims.ts';
import { openDatabase, PAGE_SIZE, pragma } from './database.ts';
import { DocumentTable, ObjectTable } from './documents.ts';
import { AdmissionWriter } from './intake.ts';
import { LaterCounts } from './later-counts.ts';
import { LeaseTable } from './leases.ts';
import { LedgerTable } from './ledger.ts';
import { LedgerMatcher } from './matcher.ts';
import { OutcomeTable } from './outcomes.ts';
import { RecordTable } from './records.ts';
import { journalOf, recover } from './recovery.ts';
import { RowTable } from './rows.ts';
import { IN_MEMORY } from './schema.ts';
import { MessageSearchTable } from './search.ts';
import { SuppressionTable } from './suppressions.ts';
import { TenantQueues } from './tenant-queues.ts';

/** Bytes that may gather in the WAL before they are moved into the file. Bounds the stall and the recovery. */
const CHECKPOINT_BYTES = 8 << 20;

/** Bytes that a small batch adds to the WAL: the ends of some eight B-trees, a page each. */
const BATCH_BYTES = 8 * PAGE_SIZE;

type Handlers = {
  [K in OperationName]: (
    argument: Parameters<Operations[K]>[0],
    bytes: Uint8Array,
  ) => ReturnType<Operations[K]>;
};

const NOTHING = Buffer.alloc(0);

/** What calls answer, before their bytes are packed. */
type UnpackedAnswer = Omit<BatchAnswer, 'bytes'>;

export class Store {
  readonly db: DatabaseSync;
  readonly opened: Opened;
  readonly close: () => void;
  readonly #directory: string;
  readonly #minimumFree: number;
  readonly #shared: Buffer;
  readonly #tenantQueues: TenantQueues;
  readonly #ledger: LedgerTable;
  readonly #later: LaterCounts;
  readonly #search: MessageSearchTable;
  readonly #handlers: Handlers;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #checkpoint: StatementSync;
  readonly #setMeta: StatementSync;
  /** Bytes that the calls of this batch hand back. */
  #outgoing: Uint8Array[] = [];
  #outgoingSize = 0;
  /** Free bytes of the file system, as this batch found them. */
  #free: number | undefined;
  /** Estimate of what is in the WAL. */
  #written = 0;

  constructor({ directory, minimumFree, shared }: StoreOptions) {
    this.#directory = directory;
    this.#minimumFree = minimumFree;
    this.#shared = shared ? Buffer.from(shared) : NOTHING;
    const { db, close } = openDatabase(directory);
    this.db = db;
    this.close = close;
    try {
      this.#begin = db.prepare('BEGIN');
      this.#commit = db.prepare('COMMIT');
      this.#checkpoint = db.prepare('PRAGMA wal_checkpoint(PASSIVE)');
      this.#setMeta = db.prepare('INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)');
      this.#tenantQueues = new TenantQueues(db);
      const outcomes = new OutcomeTable(db);
      this.#later = new LaterCounts(db);
      this.#ledger = new LedgerTable(db, this.#tenantQueues, outcomes, this.#later);
      this.#search = new MessageSearchTable(db);
      const claims = new ClaimTable(db);
      const intake = new AdmissionWriter(
        db,
        this.#tenantQueues,
        this.#ledger,
        outcomes,
        this.#search,
        claims,
      );
      const records = new RecordTable(db, this.#ledger, outcomes);
      const suppressions = new SuppressionTable(db);
      this.#handlers = this.#table(
        intake,
        claims,
        records,
        outcomes,
        new DocumentTable(db),
        new ObjectTable(db),
        suppressions,
        new RowTable(db),
        new LeaseTable(db),
        new LedgerMatcher(db),
        new Anonymiser(db),
      );
      this.opened = this.#start(suppressions);
    } catch (error) {
      close();
      throw storageFault(error, directory);
    }
  }

  /** Runs the calls of a batch. Its answer is durable. */
  run(batch: Batch): BatchAnswer {
    const bytes = batch.bytes ? new Uint8Array(batch.bytes) : this.#shared.subarray(0, batch.size);
    this.#free = undefined;
    this.#written += bytes.byteLength + BATCH_BYTES;
    this.#outgoing = [];
    this.#outgoingSize = 0;
    const answer: BatchAnswer = this.#answers(batch, bytes);
    const size = this.#outgoingSize;
    // All calls are done with the bytes of the batch.
    if (size <= this.#shared.byteLength) pack(this.#outgoing, this.#shared);
    else {
      answer.bytes = new ArrayBuffer(size);
      pack(this.#outgoing, Buffer.from(answer.bytes));
    }
    for (const piece of this.#outgoing) discard(piece);
    this.#outgoing = [];
    return answer;
  }

  #answers(batch: Batch, bytes: Uint8Array): UnpackedAnswer {
    try {
      return this.#transaction(batch, bytes, 0, batch.names.length);
    } catch (error) {
      this.#rollBack();
      this.#outgoing = [];
      this.#outgoingSize = 0;
      if (batch.names.length === 1) {
        return { values: [undefined], faults: [this.#fault(error)], regions: [0, 0], later: [] };
      }
    }
    return this.#oneByOne(batch, bytes);
  }

  /** Moves the WAL into the file when enough has gathered; between batches, so no answer waits for it. */
  tidy(atLeast = CHECKPOINT_BYTES): void {
    if (this.#written <= atLeast) return;
    this.#written = 0;
    try {
      this.#checkpoint.get();
    } catch {
      // The WAL keeps what it has; the next commit or checkpoint reports the fault to a caller.
    }
  }

  #transaction(batch: Batch, bytes: Uint8Array, from: number, to: number): UnpackedAnswer {
    const values: unknown[] = [];
    const regions: number[] = [];
    this.#begin.run();
    for (let i = from; i < to; i++) {
      regions.push(this.#outgoingSize);
      const begin = batch.regions[i]!;
      const end = batch.regions[i + 1] ?? bytes.byteLength;
      const region = end > begin ? bytes.subarray(begin, end) : NOTHING;
      values.push(this.#handlers[batch.names[i]!](batch.arguments[i] as never, region));
    }
    this.#tenantQueues.flush();
    this.#later.flush();
    this.#commit.run();
    const later = this.#later.committed();
    regions.push(this.#outgoingSize);
    return { values, regions, later };
  }

  #oneByOne(batch: Batch, bytes: Uint8Array): UnpackedAnswer {
    const values: unknown[] = [];
    const faults: (StorageFault | undefined)[] = [];
    const regions: number[] = [];
    const later: LaterCount[] = [];
    for (let i = 0; i < batch.names.length; i++) {
      const [pieces, size] = [this.#outgoing.length, this.#outgoingSize];
      regions.push(size);
      try {
        const answer = this.#transaction(batch, bytes, i, i + 1);
        values.push(answer.values[0]);
        faults.push(undefined);
        // Copies: the counts go on changing.
        for (const [lane, tenant, count] of answer.later) later.push([lane, tenant, count]);
      } catch (error) {
        this.#rollBack();
        this.#outgoing.length = pieces;
        this.#outgoingSize = size;
        values.push(undefined);
        faults.push(this.#fault(error));
      }
    }
    regions.push(this.#outgoingSize);
    return { values, faults, regions, later };
  }

  #rollBack(): void {
    try {
      if (this.db.isTransaction) this.db.exec('ROLLBACK');
    } catch {
      // A statement that failed hard has rolled back already.
    }
    this.#tenantQueues.forget();
    this.#later.forget();
    this.#search.forget();
  }

  #fault(error: unknown): StorageFault {
    const { code, message } = storageFault(error);
    return { code, message, directory: this.#directory };
  }

  #start(suppressions: SuppressionTable): Opened {
    const journal = journalOf(this.#directory);
    this.db.exec('BEGIN IMMEDIATE');
    const recovered = recover(this.db, this.#ledger, journal);
    this.#tenantQueues.flush();
    const clean = this.db.prepare("SELECT value FROM meta WHERE name = 'clean'").get()?.value === 1;
    this.#setMeta.run('clean', 0);
    const opened: Opened = {
      tenantQueues: this.#tenantQueues.atStart(),
      later: this.#later.all(),
      nextDue: this.#ledger.next(),
      clean,
      listed: suppressions.filter(),
      recovered,
    };
    this.db.exec('COMMIT');
    removeJournal(journal);
    return opened;
  }

  #hand(bytes: Uint8Array): void {
    this.#outgoing.push(bytes);
    this.#outgoingSize += bytes.byteLength;
  }

  #space(): { bytes: number; free: number; full: boolean } {
    const free = this.#freeBytes();
    const bytes = pragma(this.db, 'page_count') * pragma(this.db, 'page_size');
    return { bytes, free, full: free < this.#minimumFree };
  }

  /** Why no new mail is taken in, looked up once for each batch. */
  #full(): string | undefined {
    this.#free ??= this.#freeBytes();
    if (this.#free >= this.#minimumFree) return undefined;
    return (
      `The file system of the store has ${this.#free} bytes free and ` +
      `${this.#minimumFree} are kept for what was accepted. Free disk space.`
    );
  }

  #freeBytes(): number {
    if (this.#directory === IN_MEMORY) return Number.POSITIVE_INFINITY;
    const { bavail, bsize } = statfsSync(this.#directory);
    return bavail * bsize;
  }

  #table(
    intake: AdmissionWriter,
    claims: ClaimTable,
    records: RecordTable,
    outcomes: OutcomeTable,
    documents: DocumentTable,
    objects: ObjectTable,
    suppressions: SuppressionTable,
    rows: RowTable,
    leases: LeaseTable,
    matcher: LedgerMatcher,
    anonymiser: Anonymiser,
  ): Handlers {
    const ledger = this.#ledger;
    return {
      admit: (call, bytes) => intake.admit(call, bytes, () => this.#full()),
      load: (call) => intake.load(call, (bytes) => this.#hand(bytes)),
      settle: (settlements) => ledger.settle(settlements),
      promote: ({ now, max }) => ledger.promote(now, max),
      cancel: ({ id, except, at }) => ledger.cancel(id, except, at),
      match: (call) => matcher.match(call),
      recall: (call) => matcher.recall(call),
      waiting: () => ledger.waiting(),
      messages: (ids) => records.messages(ids),
      messageCall: (id) => records.call(id),
      deliveries: (id) => records.deliveries(id),
      state: ({ id, n }) => records.state(id, n),
      claim: ({ key, now }) => claims.find(key, now),
      append: (call) => records.append(call),
      feed: ({ after, max }) => outcomes.feed(after, max),
      feedEnd: () => outcomes.end,
      pruneRecords: ({ before, now, max }) => {
        const removed = records.prune(before, max);
        if (removed > 0) this.#search.prune();
        // The most of any kind: one of which there is more must bring the next sweep soon, or it grows for ever.
        return Math.max(removed, claims.prune(now, max), rows.prune(now, max), suppressions.prune(now, max));
      },
      anonymise: (call) => anonymiser.step(call),
      putObject: ({ id, expiresAt }, bytes) => objects.put(id, expiresAt, bytes),
      getObject: (id) => {
        const bytes = objects.get(id);
        if (bytes) this.#hand(bytes);
        return bytes && {};
      },
      deleteObject: (id) => objects.delete(id),
      pruneObjects: ({ now, max }) => objects.prune(now, max),
      findSuppressions: (keys) => suppressions.find(keys),
      putSuppression: (call) => suppressions.put(call),
      removeSuppression: (call) => suppressions.remove(call),
      listSuppressions: (call) => suppressions.list(call),
      search: (call) => this.#search.search(call),
      getRows: ({ names, now }) => rows.get(names, now),
      putRows: (tuples) => rows.put(tuples),
      changeRow: ({ row, expect, now }) => rows.change(row, expect, now),
      deleteRows: (names) => rows.delete(names),
      queryRows: (call) => rows.query(call),
      addRows: ({ batch, deltas, version, now }) => rows.add(batch, deltas, version, now),
      getDocument: ({ kind, key }) => documents.get(kind, key),
      getDocuments: ({ kind, keys }) => keys.map((key) => documents.get(kind, key)),
      countDocuments: ({ kind, prefix }) => documents.count(kind, prefix),
      listDocuments: ({ kind, prefix, after, max }) => documents.list(kind, prefix, after, max),
      putDocument: ({ kind, key, value, expect }) => documents.put(kind, key, value, expect),
      deleteDocument: ({ kind, key }) => documents.delete(kind, key),
      acquire: ({ name, owner, now, ttl }) => leases.acquire(name, owner, now, ttl),
      release: ({ name, owner }) => leases.release(name, owner),
      leaseHolder: ({ name, now }) => leases.holder(name, now),
      report: ({ name, holder, count, value }) => leases.report(name, holder, count, value),
      reports: (name) => leases.reports(name),
      forgetReport: ({ name, holder, count }) => leases.forget(name, holder, count),
      checkpoint: ({ name, holder }) => leases.checkpoint(name, holder),
      saveCheckpoint: ({ name, value, holder }) => leases.saveCheckpoint(name, value, holder),
      health: () => this.#space(),
      finish: ({ clean }) => {
        this.#setMeta.run('clean', clean ? 1 : 0);
      },
    };
  }
}
