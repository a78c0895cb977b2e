/** Statistics in the forms of SES: the data points of `GetSendStatistics`, the daily metrics of `BatchGetMetricData`. */
import { DAY } from '../time.ts';
import type { Counter, StatisticsDimension } from './counters.ts';
import type { StatisticsReader } from './reader.ts';

/** Age of the data points of `GetSendStatistics`, ms. */
const TWO_WEEKS = 14 * DAY;

/** `SendDataPoint`: a quarter of an hour. */
export interface SendDataPoint {
  Timestamp: Date;
  DeliveryAttempts: number;
  Bounces: number;
  Complaints: number;
  Rejects: number;
}

/** The quarter hours of the last two weeks in which anything of these was counted of a tenant's mail. */
export async function sendStatistics(
  reader: StatisticsReader,
  tenant: string,
  now: number,
): Promise<SendDataPoint[]> {
  const range = { from: now - TWO_WEEKS, before: now + DAY, granularity: 'quarter' } as const;
  const points = (await reader.series({ ...range, tenant })).map(({ at, counts }) => ({
    Timestamp: new Date(at),
    DeliveryAttempts: counts.sent ?? 0,
    Bounces: (counts.permanentBounces ?? 0) + (counts.transientBounces ?? 0),
    Complaints: counts.complaints ?? 0,
    Rejects: counts.rejects ?? 0,
  }));
  return points.filter((one) => one.DeliveryAttempts + one.Bounces + one.Complaints + one.Rejects > 0);
}

/** The metrics of `BatchGetMetricData` that are kept. */
export const METRIC_COUNTERS = {
  SEND: 'sent',
  DELIVERY: 'delivered',
  COMPLAINT: 'complaints',
  PERMANENT_BOUNCE: 'permanentBounces',
  TRANSIENT_BOUNCE: 'transientBounces',
  OPEN: 'opens',
  CLICK: 'clicks',
} as const satisfies Record<string, Counter>;

/** ISPs in SES's words, by our groups of providers. */
export const ISPS = { google: 'Gmail', microsoft: 'Outlook', yahoo: 'Yahoo', apple: 'iCloud' } as const;

export interface MetricQuery {
  tenant: string;
  counter: Counter;
  from: number;
  before: number;
  only?: { dimension: StatisticsDimension; values: readonly string[] };
}

/** A value for each day of a range. */
export async function dailyMetric(
  reader: StatisticsReader,
  { tenant, counter, from, before, only }: MetricQuery,
): Promise<{ days: Date[]; values: number[] }> {
  const first = from - (from % DAY);
  const points = await reader.series({
    tenant,
    from: first,
    before,
    granularity: 'day',
    by: only?.dimension,
  });
  const sums = new Map<number, number>();
  for (let day = first; day < before; day += DAY) sums.set(day, 0);
  for (const { at, value, counts } of points) {
    if (only && !only.values.includes(value ?? '')) continue;
    sums.set(at, (sums.get(at) ?? 0) + (counts[counter] ?? 0));
  }
  return { days: Array.from(sums.keys(), (day) => new Date(day)), values: [...sums.values()] };
}
