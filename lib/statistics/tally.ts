/**
 * Sums outcomes in memory to what is added to the rows of statistics. Pure.
 *
 * ```
 *  kind statistics │ partition  tenant, or `*` for all    │ key  m/2026-03-01T14/0   part, hour, shard
 *                  │                                      │      `m`: all but campaigns, `g`: campaigns
 *  counters        │ d = 7   total    │ d@2 = 3   third quarter of the hour    │ di:example.com = 5   by identity
 * ```
 * One row holds all of an hour but campaigns, because on AWS a write is paid by the row.
 */
import type { MessageRecord, Outcome } from '../engine/items.ts';
import type { RowDelta } from '../engine/rows.ts';
import { DAY, HOUR, MINUTE } from '../time.ts';
import {
  COUNTERS,
  type Counter,
  countsOf,
  DIMENSION_LETTERS,
  type DimensionValues,
  dimensionsOf,
  type MailCounts,
} from './counters.ts';

/** Kind of the rows of statistics. */
export const STATISTICS = 'statistics';
/** Partition of the sums over all tenants: no tenant has this name. */
export const ALL_TENANTS = '*';
/** Beginning of the partition of what a split pool sends itself, and not by its smarthost. */
const SPLIT = '*split/';
/** Partition of what a split pool sends itself. */
export function splitPartition(pool: string): string {
  return SPLIT + pool;
}
/** Partition of the tenants that had mail: a row for each, which goes with its last statistics. */
export const TENANTS_SEEN = '*tenants';
/** How long statistics are kept, ms. */
export const STATISTICS_AGE = 93 * DAY;
/** Values of one dimension that an hour of a tenant holds apart; the rest are counted as `OTHER`. */
export const DISTINCT_VALUES = 64;
export const OTHER = 'other';
export const QUARTER = 15 * MINUTE;

/** Parts of an hour: all but campaigns, and campaigns. */
export const MAIN_PART = 'm';
export const CAMPAIGN_PART = 'g';

/** Dimensions of the sums over all tenants: the others are names that each tenant chooses for itself. */
const OF_ALL = ['pool', 'ip', 'provider'] as const;
const OF_TENANT = ['identity', 'configurationSet', 'pool', 'ip', 'provider'] as const;

/** `2026-03-01T14` */
export function hourKey(at: number): string {
  return new Date(at).toISOString().slice(0, 13);
}

/** Names of dimension and value of a counter's name, as `i:example.com`; undefined for a total or a quarter. */
export function valueIn(name: string): string | undefined {
  return name[2] === ':' ? name.slice(1) : undefined;
}

/** A counter of a row, and what an outcome adds to it. */
type Addition = [row: Map<string, number>, name: string, amount: number];

/** Pools with a split that has a way back, each with the sites (`host:port`) to which the others' shares go. */
export type WatchedSplits = ReadonlyMap<string, ReadonlySet<string>>;
const NO_SPLITS: WatchedSplits = new Map();

/** Sums by row. */
export class Tally {
  readonly #rows = new Map<
    string,
    { partition: string; hour: number; part: string; add: Map<string, number> }
  >();
  /** The tenants that had mail, each with its last day. */
  readonly #tenants = new Map<string, number>();
  /** Outcomes that add the same to the same counters, and how many there were: most are of few kinds. */
  readonly #kinds = new Map<string, { additions: Addition[]; times: number }>();
  readonly #splits: WatchedSplits;

  /** @param splits whose own mail is counted apart. */
  constructor(splits: WatchedSplits = NO_SPLITS) {
    this.#splits = splits;
  }

  /** Number of rows that it changes, marks included. */
  get rows(): number {
    return this.#rows.size + this.#tenants.size;
  }

  /** Tenants that had mail since the tally was made. */
  tenants(): string[] {
    return [...this.#tenants.keys()];
  }

  add(record: MessageRecord, outcome: Outcome): void {
    const counts = countsOf(record, outcome);
    const values = dimensionsOf(record, outcome);
    const quarter = Math.floor(outcome.at / QUARTER);
    const own = this.#splits.size > 0 && this.#isOwn(record, outcome);
    const kind = JSON.stringify([record.tenant, quarter, counts, values, own]);
    const known = this.#kinds.get(kind);
    if (known) known.times += 1;
    else {
      const additions = this.#additions(record.tenant, quarter * QUARTER, counts, values);
      if (own) additions.push(...this.#ofSplit(record.pool!, quarter * QUARTER, counts));
      if (additions.length > 0) this.#kinds.set(kind, { additions, times: 1 });
    }
  }

  /** Adds what a tenant handed in, of all mail: outcomes tell of it by campaign alone. */
  accepted(tenant: string, at: number, amount: number): void {
    const hour = at - (at % HOUR);
    const quarter = Math.floor((at - hour) / QUARTER);
    for (const partition of [tenant, ALL_TENANTS]) {
      const row = this.#row(partition, hour, MAIN_PART);
      for (const name of [COUNTERS.accepted, `${COUNTERS.accepted}@${quarter}`])
        row.set(name, (row.get(name) ?? 0) + amount);
    }
    this.#mark(tenant, at);
  }

  /** Whether an attempt was made by a split pool itself, and a peer answered it. */
  #isOwn({ pool }: MessageRecord, { attempt }: Outcome): boolean {
    const others = pool === undefined ? undefined : this.#splits.get(pool);
    const mx = attempt?.mx;
    return others !== undefined && mx !== undefined && !others.has(`${mx.host}:${mx.port}`);
  }

  #ofSplit(pool: string, at: number, counts: MailCounts): Addition[] {
    const hour = at - (at % HOUR);
    const row = this.#row(splitPartition(pool), hour, MAIN_PART);
    return (Object.entries(counts) as [Counter, number][]).map(([counter, amount]) => [
      row,
      `${COUNTERS[counter]}@${(at - hour) / QUARTER}`,
      amount,
    ]);
  }

  #additions(tenant: string, at: number, counts: MailCounts, all: DimensionValues): Addition[] {
    const additions: Addition[] = [];
    const hour = at - (at % HOUR);
    const quarter = (at - hour) / QUARTER;
    const { campaign, ...values } = all;
    for (const [counter, amount] of Object.entries(counts) as [Counter, number][]) {
      const letter = COUNTERS[counter];
      if (counter !== 'accepted') {
        const own = this.#row(tenant, hour, MAIN_PART);
        const sums = this.#row(ALL_TENANTS, hour, MAIN_PART);
        for (const row of [own, sums])
          additions.push([row, letter, amount], [row, `${letter}@${quarter}`, amount]);
        for (const dimension of OF_TENANT) {
          const value = values[dimension];
          if (value === undefined) continue;
          const name = `${letter}${DIMENSION_LETTERS[dimension]}:${value}`;
          additions.push([own, name, amount]);
          if ((OF_ALL as readonly string[]).includes(dimension)) additions.push([sums, name, amount]);
        }
      }
      if (campaign !== undefined) {
        const name = `${letter}${DIMENSION_LETTERS.campaign}:${campaign}`;
        additions.push([this.#row(tenant, hour, CAMPAIGN_PART), name, amount]);
      }
    }
    if (additions.length > 0) this.#mark(tenant, at);
    return additions;
  }

  #mark(tenant: string, at: number): void {
    this.#tenants.set(tenant, Math.max(this.#tenants.get(tenant) ?? 0, at - (at % DAY)));
  }

  /**
   * What is to be added to the rows.
   * @param shard of the rows: processes that count at one time write rows of their own, so that none waits for another.
   */
  deltas(shard: number): RowDelta[] {
    for (const { additions, times } of this.#kinds.values())
      for (const [row, name, amount] of additions) row.set(name, (row.get(name) ?? 0) + times * amount);
    this.#kinds.clear();
    const deltas: RowDelta[] = [];
    for (const { partition, hour, part, add } of this.#rows.values()) {
      if (add.size === 0) continue;
      const key = `${part}/${hourKey(hour)}/${shard}`;
      const expiresAt = hour + STATISTICS_AGE;
      deltas.push({ kind: STATISTICS, partition, key, add: Object.fromEntries(add), expiresAt });
    }
    return deltas;
  }

  /** Marks of the tenants that had mail. */
  marks(): RowDelta[] {
    return Array.from(this.#tenants, ([tenant, day]) => ({
      kind: STATISTICS,
      partition: TENANTS_SEEN,
      key: tenant,
      add: {},
      expiresAt: day + STATISTICS_AGE,
    }));
  }

  #row(partition: string, hour: number, part: string): Map<string, number> {
    const id = `${hour} ${part} ${partition}`;
    let row = this.#rows.get(id);
    if (!row) this.#rows.set(id, (row = { partition, hour, part, add: new Map() }));
    return row.add;
  }
}
