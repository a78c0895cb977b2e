/** What became of mail, in numbers: series by hour or day, by one dimension. */
import * as z from 'zod/mini';
import {
  COUNTERS,
  type Counter,
  DIMENSION_LETTERS,
  type MailCounts,
  type StatisticsDimension,
} from '../statistics/counters.ts';
import {
  GRANULARITIES,
  type Granularity,
  type SeriesPoint,
  type SeriesQuery,
  StatisticsReader,
  sumOf,
} from '../statistics/reader.ts';
import { STATISTICS_AGE } from '../statistics/tally.ts';
import { DAY, HOUR } from '../time.ts';
import { type ApiCall, iso, operation, query, requireAdmin } from './operation.ts';
import { refuseQuery, tenantOf, timeOf } from './query.ts';
import { about, integer, named, text, time } from './schema.ts';

const DIMENSIONS = Object.keys(DIMENSION_LETTERS) as StatisticsDimension[];
/** Counters that are shown; the others are parts of the rates. */
const SHOWN = (Object.keys(COUNTERS) as Counter[]).filter((counter) => !counter.startsWith('rated'));
/** Longest range of each granularity, ms. */
const LONGEST: Record<Granularity, number> = { quarter: 2 * DAY, hour: 31 * DAY, day: STATISTICS_AGE };
/** Points of one answer: some 2 MB. */
const MAX_POINTS = 10_000;
/** Tenants of one page. */
const TENANTS = 50;

const HELP: Partial<Record<Counter, string>> = {
  accepted:
    'Recipients of mail taken in: in the total, and by campaign. On AWS by campaign alone; the metric Accepted has all.',
  sent: 'Deliveries that were sent: delivered, bounced or expired.',
  deferred: 'Attempts that were put off.',
  transientBounces: 'Expired ones included.',
  suppressed: 'Not sent, because the address is on a suppression list.',
};
const counts = Object.fromEntries(
  SHOWN.map((counter) => [counter, z.optional(integer(HELP[counter] ?? ''))]),
) as Record<Counter, z.ZodMiniOptional<z.ZodMiniNumberFormat>>;

const StatisticsAnswer = named(
  'Statistics',
  z.strictObject({
    from: time('Start of the first hour.'),
    to: time('End of the last hour.'),
    tenant: z.optional(text('Absent: all tenants.')),
    points: z
      .array(
        z.strictObject({
          at: time('Start of the period.'),
          value: z.optional(text('Of the dimension; `other`: those beyond 64 in an hour.')),
          ...counts,
        }),
      )
      .check(about('Periods in which anything was counted, by time and value.')),
    total: z.strictObject(counts).check(about('The sum of the points.')),
    next: z.optional(text('`after` of the next page of tenants.')),
  }),
);

const getStatistics = operation({
  method: 'get',
  path: '/stats',
  operationId: 'getStatistics',
  summary: 'What became of mail, in numbers',
  description:
    'Counted in the hour in which it happened, some seconds later, and kept for 93 days. Periods are in UTC. A filter names one ' +
    'dimension, and `by` no other: counts of different dimensions are not crossed.',
  parameters: [
    query('from', 'Start, to the hour; absent: a day before `to`.'),
    query('to', 'End, to the hour; absent: now.'),
    query(
      'granularity',
      'quarter (of an hour; two days at most), hour (31 days), or day (93); absent: hour.',
    ),
    query('by', `A point for each value of: ${DIMENSIONS.join(', ')}; tenant, for an administrator's key.`),
    query('tenant', "Of this tenant. A key that is not an administrator's sees its own; absent: of all."),
    ...DIMENSIONS.map((one) => query(one, `Only of this ${one}.`)),
    query('after', '`next` of the page before, with `by=tenant`.'),
  ],
  answer: {
    status: 200,
    description: 'The points of a range.',
    schema: StatisticsAnswer,
    example: {
      from: '2026-01-01T00:00:00.000Z',
      to: '2026-01-02T00:00:00.000Z',
      tenant: 'default',
      points: [
        {
          at: '2026-01-01T14:00:00.000Z',
          value: 'google',
          sent: 1200,
          delivered: 1188,
          permanentBounces: 12,
        },
      ],
      total: { sent: 1200, delivered: 1188, permanentBounces: 12 },
    },
  },
  async handle(call) {
    const asked = seriesOf(call);
    const reader = new StatisticsReader(call.deps.engine.rows);
    const { points, next } =
      call.query.by === 'tenant'
        ? await byTenant(call, reader, asked)
        : { points: await reader.series(asked) };
    if (points.length > MAX_POINTS) {
      refuseQuery(
        'granularity',
        `gives ${points.length} points, and ${MAX_POINTS} are the limit; ask for fewer or longer periods`,
      );
    }
    return {
      body: {
        from: iso(asked.from),
        to: iso(asked.before),
        tenant: asked.tenant,
        points: points.map(({ at, value, counts }) => ({ at: iso(at), value, ...shown(counts) })),
        total: shown(sumOf(points)),
        next,
      },
    };
  },
});

export const STATISTICS_PATHS = [getStatistics];

/** A point for each tenant and period, for a page of tenants. */
async function byTenant(
  call: ApiCall,
  reader: StatisticsReader,
  asked: SeriesQuery,
): Promise<{ points: SeriesPoint[]; next?: string }> {
  requireAdmin(call, 'see the statistics of all tenants');
  if (call.query.tenant !== undefined) refuseQuery('by', 'is tenant, and so is no single tenant asked for');
  const tenants = await reader.tenants(call.query.after, TENANTS);
  const points: SeriesPoint[] = [];
  for (const tenant of tenants) {
    for (const point of await reader.series({ ...asked, tenant })) points.push({ ...point, value: tenant });
  }
  points.sort((a, b) => a.at - b.at);
  return { points, next: tenants.length === TENANTS ? tenants.at(-1) : undefined };
}

/** @throws PosternError `bad_request` that names the parameter. */
function seriesOf(call: ApiCall): SeriesQuery {
  const { query: given, deps } = call;
  const granularity = given.granularity ?? 'hour';
  if (!isGranularity(granularity)) refuseQuery('granularity', 'is none of quarter, hour, day');
  const end = timeOf('to', given.to) ?? deps.clock.now();
  const before = Math.ceil(end / HOUR) * HOUR;
  const start = timeOf('from', given.from) ?? before - DAY;
  const from = start - (start % HOUR);
  if (from >= before) refuseQuery('from', 'is not before `to`');
  if (before - from > LONGEST[granularity] + HOUR) {
    refuseQuery(
      'from',
      `is more than ${LONGEST[granularity] / DAY} days before \`to\`, the limit of this granularity`,
    );
  }
  const filters = DIMENSIONS.filter((one) => given[one] !== undefined);
  if (filters.length > 1)
    refuseQuery(filters[1]!, 'is a second dimension: counts of dimensions are not crossed');
  const [filter] = filters;
  const by = given.by === 'tenant' ? undefined : given.by;
  if (by !== undefined && !isDimension(by)) refuseQuery('by', `is none of ${DIMENSIONS.join(', ')}, tenant`);
  if (filter && by !== undefined && by !== filter)
    refuseQuery('by', `is not ${filter}: counts of dimensions are not crossed`);
  if (granularity === 'quarter' && (by ?? filter))
    refuseQuery('granularity', 'is quarter, which is kept of totals alone');
  return {
    tenant: tenantOf(call, 'statistics'),
    from,
    before,
    granularity,
    by,
    only: filter && { dimension: filter, value: given[filter]! },
  };
}

function isGranularity(text: string): text is Granularity {
  return Object.hasOwn(GRANULARITIES, text);
}

function isDimension(text: string): text is StatisticsDimension {
  return Object.hasOwn(DIMENSION_LETTERS, text);
}

function shown(counts: MailCounts): Partial<Record<Counter, number>> {
  return Object.fromEntries(SHOWN.flatMap((one) => (counts[one] === undefined ? [] : [[one, counts[one]]])));
}
