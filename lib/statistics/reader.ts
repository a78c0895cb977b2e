/** Reads statistics: series by quarter hour, hour or day, of one tenant or of all. */
import type { Rows } from '../engine/ports.ts';
import { ROW_CALL } from '../engine/rows.ts';
import { DAY, HOUR } from '../time.ts';
import {
  COUNTERS,
  type Counter,
  DIMENSION_LETTERS,
  type MailCounts,
  type StatisticsDimension,
} from './counters.ts';
import {
  ALL_TENANTS,
  CAMPAIGN_PART,
  hourKey,
  MAIN_PART,
  QUARTER,
  STATISTICS,
  TENANTS_SEEN,
  valueIn,
} from './tally.ts';

/** Length of the periods of a series, ms. */
export const GRANULARITIES = { quarter: QUARTER, hour: HOUR, day: DAY } as const;
export type Granularity = keyof typeof GRANULARITIES;

export interface SeriesQuery {
  /** Absent: the sums over all tenants. */
  tenant?: string;
  /** Whole hours: begins with the one of `from`, ends before the one of `before`, ms. */
  from: number;
  before: number;
  granularity: Granularity;
  /** A point for each value of a dimension; not by quarter hour. */
  by?: StatisticsDimension;
  /** Only this value of a dimension. */
  only?: { dimension: StatisticsDimension; value: string };
}

/** The counts of a period, and of a value where the query names a dimension. */
export interface SeriesPoint {
  at: number;
  value?: string;
  counts: MailCounts;
}

const COUNTER_OF = new Map(Object.entries(COUNTERS).map(([counter, letter]) => [letter, counter as Counter]));

export class StatisticsReader {
  readonly #rows: Pick<Rows, 'query'>;

  constructor(rows: Pick<Rows, 'query'>) {
    this.#rows = rows;
  }

  /** Points with any count, by time and value. @throws PosternError of the storage group. */
  async series(query: SeriesQuery): Promise<SeriesPoint[]> {
    const { granularity, by, only } = query;
    const dimension = only?.dimension ?? by;
    const length = GRANULARITIES[granularity];
    const points = new Map<string, SeriesPoint>();
    const part = dimension === 'campaign' ? CAMPAIGN_PART : MAIN_PART;
    for await (const { hour, counters } of this.#hours(query, part)) {
      for (const [name, amount] of Object.entries(counters)) {
        const counter = COUNTER_OF.get(name[0] as never);
        const place = counter && placeOf(name, granularity, dimension);
        if (!place || (only && place.value !== only.value)) continue;
        const at = hour + place.offset - ((hour + place.offset) % length);
        const id = `${at} ${place.value ?? ''}`;
        let point = points.get(id);
        if (!point) points.set(id, (point = { at, value: place.value, counts: {} }));
        point.counts[counter] = (point.counts[counter] ?? 0) + amount;
      }
    }
    return [...points.values()].sort((a, b) => a.at - b.at || ((a.value ?? '') < (b.value ?? '') ? -1 : 1));
  }

  /** Tenants that had mail within `STATISTICS_AGE`, by name, behind `after`. */
  async tenants(after: string | undefined, max: number): Promise<string[]> {
    const rows = await this.#rows.query({ kind: STATISTICS, partition: TENANTS_SEEN, after, max });
    return rows.map(({ key }) => key);
  }

  /** The rows of the hours of a range, page by page. */
  async *#hours(
    { tenant = ALL_TENANTS, from, before }: SeriesQuery,
    part: string,
  ): AsyncGenerator<{ hour: number; counters: Record<string, number> }> {
    const range = {
      kind: STATISTICS,
      partition: tenant,
      from: `${part}/${hourKey(from)}`,
      before: `${part}/${hourKey(before)}`,
      max: ROW_CALL / 4,
    };
    for (let after: string | undefined; ; ) {
      const page = await this.#rows.query({ ...range, after });
      for (const { key, value } of page) {
        const hour = Date.parse(`${key.slice(part.length + 1, part.length + 14)}:00Z`);
        yield { hour, counters: value as Record<string, number> };
      }
      after = page.at(-1)?.key;
      if (page.length < range.max) return;
    }
  }
}

/** Where a counter belongs in a series; undefined: nowhere. */
function placeOf(
  name: string,
  granularity: Granularity,
  dimension: StatisticsDimension | undefined,
): { offset: number; value?: string } | undefined {
  if (dimension !== undefined) {
    const value = valueIn(name);
    if (value?.[0] !== DIMENSION_LETTERS[dimension]) return undefined;
    return { offset: 0, value: value.slice(2) };
  }
  if (granularity === 'quarter') return name[1] === '@' ? { offset: Number(name[2]) * QUARTER } : undefined;
  return name.length === 1 ? { offset: 0 } : undefined;
}

/** The sum of the counts of points. */
export function sumOf(points: readonly SeriesPoint[]): MailCounts {
  const sum: MailCounts = {};
  for (const { counts } of points)
    for (const [counter, amount] of Object.entries(counts) as [Counter, number][])
      sum[counter] = (sum[counter] ?? 0) + amount;
  return sum;
}
