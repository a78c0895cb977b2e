/** Export jobs: metrics or message insights as a file, which a signed URL gives for an hour at a time. */

import { PosternError } from '../errors.ts';
import type { ExportJob, MessageFilters, MessagesSource, MetricsSource } from '../jobs/export-jobs.ts';
import { requireKept } from '../jobs/metrics-export.ts';
import { placeOf } from '../jobs/s3-url.ts';
import { STATISTICS_AGE } from '../statistics/tally.ts';
import { DAY, HOUR } from '../time.ts';
import { jobsOf, resultLink } from './job-results.ts';
import { type Call, operation, requireAdmin, requireTenant } from './operation.ts';
import { pageOf } from './pages.ts';
import type { InputOf, OutputOf } from './types.ts';

type Given = InputOf<'CreateExportJob'>['ExportDataSource'];
type GivenFilters = NonNullable<NonNullable<Given['MessageInsightsDataSource']>['Include']>;

/** SES: rows of an export of message insights without `MaxResults`, and at most. */
const MAX_RESULTS = 10_000;
const SOURCE_TYPES = { metrics: 'METRICS_DATA', messages: 'MESSAGE_INSIGHTS' } as const;

export const createExportJob = operation(
  'CreateExportJob',
  'use',
  async ({ ExportDataSource, ExportDestination }, call) => {
    const { DataFormat: format, S3Url: url } = ExportDestination;
    const source = sourceOf(ExportDataSource, call);
    if (url !== undefined) {
      // A bucket is the installation's, and may hold the files of any tenant.
      requireAdmin(call);
      placeOf(url, call.deps.engine.files);
    }
    const { tenant, keyId } = call.caller;
    const job = await jobsOf(call).orderExport({ tenant, keyId, source, format, url });
    call.deps.wakeJobs?.();
    return { JobId: job.id };
  },
);

function sourceOf(given: Given, call: Call): ExportJob['source'] {
  const { MetricsDataSource: metrics, MessageInsightsDataSource: insights } = given;
  if ((metrics === undefined) === (insights === undefined))
    throw new PosternError(
      'bad_request',
      'ExportDataSource needs exactly one of MetricsDataSource and MessageInsightsDataSource.',
    );
  return metrics ? metricsOf(metrics, call) : messagesOf(insights!, call);
}

function metricsOf(given: NonNullable<Given['MetricsDataSource']>, call: Call): MetricsSource {
  const range = rangeOf(given);
  if (range.before - range.from > STATISTICS_AGE)
    throw new PosternError(
      'bad_request',
      `The range of an export is ${STATISTICS_AGE / DAY} days at most, for which metrics are kept.`,
    );
  const { TENANT_NAME: tenants = [] } = given.Dimensions as MetricsSource['dimensions'];
  for (const tenant of tenants)
    if (tenant !== '*') requireTenant(call, tenant, `the metrics of tenant <${tenant}>`);
  const source: MetricsSource = {
    kind: 'metrics',
    dimensions: given.Dimensions,
    metrics: given.Metrics.map(({ Name: name, Aggregation: aggregation = 'VOLUME' }) => {
      if (name === undefined) throw new PosternError('bad_request', 'Each of Metrics needs a Name.');
      return { name, aggregation };
    }),
    from: range.from,
    before: Math.ceil(range.before / HOUR) * HOUR,
  };
  requireKept(source);
  return source;
}

function messagesOf(given: NonNullable<Given['MessageInsightsDataSource']>, call: Call): MessagesSource {
  return {
    kind: 'messages',
    ...rangeOf(given),
    include: given.Include && filtersOf(given.Include, call),
    exclude: given.Exclude && filtersOf(given.Exclude, call),
    max: given.MaxResults ?? MAX_RESULTS,
  };
}

function rangeOf({ StartDate, EndDate }: { StartDate: Date; EndDate: Date }): {
  from: number;
  before: number;
} {
  const [from, before] = [StartDate.getTime(), EndDate.getTime()];
  if (from < before) return { from, before };
  throw new PosternError('bad_request', 'StartDate must be before EndDate.');
}

function filtersOf(given: GivenFilters, call: Call): MessageFilters {
  for (const tenant of given.TenantName ?? [])
    requireTenant(call, tenant, `the messages of tenant <${tenant}>`);
  return {
    from: given.FromEmailAddress,
    destination: given.Destination,
    subject: given.Subject,
    isp: given.Isp,
    tenant: given.TenantName,
    lastDelivery: given.LastDeliveryEvent,
    lastEngagement: given.LastEngagementEvent,
  };
}

export const getExportJob = operation('GetExportJob', 'use', async ({ JobId }, call) => {
  const job = await jobsOf(call).exports.get(call.caller.tenant, JobId);
  const link = await resultLink(job, call);
  return {
    ...summaryOf(job),
    ExportDestination: { DataFormat: job.format, S3Url: link ?? job.url },
    ExportDataSource: shownSource(job.source),
    FailureInfo: job.error === undefined ? undefined : { ErrorMessage: job.error },
    Statistics: { ProcessedRecordsCount: job.processed, ExportedRecordsCount: job.exported },
  };
});

export const listExportJobs = operation(
  'ListExportJobs',
  'use',
  async ({ ExportSourceType: type, JobStatus: status, NextToken, PageSize }, call) => {
    const { items, ...rest } = await pageOf(
      async ({ after, max = 1000 }) => {
        const jobs = await jobsOf(call).exports.list(call.caller.tenant, { after, max });
        return jobs.map((job) => ({ name: job.id, job }));
      },
      { NextToken, PageSize },
      ({ job }) =>
        (type ?? SOURCE_TYPES[job.source.kind]) === SOURCE_TYPES[job.source.kind] &&
        (status ?? job.status) === job.status,
    );
    return { ExportJobs: items.map(({ job }) => summaryOf(job)), ...rest };
  },
);

export const cancelExportJob = operation('CancelExportJob', 'use', async ({ JobId }, call) => {
  const jobs = jobsOf(call);
  const { tenant } = call.caller;
  // A worker changes the job every few seconds while it works.
  for (let tries = 1; ; tries += 1) {
    const { status } = await jobs.exports.get(tenant, JobId);
    const held = (await jobs.exports.hold(tenant, JobId))!;
    if (status !== 'CREATED' && status !== 'PROCESSING')
      throw new PosternError(
        'bad_request',
        `The job ${JobId.slice(0, 64)} is ${status} and cannot be cancelled.`,
      );
    try {
      await held.change({ status: 'CANCELLED', completedAt: call.deps.clock.now() });
      return {};
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== 'config_conflict' || tries === 5) throw error;
    }
  }
});

type ExportSummary = NonNullable<OutputOf<'ListExportJobs'>['ExportJobs']>[number];

function summaryOf({ id, source, status, createdAt, completedAt }: ExportJob): ExportSummary {
  return {
    JobId: id,
    ExportSourceType: SOURCE_TYPES[source.kind],
    JobStatus: status,
    CreatedTimestamp: new Date(createdAt),
    CompletedTimestamp: completedAt === undefined ? undefined : new Date(completedAt),
  };
}

function shownSource(source: ExportJob['source']): NonNullable<OutputOf<'GetExportJob'>['ExportDataSource']> {
  const range = { StartDate: new Date(source.from), EndDate: new Date(source.before) };
  if (source.kind === 'messages')
    return {
      MessageInsightsDataSource: {
        ...range,
        Include: source.include && shownFilters(source.include),
        Exclude: source.exclude && shownFilters(source.exclude),
        MaxResults: source.max,
      },
    };
  type ShownMetrics = NonNullable<
    NonNullable<OutputOf<'GetExportJob'>['ExportDataSource']>['MetricsDataSource']
  >;
  return {
    MetricsDataSource: {
      ...range,
      Namespace: 'VDM',
      Dimensions: source.dimensions as ShownMetrics['Dimensions'],
      Metrics: source.metrics.map(({ name, aggregation }) => ({
        Name: name as 'SEND',
        Aggregation: aggregation,
      })),
    },
  };
}

function shownFilters(filters: MessageFilters): GivenFilters {
  return {
    FromEmailAddress: filters.from,
    Destination: filters.destination,
    Subject: filters.subject,
    Isp: filters.isp,
    TenantName: filters.tenant,
    LastDeliveryEvent: filters.lastDelivery,
    LastEngagementEvent: filters.lastEngagement,
  } as GivenFilters;
}
