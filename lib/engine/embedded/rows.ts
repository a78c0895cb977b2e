/** The port of rows. */
import type { Clock } from '../../time.ts';
import type { Rows } from '../ports.ts';
import {
  checkDeltas,
  checkKeys,
  checkQuery,
  checkRows,
  type NewRow,
  type Row,
  type RowDelta,
  type RowKey,
  type RowQuery,
  rowConflict,
} from '../rows.ts';
import { readValue } from './json.ts';
import type { Link } from './link.ts';
import type { RowName, RowTuple } from './protocol.ts';

export class EmbeddedRows implements Rows {
  readonly #link: Link;
  readonly #clock: Clock;
  #version = 0;

  constructor(link: Link, clock: Clock) {
    this.#link = link;
    this.#clock = clock;
  }

  async get(keys: readonly RowKey[]): Promise<(Row | undefined)[]> {
    checkKeys(keys);
    if (keys.length === 0) return [];
    const found = await this.#link.call('getRows', { names: keys.map(nameOf), now: this.#clock.now() });
    return found.map((tuple) => tuple && rowOf(tuple));
  }

  async put(rows: readonly NewRow[]): Promise<void> {
    const tuples = this.#tuples(rows);
    if (tuples.length > 0) await this.#link.call('putRows', tuples);
  }

  async change(row: NewRow, expect: number): Promise<number> {
    const tuple = this.#tuples([row])[0]!;
    if (!(await this.#link.call('changeRow', { row: tuple, expect, now: this.#clock.now() })))
      throw rowConflict(row, expect);
    return tuple[4];
  }

  async delete(keys: readonly RowKey[]): Promise<void> {
    checkKeys(keys);
    if (keys.length > 0) await this.#link.call('deleteRows', keys.map(nameOf));
  }

  async query(query: RowQuery): Promise<Row[]> {
    checkQuery(query);
    const { kind, partition, from = '', before = null, after = null, descending = false, max } = query;
    const now = this.#clock.now();
    const range = { kind, partition, from, before, after, descending, now, max };
    return (await this.#link.call('queryRows', range)).map(rowOf);
  }

  async add(batch: string, deltas: readonly RowDelta[]): Promise<boolean> {
    checkDeltas(batch, deltas);
    const call = { batch, deltas: [...deltas], version: this.#next(), now: this.#clock.now() };
    return this.#link.call('addRows', call);
  }

  #tuples(rows: readonly NewRow[]): RowTuple[] {
    const values = checkRows(rows);
    return rows.map((row, at) => [...nameOf(row), values[at]!, this.#next(), row.expiresAt ?? null]);
  }

  /** A version that no row has had: of the time, and above the last one. */
  #next(): number {
    this.#version = Math.max(this.#version + 1, this.#clock.now() * 1_024);
    return this.#version;
  }
}

function nameOf({ kind, partition, key }: RowKey): RowName {
  return [kind, partition, key];
}

function rowOf([kind, partition, key, value, version, expires]: RowTuple): Row {
  return {
    kind,
    partition,
    key,
    value: readValue(value, `the row ${kind} ${key}`),
    version,
    ...(expires !== null && { expiresAt: expires }),
  };
}
