/**
 * The ports of the engine. Everything outside `lib/engine` sees storage through these interfaces only; the embedded
 * engine (one SQLite file) and the AWS engine (SQS, DynamoDB, S3) pass one contract suite.
 *
 * Failures are `PosternError`s of the storage group (`storage_unavailable`, `storage_full`, `storage_locked`,
 * `storage_damaged`, `storage_too_new`). All but the last two are temporary: the caller answers "try again", and
 * nothing was promised.
 */
import type { Files } from './files.ts';
import type {
  Attempt,
  DeliveryRecord,
  LaneName,
  MessageRecord,
  Outcome,
  QueueItem,
  WaitReason,
} from './items.ts';
import type { NewRow, Row, RowDelta, RowKey, RowQuery } from './rows.ts';
import type { MessageSearch, MessageSearchPage } from './search.ts';
import type { DeliveryState } from './states.ts';
import type { Suppression, SuppressionReason } from './suppression.ts';

/** One message to be admitted: its record, its exact bytes, its deliveries (all share the bytes). */
export interface Admission {
  record: MessageRecord;
  /** The engine's from then on: once it is admitted, its memory may be freed, and it be empty. */
  body: Uint8Array;
  deliveries: QueueItem[];
  /** Deliveries that are settled already (suppressed, rendering failure) and are only recorded. */
  settled?: Outcome[];
}

/** Makes a retried call safe: the same key gives the first answer again. */
export interface IdempotencyClaim {
  /** Unique per caller (the caller's key id is part of it). */
  key: string;
  /** Digest of the request: another digest under the same key is a conflict. */
  digest: string;
  expiresAt: number;
  /** Response to the first call, returned again on a repeat. */
  response: string;
}

export type AdmitResult =
  | { kind: 'admitted' }
  /** The same call was admitted before; nothing was written. */
  | { kind: 'repeated'; response: string }
  /** The key was used before for another request; nothing was written. */
  | { kind: 'conflict' };

/** One leased delivery. */
export interface LeasedItem {
  item: QueueItem;
  /** The message as it travels. Its holder's until it settles the lease: then its memory may be freed, and it be empty. */
  bytes: Buffer;
  /** Number of leases so far, this one included. Above 1 its record must be read before it is sent. */
  receives: number;
  /** Opaque to all but the engine that issued it. */
  receipt: unknown;
}

/** The end of a lease. Durable when the promise of `settle` resolves. */
export type Settlement =
  /** Ended in a final state. */
  | { kind: 'end'; leased: LeasedItem; state: DeliveryState; attempt: Attempt }
  /** Tried; next attempt at `until`, or when its `site` is reached (`Ledger.recall`). */
  | { kind: 'defer'; leased: LeasedItem; until: number; attempt: Attempt; site?: string }
  /**
   * Not tried: back into its lane, not before `until` (0 = at once), for `reason`. With `lane`: into that lane, whose
   * processes do not move it on; where there is no such lane, back into its own. With `site`: sooner, if that site is
   * reached.
   */
  | {
      kind: 'release';
      leased: LeasedItem;
      until: number;
      reason: WaitReason;
      lane?: LaneName;
      site?: string;
    };

export interface LeaseRequest {
  lane: LaneName;
  /** Maximum items. */
  max: number;
  /** Time after which an unsettled item is leased again, ms. */
  visibility: number;
  /** Maximum wait for a first item (long poll), ms. 0 returns at once. */
  wait: number;
  signal?: AbortSignal;
}

export interface LaneDepth {
  lane: LaneName;
  /** Deliveries ready to be leased now. */
  ready: number;
  /** Leased and not settled. */
  leased: number;
}

/** What waits in one lane, of one tenant where the engine counts tenants. */
export interface QueueDepth {
  lane: LaneName;
  /** Absent: of all tenants together. */
  tenant?: string;
  /** Deliveries ready to be leased now. */
  ready: number;
  /** Leased and not settled. */
  leased: number;
  /** Deliveries that wait for a time; on AWS, of those within fifteen minutes. */
  later: number;
  /**
   * When the ready delivery whose turn is next was accepted, since the epoch, ms; of one on disk, when the one before
   * it was. Absent: none is ready, or it is not known.
   */
  oldest?: number;
}

export interface QueueDepths {
  depths: QueueDepth[];
  /** False: deliveries that wait for a longer time are in no depth; `Ledger.waiting` counts them. */
  whole: boolean;
}

export interface Queue {
  /**
   * Admits messages: all of them durable when it resolves, or none visible (law 1). Deliveries with `due` in the
   * future wait in the ledger.
   */
  admit(messages: Admission[], claim?: IdempotencyClaim): Promise<AdmitResult>;
  /** Fair between the tenants of the lane: round-robin, independent of their backlogs. */
  lease(request: LeaseRequest): Promise<LeasedItem[]>;
  settle(settlements: Settlement[]): Promise<void>;
  /**
   * Writes ends down that `settle` follows for, without waiting for a disk: they outlive this process, and the next
   * one in its place settles them before it leases anything. Never throws. An engine that was opened without a place
   * for it does nothing.
   */
  note(ends: readonly Settlement[]): void;
  /** Prolongs the visibility of leased items. */
  extend(leased: LeasedItem[], visibility: number): Promise<void>;
  /** Lanes that hold or held a delivery since the start. */
  lanes(): Promise<LaneDepth[]>;
  /**
   * What waits, from counters: cheap enough for a display that is renewed.
   * @param lanes that are asked for besides those that the engine lists by itself; on AWS a request each, at most every
   * few seconds.
   */
  depths(lanes?: readonly LaneName[]): Promise<QueueDepths>;
}

/** The result of a promotion. */
export interface Promotion {
  /** Number of moved deliveries. */
  moved: number;
  /** The earliest due time among the examined deliveries; certain when none was moved. */
  next?: number;
}

/** Matches waiting deliveries that agree in every given member. */
export interface WaitingMatch {
  tenant?: string;
  campaign?: string;
  /** Domain of the recipient, lower case A-label. */
  domain?: string;
  pool?: string;
  /** Provider group of the lane. */
  group?: string;
}

export interface WaitingFigures {
  /** Number of matching deferred deliveries, without those that their sender scheduled for later. */
  deferred: number;
  /** Number of matching deliveries in a lane or being sent; absent: the engine cannot search its lanes. */
  queued?: number;
  /** False: the store holds more rows than were examined, so that both figures are lower bounds. */
  complete: boolean;
}

export interface Ledger {
  /** Number of deliveries that wait for a time, and the earliest such time. Counting is expensive: not for a poll. */
  waiting(): Promise<{ count: number; next?: number }>;
  /** Moves due deliveries into their lanes. The embedded engine also does it by itself. */
  promote(): Promise<Promotion>;
  /**
   * Cancels the waiting deliveries of a message (queued or deferred, not leased).
   * @returns the places (`n`) that were cancelled.
   */
  cancel(messageId: string): Promise<number[]>;
  /** Counts waiting deliveries. Examines them one by one, up to a bound: not for a poll. */
  count(match: WaitingMatch): Promise<WaitingFigures>;
  /**
   * Makes matching deferred deliveries due now; one that its sender scheduled for later keeps its time. On AWS a
   * delivery that is due within fifteen minutes is in its lane already, and keeps its time too.
   * @returns the number of deliveries that were made due.
   */
  hasten(match: WaitingMatch): Promise<number>;
  /**
   * Makes deliveries due now that wait for a site, which was reached: `max` of them at most, those that would have been due
   * first before others. Costs the same whatever else waits. On AWS one process at a time recalls a site, and what is due
   * within fifteen minutes keeps its time.
   * @param site at most `LONGEST_SITE` characters.
   * @returns how many, and whether there may be more.
   */
  recall(site: string, max: number): Promise<{ recalled: number; more: boolean }>;
}

/** Most characters of the name of a site that deliveries wait for: a key of DynamoDB has 2,048 bytes. */
export const LONGEST_SITE = 1_000;

/** A page of the outcome feed. */
export interface FeedPage {
  /** Start of the next page: the position of the last outcome, or the given cursor. */
  cursor: number;
  outcomes: Outcome[];
  /** Position of each outcome. A page after `place - 1` begins with it, as long as its message is kept. */
  places: number[];
}

/** What one step of `Records.anonymise` did. */
export interface Anonymised {
  /** Messages to the address that no longer name it. */
  messages: number;
  /** Lines of what happened that no longer name it. */
  outcomes: number;
  /** Messages to it with a delivery that has not ended: they stay as they are. */
  underWay: number;
  /** Where the next step begins; absent: there is none. */
  next?: number;
}

export interface Records {
  message(id: string): Promise<MessageRecord | undefined>;
  /** The messages of the call by which this one was accepted, itself among them; none when it is not stored. */
  call(messageId: string): Promise<MessageRecord[]>;
  deliveries(messageId: string): Promise<DeliveryRecord[]>;
  /** State of one delivery, against which a redelivered item is checked. */
  state(messageId: string, n: number): Promise<DeliveryState | undefined>;
  /** The first answer to an idempotent call, when the key exists and has not expired. */
  claim(key: string): Promise<{ digest: string; response: string } | undefined>;
  /**
   * Writes outcomes that are not the end of a lease (rendering failure, a later bounce or complaint, opens and
   * clicks). An engine may keep no more than `REPORTS_SHOWN` of a message's opens and clicks.
   */
  append(outcomes: Outcome[]): Promise<void>;
  /**
   * Bounces and complaints reported about a message, and the oldest opens and clicks, `REPORTS_SHOWN` at most; oldest
   * first.
   */
  reports(messageId: string): Promise<Outcome[]>;
  /**
   * Messages of a tenant, newest first. A message is found as soon as it was taken in, as long as its record is kept.
   * @throws `invalid_page_token`; `unsupported_operation` where no index is kept.
   */
  search(search: MessageSearch): Promise<MessageSearchPage>;
  /** The outcome feed after a cursor, oldest first. The cursor of the start is 0. */
  feed(after: number, max: number): Promise<FeedPage>;
  /** The cursor behind the newest outcome; on AWS, behind the newest that this process has received. */
  feedEnd(): Promise<number>;
  /**
   * Takes an address out of a tenant's messages and of what happened to them, a step at a time; what is erased cannot
   * be read again.
   * @param after `next` of the step before; 0 to begin. @returns undefined: the engine cannot search what it stores
   * (on AWS records are found by their id alone, and expire by themselves).
   */
  anonymise(address: string, tenant: string, after: number): Promise<Anonymised | undefined>;
  /**
   * Removes records older than `before` whose deliveries all ended, and expired rows, idempotency claims and marks of
   * addresses that were taken off; at most `max` of each.
   * @returns the number removed of the kind of which it is greatest: `max` when there may be more.
   */
  prune(before: number, max: number): Promise<number>;
}

export interface Bodies {
  put(id: string, bytes: Uint8Array, expiresAt: number): Promise<void>;
  get(id: string): Promise<Buffer | undefined>;
  delete(id: string): Promise<void>;
  /** Removes expired bodies, at most `max`. @returns the number removed. */
  prune(now: number, max: number): Promise<number>;
}

/** Selects entries of a suppression list. */
export interface SuppressionQuery {
  tenant: string;
  /** Absent: for any reason. */
  reasons?: readonly SuppressionReason[];
  /** Listed at this time or later, ms. */
  from?: number;
  /** Listed before this time, ms. */
  before?: number;
  /** Only entries behind this one, which need not exist any more. */
  after?: Pick<Suppression, 'reason' | 'at' | 'address'>;
  max: number;
}

/**
 * The suppression lists, one for each tenant, of any length. The latest change of an address counts: an older one has
 * no effect, so that changes may come twice and in any order.
 */
export interface Suppressions {
  /**
   * Looks addresses up, ignoring case. A change shows within about a second.
   * @returns entries in the order of the addresses, undefined where an address is not on the list; no promise where
   * memory has the answer, because every message that is taken in asks.
   */
  find(
    addresses: readonly Pick<Suppression, 'tenant' | 'address'>[],
  ): (Suppression | undefined)[] | Promise<(Suppression | undefined)[]>;
  /** Puts an address on the list, or replaces its entry. @returns false when a newer change exists. */
  put(entry: Suppression): Promise<boolean>;
  /**
   * Removes an address from the list. The removal is remembered for `REMOVAL_MEMORY`.
   * @param reason only if it is listed for this, and not since later than `at`. @returns whether such an entry
   * existed.
   */
  remove(tenant: string, address: string, at: number, reason?: SuppressionReason): Promise<boolean>;
  /** By reason, then from the oldest entry on. A change shows within about a second. */
  list(query: SuppressionQuery): Promise<Suppression[]>;
}

/**
 * Rows of small JSON values (`rows.ts` has the limits). A change shows at once, to every process. An expired row is
 * not there. What breaks a limit is `storage_refused`, and nothing of the call is done.
 */
export interface Rows {
  /** @returns rows in the order of the keys; undefined where there is none. */
  get(keys: readonly RowKey[]): Promise<(Row | undefined)[]>;
  /**
   * Writes rows, whatever was there; of two with one name the last counts. On AWS each is written at its own time: a
   * call that fails may have written some.
   */
  put(rows: readonly NewRow[]): Promise<void>;
  /**
   * Writes a row if it has not been changed since it was read.
   * @param expect version that must be current; 0: there must be no row.
   * @returns the new version. @throws `config_conflict` when `expect` does not hold.
   */
  change(row: NewRow, expect: number): Promise<number>;
  /** Removes rows; those that do not exist are no fault. */
  delete(keys: readonly RowKey[]): Promise<void>;
  query(query: RowQuery): Promise<Row[]>;
  /**
   * Adds to counters, each row at most once in a batch. A batch whose id was counted within `BATCH_MEMORY` changes
   * nothing; the same id stands for the same deltas. Embedded, a batch counts whole or not at all. On AWS a part of it
   * that fits one transaction does, and a repeat counts the missing parts alone.
   * @returns false: all of it was counted before. @throws `storage_refused` for a row that `put` or `change` wrote.
   */
  add(batch: string, deltas: readonly RowDelta[]): Promise<boolean>;
}

/** A stored configuration document. */
export interface Document {
  kind: string;
  key: string;
  /** JSON value. */
  value: unknown;
  /** Grows by one with each change of this document. */
  version: number;
}

/** What changed: a document; without a key, any of its kind; without a kind, any document. */
export interface ConfigChange {
  kind?: string;
  key?: string;
}

export type ConfigListener = (change: ConfigChange) => void | Promise<void>;

/** Selects documents of a kind. */
export interface DocumentQuery {
  /** Only keys that begin so. */
  prefix?: string;
  /** Only keys behind this one, which need not exist any more. */
  after?: string;
  max?: number;
}

export interface Config {
  get(kind: string, key: string): Promise<Document | undefined>;
  /** Reads many documents at once. @returns them in the order of the keys; undefined where there is none. */
  getAll(kind: string, keys: readonly string[]): Promise<(Document | undefined)[]>;
  /** In the order of keys (UTF-8 bytes). */
  list(kind: string, query?: DocumentQuery): Promise<Document[]>;
  /** Number of documents whose keys begin with `prefix`. */
  count(kind: string, prefix: string): Promise<number>;
  /**
   * @param expect version that must be current (0: must not exist yet); absent: any.
   * @returns the new version. @throws `config_conflict` when `expect` does not hold.
   */
  put(kind: string, key: string, value: unknown, expect?: number): Promise<number>;
  /** @returns whether it existed. */
  delete(kind: string, key: string): Promise<boolean>;
  /**
   * Calls the listener after each change by any process, within about a second; many changes of a kind, and what a
   * process missed that was stopped for long, may be one call. A listener that reads the change returns a promise, for
   * `catchUp`; it never rejects. Returns an unsubscriber.
   */
  watch(listener: ConfigListener): () => void;
  /**
   * Resolves when the listeners of this process have handled every change that is more than a second old: for a
   * process that may have been stopped meanwhile, before it uses its state in memory. Costs nothing while the process
   * runs.
   */
  catchUp(): Promise<void>;
}

/** An owner of a lease, for which a checkpoint is read and written. */
export interface LeaseHolder {
  readonly lease: string;
  readonly owner: string;
}

/** The last report of a holder. */
export interface StoredReport {
  readonly holder: string;
  readonly value: unknown;
}

export interface Leases {
  /** Acquires or renews ownership of a name. Returns its end, or undefined while another owns it. */
  acquire(name: string, owner: string, ttl: number): Promise<number | undefined>;
  release(name: string, owner: string): Promise<void>;
  /**
   * The owner of a name, for a display; undefined: nobody, as far as storage shows. One that died lately may still be
   * named.
   */
  holder(name: string): Promise<string | undefined>;
  /**
   * Stores what one of the holders of a name reports, in place of its last report. A report with a lower count than the
   * stored one is left out: it comes late.
   */
  report(name: string, holder: string, count: number, value: unknown): Promise<void>;
  /** The last reports of all holders of a name, as of now. */
  reports(name: string): Promise<StoredReport[]>;
  /** Removes the report of a holder, unless it has reported since that count. */
  forget(name: string, holder: string, count: number): Promise<void>;
  /**
   * Reads a checkpoint (shaping state of an IP). With a holder: from now on no earlier owner of its lease can write
   * it, so that a process that was paused and wakes overwrites nothing of its successor's.
   * @throws `lease_lost` when the holder does not have the lease.
   */
  checkpoint(name: string, holder?: LeaseHolder): Promise<unknown>;
  /**
   * Writes a checkpoint. @throws `lease_lost` when another owner has the lease and has read the checkpoint: nothing
   * is written.
   */
  saveCheckpoint(name: string, value: unknown, holder?: LeaseHolder): Promise<void>;
}

/** A whole engine. */
export interface Engine {
  queue: Queue;
  ledger: Ledger;
  records: Records;
  bodies: Bodies;
  suppressions: Suppressions;
  rows: Rows;
  config: Config;
  leases: Leases;
  files: Files;
  /** Writes a copy of the store of one instant into a new file, while it is in use; absent: the engine has no file. */
  snapshot?(file: string): Promise<void>;
  /** Storage figures for metrics and health. */
  health(): Promise<{ ok: boolean; detail?: string; bytes?: number }>;
  close(): Promise<void>;
}
