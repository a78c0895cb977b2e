/** Exports of metrics: a row for each value of the dimension, with a column for each metric. */
import type { Rows } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { MailCounts, StatisticsDimension } from '../statistics/counters.ts';
import { type SeriesPoint, StatisticsReader, sumOf } from '../statistics/reader.ts';
import { ISPS, METRIC_COUNTERS } from '../statistics/ses-metrics.ts';
import type { ExportRow } from './export-file.ts';
import type { ExportDimension, MetricsSource } from './export-jobs.ts';

export const EXPORT_DIMENSIONS = {
  EMAIL_IDENTITY: 'identity',
  CONFIGURATION_SET: 'configurationSet',
  ISP: 'provider',
} as const satisfies Record<ExportDimension, StatisticsDimension>;

/** What a rate is of: deliveries of what was sent, what readers do of what was delivered. */
const OF: Readonly<Record<string, 'sent' | 'delivered'>> = {
  SEND: 'sent',
  DELIVERY: 'sent',
  PERMANENT_BOUNCE: 'sent',
  TRANSIENT_BOUNCE: 'sent',
  COMPLAINT: 'delivered',
  OPEN: 'delivered',
  CLICK: 'delivered',
};

type KeptMetric = keyof typeof METRIC_COUNTERS;

/** @throws PosternError `unsupported_operation` for what the statistics do not have. */
export function requireKept({ dimensions, metrics }: MetricsSource): void {
  for (const { name } of metrics)
    if (!Object.hasOwn(METRIC_COUNTERS, name))
      throw new PosternError('unsupported_operation', `Metric ${name} is not kept by this service.`);
  const { TENANT_NAME: _, ...others } = dimensions;
  if (Object.keys(others).length > 1)
    throw new PosternError(
      'unsupported_operation',
      'An export by two dimensions at one time is not supported by this service: name one of EMAIL_IDENTITY, CONFIGURATION_SET and ISP, with or without TENANT_NAME.',
    );
}

/** Rows by tenant and value. @param own tenant of the order. */
export async function* metricRows(
  rows: Rows,
  own: string,
  { dimensions, metrics, from, before }: MetricsSource,
): AsyncGenerator<ExportRow> {
  const { TENANT_NAME: named, ...others } = dimensions;
  const [[dimension, values] = []] = Object.entries(others) as [ExportDimension, readonly string[]][];
  const range = { StartDate: new Date(from).toISOString(), EndDate: new Date(before).toISOString() };
  for (const tenant of new Set((named ?? [own]).map((one) => (one === '*' ? own : one)))) {
    const by = dimension && EXPORT_DIMENSIONS[dimension];
    const points = await new StatisticsReader(rows).series({ tenant, from, before, granularity: 'day', by });
    const sums = sumsOf(points, dimension);
    for (const value of wantedOf(values, sums))
      yield {
        ...range,
        ...(named && { TENANT_NAME: tenant }),
        ...(dimension && { [dimension]: value }),
        ...Object.fromEntries(
          metrics.map((metric) => [columnOf(metric), String(figure(sums.get(value) ?? {}, metric))]),
        ),
      };
  }
}

/** Counts by value; without a dimension, all under the empty one. */
function sumsOf(
  points: readonly SeriesPoint[],
  dimension: ExportDimension | undefined,
): ReadonlyMap<string, MailCounts> {
  const byValue = Map.groupBy(points, ({ value = '' }) => (dimension === 'ISP' ? ispOf(value) : value));
  return new Map(Array.from(byValue, ([value, some]) => [value, sumOf(some)]));
}

function wantedOf(values: readonly string[] | undefined, sums: ReadonlyMap<string, MailCounts>): string[] {
  if (values === undefined) return [''];
  return values.includes('*') ? [...sums.keys()].sort() : [...new Set(values)];
}

function columnOf({ name, aggregation }: MetricsSource['metrics'][number]): string {
  return `${name}_${aggregation}`;
}

function figure(counts: MailCounts, { name, aggregation }: MetricsSource['metrics'][number]): number {
  const count = counts[METRIC_COUNTERS[name as KeptMetric]] ?? 0;
  if (aggregation === 'VOLUME') return count;
  const whole = counts[OF[name]!] ?? 0;
  return whole === 0 ? 0 : Math.round((count / whole) * 1e6) / 1e6;
}

/** Our groups of a provider are one ISP of SES. */
function ispOf(group: string): string {
  const known = group === 'outlook' || group === 'office365' ? 'microsoft' : group;
  return ISPS[known as keyof typeof ISPS] ?? group;
}
