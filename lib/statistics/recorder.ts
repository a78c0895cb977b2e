/**
 * Writes a tally: each batch once, however often it comes. Values of a dimension beyond `DISTINCT_VALUES` in an hour
 * are counted as `OTHER`, so that a tenant which makes up campaigns or domains makes no row grow without end; what a
 * row holds already is read once and remembered.
 */
import { createHash } from 'node:crypto';
import { Cache } from '../cache.ts';
import type { Rows } from '../engine/ports.ts';
import { ROW_CALL, type RowDelta } from '../engine/rows.ts';
import { DISTINCT_VALUES, OTHER, type Tally, valueIn } from './tally.ts';

/** Rows whose values are remembered. */
const REMEMBERED = 4_000;

export interface RecorderOptions {
  rows: Pick<Rows, 'get' | 'add'>;
  /** Rows side by side for one hour: as many as processes may write to at one time without waiting for each other. */
  shards: number;
}

export class StatisticsRecorder {
  readonly #rows: RecorderOptions['rows'];
  readonly #shards: number;
  /** Values of each row, by its name. */
  readonly #values = new Cache<string, ReadonlySet<string>>(REMEMBERED);
  /** Marks that are written already, each with its time of expiry. */
  readonly #marked = new Cache<string, number>(REMEMBERED);

  constructor({ rows, shards }: RecorderOptions) {
    this.#rows = rows;
    this.#shards = shards;
  }

  /**
   * @param batch id of what the tally sums: the same id stands for the same outcomes.
   * @param besides counted in the same transaction, where everything fits one call of the port.
   * @returns false when all of it was counted before. @throws PosternError of the storage group.
   */
  async count(batch: string, tally: Tally, besides: readonly RowDelta[] = []): Promise<boolean> {
    const shard = this.#shards === 1 ? 0 : createHash('sha256').update(batch).digest()[0]! % this.#shards;
    const rows = tally.deltas(shard);
    const values = await this.#valuesOf(rows);
    const marks = tally.marks().filter((mark) => (this.#marked.get(mark.key) ?? 0) < mark.expiresAt!);
    const bounded = rows.map((row, at) => ({ ...row, add: withinBounds(row.add, values[at]!) }));
    const deltas = [...besides, ...bounded, ...marks];
    let counted = false;
    for (let at = 0; at < deltas.length; at += ROW_CALL) {
      const id = at === 0 ? batch : `${batch}.${at}`;
      counted = (await this.#rows.add(id, deltas.slice(at, at + ROW_CALL))) || counted;
    }
    for (const [at, row] of rows.entries()) this.#values.set(nameOf(row), values[at]!);
    for (const { key, expiresAt } of marks) this.#marked.set(key, expiresAt!);
    return counted;
  }

  async #valuesOf(rows: readonly RowDelta[]): Promise<Set<string>[]> {
    const unknown = rows.filter((row) => this.#values.get(nameOf(row)) === undefined);
    const read = new Map<string, Set<string>>();
    for (let at = 0; at < unknown.length; at += ROW_CALL) {
      const part = unknown.slice(at, at + ROW_CALL);
      const found = await this.#rows.get(part);
      for (const [i, row] of part.entries()) {
        const names = Object.keys((found[i]?.value ?? {}) as object);
        read.set(nameOf(row), new Set(names.flatMap((name) => valueIn(name) ?? [])));
      }
    }
    return rows.map((row) => new Set(this.#values.get(nameOf(row)) ?? read.get(nameOf(row))));
  }
}

function nameOf({ partition, key }: RowDelta): string {
  return `${key} ${partition}`;
}

/** Counters with the values that the row has room for, which join `known`. */
function withinBounds(add: Record<string, number>, known: Set<string>): Record<string, number> {
  const taken = new Map<string, number>();
  for (const value of known) taken.set(value[0]!, (taken.get(value[0]!) ?? 0) + 1);
  const sums = new Map<string, number>();
  for (const [name, amount] of Object.entries(add)) {
    const value = valueIn(name);
    let counted = name;
    if (value !== undefined && !known.has(value)) {
      const letter = value[0]!;
      const used = taken.get(letter) ?? 0;
      if (used < DISTINCT_VALUES) {
        known.add(value);
        taken.set(letter, used + 1);
      } else counted = `${name[0]}${letter}:${OTHER}`;
    }
    sums.set(counted, (sums.get(counted) ?? 0) + amount);
  }
  return Object.fromEntries(sums);
}
