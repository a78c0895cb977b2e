/** What became of mail, in SES's words: `BatchGetMetricData` from the statistics, `GetMessageInsights` from the records. */
import type { BatchGetMetricDataQuery, InsightsEvent } from '@aws-sdk/client-sesv2';
import type { MessageRecord, Outcome } from '../engine/items.ts';
import { PosternError } from '../errors.ts';
import { messageIdIn } from '../mail/message-id.ts';
import { sesEvents } from '../outcome/events.ts';
import { historyOf } from '../outcome/history.ts';
import type { SesEvent } from '../outcome/ses-event.ts';
import { laneGroup } from '../shaping/providers.ts';
import type { StatisticsDimension } from '../statistics/counters.ts';
import { StatisticsReader } from '../statistics/reader.ts';
import { dailyMetric, ISPS, METRIC_COUNTERS, type MetricQuery } from '../statistics/ses-metrics.ts';
import { STATISTICS_AGE } from '../statistics/tally.ts';
import { DAY, HOUR } from '../time.ts';
import { type Call, operation, requireTenant, unsupported } from './operation.ts';

export const batchGetMetricData = operation('BatchGetMetricData', 'use', async ({ Queries }, call) => {
  const reader = new StatisticsReader(call.deps.engine.rows);
  const queries = Queries.map((query) => metricQuery(query, call));
  const results = await Promise.all(queries.map((query) => dailyMetric(reader, query)));
  return {
    Results: results.map(({ days, values }, at) => ({
      Id: Queries[at]!.Id,
      Timestamps: days,
      Values: values,
    })),
    Errors: [],
  };
});

function metricQuery(query: BatchGetMetricDataQuery, call: Call): MetricQuery {
  const { Metric = '', StartDate, EndDate, Dimensions = {} } = query;
  const [from, before] = [StartDate!.getTime(), EndDate!.getTime()];
  if (from >= before) throw new PosternError('bad_request', 'StartDate must be before EndDate.');
  if (before - from > STATISTICS_AGE) {
    const days = STATISTICS_AGE / DAY;
    throw new PosternError(
      'bad_request',
      `The range of a query is ${days} days at most, for which metrics are kept.`,
    );
  }
  if (!Object.hasOwn(METRIC_COUNTERS, Metric)) throw unsupported(`Metric ${Metric}`);
  const { TENANT_NAME: tenant = call.caller.tenant, ...dimensions } = Dimensions;
  requireTenant(call, tenant, `the metrics of tenant <${tenant}>`);
  const named = Object.entries(dimensions) as [keyof typeof DIMENSION, string][];
  if (named.length > 1) throw unsupported('A query by two of EMAIL_IDENTITY, CONFIGURATION_SET and ISP');
  const [first] = named;
  return {
    tenant,
    counter: METRIC_COUNTERS[Metric as keyof typeof METRIC_COUNTERS],
    from,
    before: Math.ceil(before / HOUR) * HOUR,
    only:
      first && first[1] !== '*' ? { dimension: DIMENSION[first[0]], values: valuesOf(...first) } : undefined,
  };
}

const DIMENSION = {
  EMAIL_IDENTITY: 'identity',
  CONFIGURATION_SET: 'configurationSet',
  ISP: 'provider',
} as const satisfies Record<string, StatisticsDimension>;

/** Values of a dimension in our words. Mail of an address is counted by its domain, with that of its neighbours. */
function valuesOf(dimension: keyof typeof DIMENSION, value: string): string[] {
  if (dimension === 'EMAIL_IDENTITY' && value.includes('@'))
    throw unsupported('EMAIL_IDENTITY of an address');
  if (dimension !== 'ISP') return [value];
  const group = Object.entries(ISPS).find(([, isp]) => isp.toLowerCase() === value.toLowerCase())?.[0];
  return group === 'microsoft' ? [group, 'outlook', 'office365'] : [group ?? value.toLowerCase()];
}

export const getMessageInsights = operation('GetMessageInsights', 'use', async ({ MessageId }, call) => {
  const { records } = call.deps.engine;
  const record = await records.message(messageIdIn(MessageId));
  if (!record || (record.tenant !== call.caller.tenant && !call.caller.admin))
    throw new PosternError('not_found', `Message <${MessageId.slice(0, 100)}> does not exist.`);
  const [deliveries, reports] = await Promise.all([
    records.deliveries(record.id),
    records.reports(record.id),
  ]);
  const history = historyOf(record, deliveries, reports);
  return {
    MessageId: record.id,
    FromEmailAddress: record.source,
    Subject: record.commonHeaders.subject,
    EmailTags: Object.entries(record.tags).flatMap(([Name, values]) =>
      values.map((Value) => ({ Name, Value })),
    ),
    Insights: record.recipients.map((address, n) => ({
      Destination: address,
      Isp: ISPS[groupOf(record, n) as keyof typeof ISPS],
      Events: history
        .filter(
          (outcome) => outcome.n === undefined || outcome.n === n || outcome.kind === 'rendering-failure',
        )
        .flatMap((outcome) => insightsOf(record, outcome, call)),
    })),
  };
});

function groupOf({ groups, recipients }: MessageRecord, n: number): string {
  const address = recipients[n]!;
  return groups?.[n] ?? laneGroup(address.slice(address.lastIndexOf('@') + 1).toLowerCase());
}

function insightsOf(record: MessageRecord, outcome: Outcome, { deps }: Call): InsightsEvent[] {
  const { region, accountId, hostname } = deps;
  return sesEvents(record, outcome, { region, accountId, hostname }).map((event) => ({
    Timestamp: new Date(outcome.at),
    Type: event.eventType === 'DeliveryDelay' ? 'DELIVERY_DELAY' : typeOf(event),
    Details: detailsOf(event),
  }));
}

function typeOf({ eventType }: SesEvent): InsightsEvent['Type'] {
  return eventType.toUpperCase().replace(' ', '_') as InsightsEvent['Type'];
}

function detailsOf(event: SesEvent): InsightsEvent['Details'] {
  if (event.eventType === 'Bounce') {
    const { bounceType, bounceSubType, bouncedRecipients } = event.bounce;
    return {
      Bounce: {
        BounceType: bounceType.toUpperCase() as 'PERMANENT',
        BounceSubType: bounceSubType,
        DiagnosticCode: bouncedRecipients[0]?.diagnosticCode,
      },
    };
  }
  if (event.eventType !== 'Complaint') return undefined;
  return { Complaint: { ComplaintFeedbackType: event.complaint.complaintFeedbackType } };
}
