/**
 * The messages between the event loop and the storage thread.
 *
 * ```
 *  event loop                                    storage thread
 *  link.ts ── Batch: names, arguments, bytes ──►  store/worker.ts
 *             (all calls since the last answer)     one transaction, one sync
 *          ◄── BatchAnswer: values or faults, bytes ──
 * ```
 * Hot calls travel as flat arrays of strings and numbers, and all bytes of a batch as one buffer that both threads
 * share, because structured cloning of many small objects and buffers costs more than the SQL.
 */
import type { ErrorCode } from '../../errors.ts';
import type { Anonymised, LeaseHolder, WaitingMatch } from '../ports.ts';
import type { RowDelta } from '../rows.ts';
import type { DeliveryState } from '../states.ts';
import type { Suppression, SuppressionReason } from '../suppression.ts';

/** Idempotency claim with the time by which older claims of the key are judged. */
export interface ClaimCall {
  key: string;
  digest: string;
  expiresAt: number;
  response: string;
}

/** One admitted delivery: lane, tenant, n, due (ms), QueueItem JSON. */
export type DeliveryTuple = [lane: string, tenant: string, n: number, due: number, item: string];

/** One outcome for the feed: n (-1: the whole message), state it leads to (or null), Outcome JSON. */
export type OutcomeTuple = [n: number, state: DeliveryState | null, json: string];

/** One message to be taken in; its body is the next `length` bytes of the call. */
export type MessageTuple = [
  id: string,
  acceptedAt: number,
  record: string,
  length: number,
  deliveries: DeliveryTuple[],
  settled: OutcomeTuple[],
  /** By which it is found (lib/engine/search.ts). */
  hashes: number[],
];

/**
 * What became of an admission: for each message its sequence number, then for each delivery its queue key (0: ledger);
 * or why there is none. An object for each message would cost more to pass on than the numbers.
 */
export type AdmitReply = number[] | NotAdmitted;

export interface NotAdmitted {
  kind: 'repeated' | 'conflict' | 'full';
  /** `repeated`: the first response. `full`: the missing room. */
  text?: string;
}

/** A run of ready deliveries of one tenant queue: keys above `after`, up to `to`. */
export interface LoadCall {
  after: number;
  to: number;
  /** Maximum number of rows, and size after which no further row is read. */
  max: number;
  bytes: number;
}

/** One ready delivery: queue key, message, n, deliveries of the message, QueueItem JSON, body bytes. */
export type ReadyTuple = [
  key: number,
  message: number,
  n: number,
  share: number,
  item: string,
  length: number,
];

export interface LoadReply {
  rows: ReadyTuple[];
  /** Every row up to this key is in `rows`. */
  to: number;
  /** Bodies one after another, in the order of `rows`; as long as the callback runs. */
  bytes?: Buffer;
}

/**
 * End of a lease: `due` is 0 for an end; else the delivery goes to the ledger with `item`. `lane`: where it goes to
 * another lane than its own.
 */
export type SettlementTuple = [
  key: number,
  message: number,
  n: number,
  share: number,
  state: DeliveryState | null,
  outcome: string | null,
  due: number,
  item: string | null,
  lane: string | null,
];

export interface PromoteReply {
  /** Lane, tenant and new queue key of each promoted delivery. */
  promoted: [lane: string, tenant: string, key: number][];
  /** More is due already. */
  more: boolean;
  /** Earliest time in the ledger. */
  next?: number;
}

export interface DeliveriesReply {
  record: string;
  outcomes: OutcomeTuple[];
  /** n and QueueItem JSON of those in the ledger. */
  waiting: [n: number, item: string][];
}

export interface AppendCall {
  outcomes: [id: string, ...OutcomeTuple][];
  /** Indices of outcomes that are dropped when their message is gone, or has the maximum of outcomes. */
  bounded: number[];
  most: number;
}

export interface StoredDocument {
  kind: string;
  key: string;
  value: string;
  version: number;
}

/** A search from message number `before` down to `from`. */
export interface SearchCall {
  tenant: string;
  hashes: number[];
  /** Text that the record must hold in some case, as JSON has it. */
  needle: string | null;
  from: number;
  before: number;
  max: number;
}

/** Numbers and records of messages that may be meant; `next`: where to go on, below which number. */
export interface SearchReply {
  found: [message: number, record: string][];
  next?: number;
}

/** Name of a row: kind, partition, key. */
export type RowName = [kind: string, partition: string, key: string];

/** A row: its name, value as JSON, version, time of expiry. */
export type RowTuple = [...RowName, value: string, version: number, expires: number | null];

/** A query of rows; limits of its keys in one form for both directions. */
export interface RowsCall {
  kind: string;
  partition: string;
  from: string;
  before: string | null;
  after: string | null;
  descending: boolean;
  now: number;
  max: number;
}

/** A lane's part of the queue that belongs to one tenant, as found at the start. */
export interface StoredTenantQueue {
  id: number;
  lane: string;
  tenant: string;
  /** Next free position. */
  next: number;
  /** Ready deliveries. */
  count: number;
  /** Number of the message of the first of them; only at the start. */
  first?: number;
}

/** Number of deliveries of a lane and tenant that wait for a time. */
export type LaterCount = [lane: string, tenant: string, count: number];

/** State of the store when the storage thread opened the file. */
export interface Opened {
  tenantQueues: StoredTenantQueue[];
  later: LaterCount[];
  /** Earliest time in the ledger. */
  nextDue?: number;
  /** The last run ended with no lease open: nothing in the queue can have been sent already. */
  clean: boolean;
  /** Bits of a `KeyFilter` of the addresses on suppression lists. */
  listed: Uint32Array;
  recovered: Recovered;
}

/** What came of the settlement journal of the run before. */
export interface Recovered {
  /** Deliveries that it ended: their replies had been read, and not stored. */
  settled: number;
  /** What of it cannot be read, for a person. */
  damage: string[];
}

/** Maximum number of rows that one `match` examines: no index serves it, and other calls must not wait long. */
export const MATCH_STEP = 2_000;

export interface MatchCall {
  table: 'ledger' | 'queue';
  match: WaitingMatch;
  /** Rows behind this key. */
  after: number;
  due?: number;
}

export interface MatchReply {
  count: number;
  /** Key of the last row that was looked at; absent: there are no more. */
  last?: number;
}

/** Every call that the storage thread answers: argument and result. */
export interface Operations {
  admit(call: { now: number; claim?: ClaimCall; messages: MessageTuple[] }): AdmitReply;
  load(call: LoadCall): LoadReply;
  settle(settlements: SettlementTuple[]): number;
  promote(call: { now: number; max: number }): PromoteReply;
  cancel(call: { id: string; except: number[]; at: number }): { places: number[]; keys: number[] };
  /** Looks at the next rows of a table in the order of keys; with `due`, makes the matching ones due then. */
  match(call: MatchCall): MatchReply;
  /** Makes what waits for a site due now, the earliest first. @returns how many. */
  recall(call: { site: string; now: number; max: number }): number;
  waiting(call: null): { count: number; next?: number };
  messages(ids: string[]): (string | undefined)[];
  /** Records of the messages of its call. */
  messageCall(id: string): string[];
  deliveries(id: string): DeliveriesReply | undefined;
  state(call: { id: string; n: number }): DeliveryState | undefined;
  claim(call: { key: string; now: number }): { digest: string; response: string } | undefined;
  append(call: AppendCall): void;
  feed(call: { after: number; max: number }): { cursor: number; outcomes: string[]; places: number[] };
  feedEnd(call: null): number;
  pruneRecords(call: { before: number; now: number; max: number }): number;
  /** Takes an address out of the messages behind a place. */
  anonymise(call: { address: string; tenant: string; after: number }): Anonymised;
  putObject(call: { id: string; expiresAt: number }): void;
  /** `bytes`: as long as the callback runs. */
  getObject(id: string): { bytes?: Buffer } | undefined;
  deleteObject(id: string): void;
  pruneObjects(call: { now: number; max: number }): number;
  findSuppressions(keys: [tenant: string, key: string][]): (Suppression | undefined)[];
  /** @returns whether it was written. */
  putSuppression(call: { key: string; entry: Suppression }): boolean;
  removeSuppression(call: { tenant: string; key: string; at: number; reason?: SuppressionReason }): boolean;
  /** Entries for one reason, listed from `from` on and before `before`, behind the key `after` of time `from`. */
  listSuppressions(call: {
    tenant: string;
    reason: SuppressionReason;
    from: number;
    before: number;
    after: string;
    max: number;
  }): Suppression[];
  search(call: SearchCall): SearchReply;
  getRows(call: { names: RowName[]; now: number }): (RowTuple | undefined)[];
  putRows(rows: RowTuple[]): void;
  /** @returns false when `expect` does not hold: nothing is written. */
  changeRow(call: { row: RowTuple; expect: number; now: number }): boolean;
  deleteRows(names: RowName[]): void;
  queryRows(call: RowsCall): RowTuple[];
  /** @returns false when the batch was counted before. */
  addRows(call: { batch: string; deltas: RowDelta[]; version: number; now: number }): boolean;
  getDocument(call: { kind: string; key: string }): StoredDocument | undefined;
  getDocuments(call: { kind: string; keys: readonly string[] }): (StoredDocument | undefined)[];
  countDocuments(call: { kind: string; prefix: string }): number;
  listDocuments(call: { kind: string; prefix: string; after: string; max: number }): StoredDocument[];
  /** @returns the new version, or 0 when `expect` does not hold. */
  putDocument(call: { kind: string; key: string; value: string; expect?: number }): number;
  deleteDocument(call: { kind: string; key: string }): boolean;
  acquire(call: { name: string; owner: string; now: number; ttl: number }): number | undefined;
  release(call: { name: string; owner: string }): void;
  leaseHolder(call: { name: string; now: number }): string | undefined;
  /** `value` is JSON. */
  report(call: { name: string; holder: string; count: number; value: string }): void;
  reports(name: string): { holder: string; value: string }[];
  forgetReport(call: { name: string; holder: string; count: number }): void;
  /** @returns false when the holder has not got its lease. */
  checkpoint(call: { name: string; holder?: LeaseHolder }): string | undefined | false;
  /** @returns false when the holder has not got its lease: nothing is written. */
  saveCheckpoint(call: { name: string; value: string; holder?: LeaseHolder }): boolean;
  health(call: null): { bytes: number; free: number; full: boolean };
  /** Marks the run as ended; `clean` when no lease is open. */
  finish(call: { clean: boolean }): void;
}

export type OperationName = keyof Operations;
export type Argument<K extends OperationName> = Parameters<Operations[K]>[0];
export type OperationResult<K extends OperationName> = ReturnType<Operations[K]>;

/** Calls in order. `regions[i]` is where the bytes of call `i` begin; there are `size` in all. */
export interface Batch {
  names: OperationName[];
  arguments: unknown[];
  regions: number[];
  size: number;
  /** Absent: the bytes are in the buffer that both threads share. */
  bytes?: ArrayBuffer;
}

export interface StorageFault {
  code: ErrorCode;
  /** Without paths, because callers of an API see it. */
  message: string;
  /** Data directory, for the log. */
  directory?: string;
}

/** Results in the order of the calls; `faults[i]` is set where call `i` failed. */
export interface BatchAnswer {
  values: unknown[];
  faults?: (StorageFault | undefined)[];
  regions: number[];
  /** Absent: the bytes are in the buffer that both threads share, until the next batch. */
  bytes?: ArrayBuffer;
  /** Counts that the batch changed. */
  later: LaterCount[];
}

/** First message of the storage thread. */
export type Greeting = { opened: Opened } | { fault: StorageFault };

/** Handed to the storage thread when it starts. */
export interface StoreOptions {
  directory: string;
  /** New mail is refused while the file system has fewer free bytes. */
  minimumFree: number;
  /** Holds the bytes of a batch, and then of its answer, where they fit. Absent: nothing is shared. */
  shared?: SharedArrayBuffer;
}
