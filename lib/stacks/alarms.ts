/**
 * The alarms of a stage, as data; those of its nodes and lanes are in cell-alarms.ts. Each has an entry of its name in
 * RUNBOOK.md, to which its description leads; a test asserts that none is missing on either side.
 *
 * The thresholds of reputation are Amazon SES's: it puts an account under review at 5 % hard bounces or 0.1 %
 * complaints, and stops it at 10 % or 0.5 % (SES developer guide, "Reputation metrics messages").
 */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { MetricName } from '../observe/emf.ts';
import { type AlarmEntry, metricsRefused } from './alarm.ts';
import type { ApiStack } from './api.ts';
import type { DataStack } from './data.ts';
import { joined, type StageMetrics, sum } from './metrics.ts';
import type { PolicyBundle } from './policy.ts';
import type { Stage } from './stage.ts';
import type { SubmissionStack } from './submission.ts';

export interface WatchedStage {
  stage: Stage;
  data: DataStack;
  api: ApiStack;
  submission: SubmissionStack | undefined;
  policy: PolicyBundle | undefined;
}

const FIVE_MINUTES = Duration.minutes(5);
const QUARTER = Duration.minutes(15);
const DAY = Duration.days(1);
const { BREACHING } = cloudwatch.TreatMissingData;

export function stageAlarms(
  { stage, data, api, submission, policy }: WatchedStage,
  metrics: StageMetrics,
): AlarmEntry[] {
  const functions = [
    api.api,
    api.due,
    api.proofs,
    api.outcomes,
    api.events,
    api.jobs,
    api.track,
    api.firstKey,
    ...(api.dkim ? [api.dkim.keys, api.dkim.zone] : []),
  ];
  const { minimumVolume } = stage.alarms;
  return [
    ...reputation(metrics, 'Bounce rate', 'Reputation.BounceRate', 0.05, 0.1, minimumVolume),
    ...reputation(metrics, 'Complaint rate', 'Reputation.ComplaintRate', 0.001, 0.005, minimumVolume),
    {
      entry: 'Tenant near pause',
      severity: 'warning',
      meaning: 'The bounces or complaints of a tenant are high over its representative volume.',
      metric: metrics.metric('Reputation.TenantsWarned', 'Sum', FIVE_MINUTES),
      threshold: 1,
    },
    {
      entry: 'Tenant paused',
      severity: 'warning',
      meaning: 'A tenant was paused, because its bounces or complaints are too high.',
      metric: metrics.metric('Reputation.TenantsPaused', 'Sum', FIVE_MINUTES),
      threshold: 1,
    },
    {
      entry: 'Deferral ratio',
      severity: 'warning',
      meaning: 'A fifth of all attempts are deferred: a provider slows us down or blocks us.',
      metric: metrics.ratio('Deferred', 'Attempted', 100, QUARTER),
      threshold: 0.2,
    },
    {
      entry: 'Uncertain replies',
      severity: 'warning',
      meaning:
        'The final reply of more than one attempt in a hundred was never read; those may arrive twice.',
      metric: metrics.ratio('Uncertain', 'Attempted', 100, QUARTER),
      threshold: 0.01,
    },
    {
      entry: 'Oldest due delivery',
      severity: 'critical',
      meaning: 'A delivery is more than ten minutes late.',
      metric: metrics.metric('OldestDueAgeSeconds', 'Maximum', FIVE_MINUTES),
      threshold: 600,
      periods: 2,
    },
    {
      entry: 'Ledger not watched',
      severity: 'critical',
      meaning: 'Nothing has looked for due deliveries to the end for five minutes.',
      metric: metrics.metric('OldestDueAgeSeconds', 'SampleCount', FIVE_MINUTES),
      threshold: 1,
      below: true,
      missing: BREACHING,
    },
    {
      entry: 'Leases unanswered',
      severity: 'critical',
      meaning: 'Nodes cannot renew the leases of their addresses; in 12 seconds they stop sending.',
      metric: metrics.metric('LeaseFailures', 'Sum', FIVE_MINUTES),
      threshold: 3,
    },
    {
      entry: 'Lease lost',
      severity: 'warning',
      meaning: 'A node stopped sending from an address because its lease ran out.',
      metric: metrics.metric('LeasesLost', 'Sum', FIVE_MINUTES),
      threshold: 1,
    },
    {
      entry: 'Storage refused',
      severity: 'warning',
      meaning: 'SQS or DynamoDB refused the text of an outcome for good; it is only in the log.',
      metric: metrics.metric('StorageRefused', 'Sum', FIVE_MINUTES),
      threshold: 1,
    },
    {
      entry: 'Shared limits unanswered',
      severity: 'warning',
      meaning: 'Nodes do not get their parts of shared limits: mail that counts against one waits.',
      metric: metrics.ratio('BucketFailures', 'BucketRequests', 20, FIVE_MINUTES),
      threshold: 0.05,
      periods: 2,
    },
    {
      entry: 'Dead deliveries',
      severity: 'critical',
      meaning: 'A delivery was handed out a thousand times without an end.',
      metric: data.deadLanes.metricApproximateNumberOfMessagesVisible(),
      threshold: 1,
    },
    {
      entry: 'Dead outcomes',
      severity: 'warning',
      meaning: 'Outcomes could not be read or counted ten times.',
      metric: data.deadOutcomes.metricApproximateNumberOfMessagesVisible(),
      threshold: 1,
    },
    {
      entry: 'Outcome delay',
      severity: 'warning',
      meaning: 'Outcomes wait for half an hour: metrics and reputation are as old.',
      metric: data.outcomes.metricApproximateAgeOfOldestMessage(),
      threshold: 1800,
    },
    {
      entry: 'Dead events',
      severity: 'warning',
      meaning: 'Events for webhooks or brokers could not be read or kept ten times.',
      metric: data.deadEvents.metricApproximateNumberOfMessagesVisible(),
      threshold: 1,
    },
    {
      entry: 'Event delay',
      severity: 'warning',
      meaning: 'Events wait for a quarter of an hour before they are first tried.',
      metric: data.events.metricApproximateAgeOfOldestMessage(),
      threshold: 900,
    },
    {
      entry: 'Events given up',
      severity: 'warning',
      meaning: 'Events were not taken by their destination for a day, or refused for good.',
      metric: metrics.metric('EventsDropped', 'Sum', QUARTER),
      threshold: 1,
    },
    {
      entry: 'Event destinations behind',
      severity: 'warning',
      meaning: 'For an hour there has been a destination of events that does not take them.',
      metric: metrics.metric('EventDestinationsBehind', 'Minimum', Duration.hours(1)),
      threshold: 1,
    },
    {
      entry: 'API errors',
      severity: 'critical',
      meaning: 'More than one call of the API in a hundred fails on our side.',
      metric: new cloudwatch.MathExpression({
        expression: 'IF(calls >= 20, failures / calls, 0)',
        usingMetrics: {
          calls: api.api.function.metric('UrlRequestCount', { statistic: 'Sum' }),
          failures: api.api.function.metric('Url5xxCount', { statistic: 'Sum' }),
        },
        label: 'API errors',
        period: FIVE_MINUTES,
      }),
      threshold: 0.01,
      periods: 2,
    },
    {
      entry: 'API slow',
      severity: 'warning',
      meaning: 'One call of the API in a hundred takes more than five seconds.',
      metric: api.api.function.metricDuration({ period: FIVE_MINUTES, statistic: 'p99' }),
      threshold: 5_000,
      periods: 3,
    },
    {
      entry: 'Function errors',
      severity: 'warning',
      meaning:
        'A function behind the API fails: due deliveries, proofs of domains, DKIM keys or their zone, outcomes, events, jobs, tracking or the first key.',
      metric: sum(functions.slice(1), ({ function: one }) => [one.metricErrors()]),
      threshold: 1,
      periods: 2,
    },
    {
      entry: 'Functions throttled',
      severity: 'critical',
      meaning: 'Lambda refuses calls: the concurrency of the API, of tracking or of the account is used up.',
      metric: sum(functions, ({ function: one }) => [one.metricThrottles()]),
      threshold: 1,
      periods: 2,
    },
    {
      entry: 'Opens and clicks lost',
      severity: 'warning',
      meaning: 'Opens or clicks could not be reported; their readers came to where the links lead.',
      metric: metrics.metric('Unreported', 'Sum', FIVE_MINUTES),
      threshold: 1,
      periods: 2,
    },
    // One alarm for each, because an alarm joins ten metrics at most; so below.
    ...(['Read', 'Write'] as const).map(
      (what): AlarmEntry => ({
        entry: 'Tables throttled',
        severity: 'critical',
        of: `${what.toLowerCase()}s`,
        meaning:
          'DynamoDB refuses requests: a table is at the cap of its stage, or one partition is too hot.',
        metric: sum(Object.values(data.tables), (table) => [
          table.metric(`${what}ThrottleEvents`, { statistic: 'Sum' }),
        ]),
        threshold: 1,
        periods: 2,
      }),
    ),
    ...(submission ? submissionAlarms(submission, metrics) : []),
    ...(policy ? [policyFailing(metrics)] : []),
    ...(data.dkimZone ? [keysOverdue(metrics)] : []),
    // Those of the others write no metric.
    ...metricsRefused([
      ...functions.filter((one) => ![api.proofs, api.firstKey, api.dkim?.zone].includes(one)),
      ...(submission ? [submission] : []),
    ]),
  ];
}

const keysOverdue = (metrics: StageMetrics): AlarmEntry => ({
  entry: 'DKIM keys overdue',
  severity: 'warning',
  meaning:
    'The next DKIM key of a domain has not been found through its CNAME for a month; the present one signs.',
  metric: metrics.metric('DkimKeysOverdue', 'Maximum', DAY),
  threshold: 1,
});

const policyFailing = (metrics: StageMetrics): AlarmEntry => ({
  entry: 'Policy failing',
  severity: 'warning',
  meaning: 'Hooks of the policy in TypeScript fail or are switched off: mail goes on without what they say.',
  metric: joined('SUM', [
    metrics.metric('PolicyFailures', 'Sum', FIVE_MINUTES),
    metrics.metric('PolicyHooksOff', 'Maximum', FIVE_MINUTES),
  ]),
  threshold: 1,
  periods: 2,
});

function submissionAlarms({ targets, instances }: SubmissionStack, metrics: StageMetrics): AlarmEntry[] {
  return [
    {
      entry: 'Submission unhealthy',
      severity: 'critical',
      meaning: 'An instance of the submission service takes no connections, or none does.',
      metric: joined(
        'MIN',
        targets.map((target) => target.metrics.healthyHostCount({ statistic: 'Minimum' })),
      ),
      threshold: instances,
      periods: 3,
      below: true,
      missing: BREACHING,
    },
    {
      entry: 'Submission failures',
      severity: 'critical',
      meaning: 'More than one message in a hundred was refused for the time being, for a reason of ours.',
      metric: metrics.ratio('SubmissionFailures', 'Submissions', 20, FIVE_MINUTES),
      threshold: 0.01,
      periods: 2,
    },
    {
      entry: 'Submission certificate',
      severity: 'warning',
      meaning: 'The certificate of the submission service expires in less than two weeks.',
      metric: metrics.metric('CertificateSeconds', 'Minimum', Duration.hours(1)),
      threshold: Duration.days(14).toSeconds(),
      below: true,
    },
  ];
}

/** Two alarms of a rate: a warning over a day, so that small senders are judged too; a page over a quarter. */
function reputation(
  metrics: StageMetrics,
  name: string,
  metric: MetricName,
  review: number,
  pause: number,
  minimumVolume: number,
): AlarmEntry[] {
  const rate = name.toLowerCase();
  return [
    {
      entry: `${name} warning`,
      severity: 'warning',
      meaning: `The ${rate} of a day is ${review * 100} % or more: providers begin to look at us.`,
      metric: metrics.guarded(metric, minimumVolume, DAY),
      threshold: review,
    },
    {
      entry: `${name} critical`,
      severity: 'critical',
      meaning: `The ${rate} of a quarter of an hour is ${pause * 100} % or more: providers begin to block us.`,
      metric: metrics.guarded(metric, minimumVolume, QUARTER),
      threshold: pause,
    },
  ];
}
