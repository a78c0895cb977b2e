/**
 * Rows: small JSON values by kind, partition and key, for what is neither mail nor configuration: counters, contacts,
 * an index, attempts of an endpoint. Their limits are DynamoDB's, rounded down, and hold for every engine, so that
 * what runs on one machine runs on AWS.
 */
import { PosternError } from '../errors.ts';
import { DAY } from '../time.ts';

/** The name of a row. */
export interface RowKey {
  /** What the row is, as `statistics`: lower case letters, digits and `-`. Roles on AWS are held to kinds. */
  kind: string;
  /** Rows of one partition are listed together. One partition takes some 1,000 writes a second on AWS. */
  partition: string;
  /** Orders the rows of a partition, by UTF-8 bytes. */
  key: string;
}

export interface Row extends RowKey {
  /** JSON value; of counters an object of numbers by name. */
  value: unknown;
  /** Another number after each write; only equality has a meaning. */
  version: number;
  /** From this time on the row is not there, ms. Absent: it stays. */
  expiresAt?: number;
}

export type NewRow = Omit<Row, 'version'>;

/** Rows of a partition in the order of their keys. */
export interface RowQuery {
  kind: string;
  partition: string;
  /** Keys from here on … */
  from?: string;
  /** … and below this one. */
  before?: string;
  /** From the last key down. */
  descending?: boolean;
  /** Only behind this key in the order of the query; it need not exist. */
  after?: string;
  /** 1 to `ROW_CALL`. A shorter answer is the end. */
  max: number;
}

/** What is added to the counters of one row. */
export interface RowDelta extends RowKey {
  /** By name of counter; a missing counter is 0. */
  add: Record<string, number>;
  /** New time of expiry, ms; absent: as it was. */
  expiresAt?: number;
}

/** Bytes of a kind with its partition, and of a key (DynamoDB: 2,048 and 1,024). */
export const PARTITION_BYTES = 1_024;
export const KEY_BYTES = 1_024;
/** Bytes of a value as JSON (DynamoDB: 400 KB an item). */
export const ROW_BYTES = 256 << 10;
/** Rows, keys or deltas of one call, and `max` of a query. */
export const ROW_CALL = 1_000;
/** Bytes of the name of a counter. */
export const COUNTER_BYTES = 512;
/** Time for which the id of a batch of deltas is remembered, ms. */
export const BATCH_MEMORY = DAY;
/** Kind of the rows that remember the ids of batches. No caller uses it. */
export const COUNTED = 'counted';

const KIND = /^[a-z][a-z0-9-]{0,63}$/;

/** @throws PosternError `storage_refused` that names the fault. */
export function checkKeys(keys: readonly RowKey[]): void {
  checkCount(keys.length);
  for (const { kind, partition, key } of keys) {
    checkPartition(kind, partition);
    checkText('key', key, KEY_BYTES);
  }
}

/** Values as JSON, in the order of the rows. @throws PosternError `storage_refused` that names the fault. */
export function checkRows(rows: readonly NewRow[]): string[] {
  checkKeys(rows);
  return rows.map(({ kind, key, value }) => {
    const json = JSON.stringify(value) as string | undefined;
    if (json === undefined) throw refused(`the value of the row ${kind} ${key} is no JSON`);
    const size = Buffer.byteLength(json);
    if (size > ROW_BYTES)
      throw refused(`the value of the row ${kind} ${key} has ${size} bytes, and ${ROW_BYTES} are the limit`);
    return json;
  });
}

/** @throws PosternError `storage_refused` that names the fault. */
export function checkQuery({ kind, partition, max }: RowQuery): void {
  checkPartition(kind, partition);
  if (!Number.isInteger(max) || max < 1 || max > ROW_CALL)
    throw refused(`a query is for 1 to ${ROW_CALL} rows, not ${max}`);
}

/** @throws PosternError `storage_refused` that names the fault. */
export function checkDeltas(batch: string, deltas: readonly RowDelta[]): void {
  checkKeys(deltas);
  checkText('id of a batch', batch, PARTITION_BYTES - COUNTED.length - 1);
  const seen = new Set<string>();
  for (const { kind, partition, key, add } of deltas) {
    const id = JSON.stringify([kind, partition, key]);
    if (seen.has(id)) throw refused(`the row ${kind} ${key} is named twice in the batch ${batch}`);
    seen.add(id);
    for (const [name, value] of Object.entries(add)) {
      checkText('name of a counter', name, COUNTER_BYTES);
      if (!Number.isSafeInteger(value))
        throw refused(`the counter ${name} of ${kind} ${key} grows by ${value}`);
    }
  }
}

/** The counters of a row after a delta. @throws PosternError `storage_refused` when the row holds something else. */
export function countersAfter(
  row: RowKey,
  held: unknown,
  add: Record<string, number>,
): Record<string, number> {
  const counters = held === undefined ? {} : held;
  if (typeof counters !== 'object' || counters === null || Array.isArray(counters)) throw notCounters(row);
  const sums = new Map(Object.entries(counters as Record<string, number>));
  for (const [name, value] of Object.entries(add)) sums.set(name, (sums.get(name) ?? 0) + value);
  // A name such as `__proto__` is a counter like any other.
  return Object.fromEntries(sums);
}

export function notCounters({ kind, key }: RowKey): PosternError {
  return refused(`the row ${kind} ${key} holds a value that was written, not counters`);
}

export function rowConflict({ kind, key }: RowKey, expect: number): PosternError {
  const found = expect === 0 ? 'exists already' : 'was changed by someone else';
  return new PosternError(
    'config_conflict',
    `The row ${kind} ${key} ${found}. Read it again and repeat the change.`,
  );
}

function checkCount(count: number): void {
  if (count > ROW_CALL) throw refused(`a call is for ${ROW_CALL} rows at most, not ${count}`);
}

function checkPartition(kind: string, partition: string): void {
  if (!KIND.test(kind) || kind === COUNTED) throw refused(`"${kind}" is no kind of row`);
  checkText('partition', partition, PARTITION_BYTES - kind.length - 1);
}

function checkText(what: string, value: string, limit: number): void {
  const size = Buffer.byteLength(value);
  if (size === 0) throw refused(`a ${what} of a row is empty`);
  if (size > limit) throw refused(`a ${what} of a row has ${size} bytes, and ${limit} are the limit`);
  // Half of a pair would come back as another text.
  if (!value.isWellFormed()) throw refused(`a ${what} of a row is no Unicode text`);
}

function refused(why: string): PosternError {
  return new PosternError('storage_refused', `The store refuses a call: ${why}.`);
}
