/**
 * Every alarm, as data: what it watches, and at which threshold a person is told. Each has an entry of its name in
 * RUNBOOK.md, to which its description leads; a test asserts that none is missing on either side.
 *
 * The thresholds of reputation are Amazon SES's: it puts an account under review at 5 % hard bounces or 0.1 %
 * complaints, and stops it at 10 % or 0.5 % (SES developer guide, "Reputation metrics messages").
 */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { MetricName } from '../observe/emf.ts';
import type { ApiStack } from './api.ts';
import type { DataStack } from './data.ts';
import type { EgressStack } from './egress.ts';
import { guarded, highest, joined, mail, queueMetric, ratio, sum } from './metrics.ts';
import type { PolicyBundle } from './policy.ts';
import { poolsOf, type Stage } from './stages.ts';
import type { SubmissionStack } from './submission.ts';

export interface AlarmEntry {
  /** Heading of its entry in RUNBOOK.md. */
  entry: string;
  /** What of several it watches, as the name of a node. */
  of?: string;
  /** What is wrong when it rings, in a sentence. */
  meaning: string;
  metric: cloudwatch.IMetric;
  /** Rings at this value or beyond it. */
  threshold: number;
  /** Periods in a row. Default 1. */
  periods?: number;
  below?: boolean;
  /** What no data means. Default: nothing happened, all is well. */
  missing?: cloudwatch.TreatMissingData;
}

export interface Watched {
  stage: Stage;
  data: DataStack;
  api: ApiStack;
  egress: EgressStack;
  submission: SubmissionStack | undefined;
  policy: PolicyBundle | undefined;
}

const MINUTE = Duration.minutes(1);
const FIVE_MINUTES = Duration.minutes(5);
const QUARTER = Duration.minutes(15);
const DAY = Duration.days(1);
const { BREACHING } = cloudwatch.TreatMissingData;

export function alarmsOf({ stage, data, api, egress, submission, policy }: Watched): AlarmEntry[] {
  const functions = [api.api, api.due, api.outcomes, api.track, api.firstKey];
  const { minimumVolume } = stage.alarms;
  const outside = stage.outside?.names ?? [];
  return [
    ...reputation('Bounce rate', 'Reputation.BounceRate', 0.05, 0.1, minimumVolume),
    ...reputation('Complaint rate', 'Reputation.ComplaintRate', 0.001, 0.005, minimumVolume),
    {
      entry: 'Deferral ratio',
      meaning: 'A fifth of all attempts are deferred: a provider slows us down or blocks us.',
      metric: ratio('Deferred', 'Attempted', 100, QUARTER),
      threshold: 0.2,
    },
    {
      entry: 'Uncertain replies',
      meaning:
        'The final reply of more than one attempt in a hundred was never read; those may arrive twice.',
      metric: ratio('Uncertain', 'Attempted', 100, QUARTER),
      threshold: 0.01,
    },
    {
      entry: 'Oldest due delivery',
      meaning: 'A delivery is more than ten minutes late.',
      metric: mail('OldestDueAgeSeconds', 'Maximum', FIVE_MINUTES),
      threshold: 600,
      periods: 2,
    },
    {
      entry: 'Ledger not watched',
      meaning:
        'The function that moves due deliveries into their lanes has not run to its end for five minutes.',
      metric: new cloudwatch.MathExpression({
        expression: 'runs - failures',
        usingMetrics: {
          runs: api.due.function.metricInvocations(),
          failures: api.due.function.metricErrors(),
        },
        label: 'Runs to the end',
        period: FIVE_MINUTES,
      }),
      threshold: 1,
      below: true,
      missing: BREACHING,
    },
    ...[...stage.nodes.map(({ name }) => name), ...outside].map((name) => ({
      entry: 'Node silent',
      of: name,
      meaning: `Egress node ${name} has given no sign of life for three minutes.`,
      metric: mail('Heartbeat', 'Sum', MINUTE, { Node: name }),
      threshold: 1,
      periods: 3,
      below: true,
      missing: BREACHING,
    })),
    ...[
      ...stage.nodes.map(({ name, addresses }) => ({ name, least: addresses.length })),
      // How many addresses a node outside AWS has, only it knows.
      ...outside.map((name) => ({ name, least: 1 })),
    ].map(({ name, least }) => ({
      entry: 'Node without lease',
      of: name,
      meaning: `Egress node ${name} holds fewer leases than it has addresses: another sends from them, or nobody.`,
      metric: mail('LeaseHeld', 'Maximum', MINUTE, { Node: name }),
      threshold: least,
      periods: 5,
      below: true,
    })),
    {
      entry: 'Leases unanswered',
      meaning: 'Nodes cannot renew the leases of their addresses; in 12 seconds they stop sending.',
      metric: mail('LeaseFailures', 'Sum', FIVE_MINUTES),
      threshold: 3,
    },
    {
      entry: 'Lease lost',
      meaning: 'A node stopped sending from an address because its lease ran out.',
      metric: mail('LeasesLost', 'Sum', FIVE_MINUTES),
      threshold: 1,
    },
    {
      entry: 'Storage refused',
      meaning: 'SQS or DynamoDB refused the text of an outcome for good; it is only in the log.',
      metric: mail('StorageRefused', 'Sum', FIVE_MINUTES),
      threshold: 1,
    },
    {
      entry: 'Shared limits unanswered',
      meaning: 'Nodes do not get their parts of shared limits: mail that counts against one waits.',
      metric: ratio('BucketFailures', 'BucketRequests', 20, FIVE_MINUTES),
      threshold: 0.05,
      periods: 2,
    },
    ...poolsOf(stage).flatMap((pool) => [
      delay(pool, 'transactional', 300, 'five minutes'),
      delay(pool, 'bulk', 3600, 'an hour'),
      {
        entry: 'In flight',
        of: pool,
        meaning: `A lane of pool ${pool} has 100,000 deliveries leased and not settled; SQS gives out no more at 120,000.`,
        metric: highest(data.lanesOf(pool), (queue) => queueMetric(queue, 'NumberOfMessagesNotVisible')),
        threshold: 100_000,
      },
    ]),
    {
      entry: 'Dead deliveries',
      meaning: 'A delivery was handed out a thousand times without an end.',
      metric: data.deadLanes.metricApproximateNumberOfMessagesVisible(),
      threshold: 1,
    },
    {
      entry: 'Dead outcomes',
      meaning: 'Outcomes could not be read or counted ten times.',
      metric: data.deadOutcomes.metricApproximateNumberOfMessagesVisible(),
      threshold: 1,
    },
    {
      entry: 'Outcome delay',
      meaning: 'Outcomes wait for half an hour: metrics and reputation are as old.',
      metric: data.outcomes.metricApproximateAgeOfOldestMessage(),
      threshold: 1800,
    },
    {
      entry: 'API errors',
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
      meaning: 'One call of the API in a hundred takes more than five seconds.',
      metric: api.api.function.metricDuration({ period: FIVE_MINUTES, statistic: 'p99' }),
      threshold: 5_000,
      periods: 3,
    },
    {
      entry: 'Function errors',
      meaning: 'A function behind the API fails: due deliveries, outcomes, tracking or the first key.',
      metric: sum(functions.slice(1), ({ function: one }) => [one.metricErrors()]),
      threshold: 1,
      periods: 2,
    },
    {
      entry: 'Functions throttled',
      meaning: 'Lambda refuses calls: the concurrency of the API, of tracking or of the account is used up.',
      metric: sum(functions, ({ function: one }) => [one.metricThrottles()]),
      threshold: 1,
      periods: 2,
    },
    {
      entry: 'Opens and clicks lost',
      meaning: 'Opens or clicks could not be reported; their readers came to where the links lead.',
      metric: mail('Unreported', 'Sum', FIVE_MINUTES),
      threshold: 1,
      periods: 2,
    },
    // One alarm for each, because an alarm joins ten metrics at most; so below.
    ...(['Read', 'Write'] as const).map((what) => ({
      entry: 'Tables throttled',
      of: `${what.toLowerCase()}s`,
      meaning: 'DynamoDB refuses requests: a table is at the cap of its stage, or one partition is too hot.',
      metric: sum(Object.values(data.tables), (table) => [
        table.metric(`${what}ThrottleEvents`, { statistic: 'Sum' }),
      ]),
      threshold: 1,
      periods: 2,
    })),
    ...(submission ? submissionAlarms(submission) : []),
    ...(policy ? [POLICY_FAILING] : []),
    ...['EMFParsingErrors', 'EMFValidationErrors'].map((metricName) => ({
      entry: 'Metrics refused',
      of: metricName,
      meaning: 'CloudWatch cannot read metrics out of the logs: what alarms see is not all there is.',
      metric: sum([...functions, egress, ...(submission ? [submission] : [])], ({ logGroup }) => [
        new cloudwatch.Metric({
          namespace: 'AWS/Logs',
          metricName,
          dimensionsMap: { LogGroupName: logGroup.logGroupName },
          statistic: 'Sum',
        }),
      ]),
      threshold: 1,
    })),
  ];

  function delay(pool: string, cls: 'transactional' | 'bulk', threshold: number, words: string): AlarmEntry {
    return {
      entry: 'Queue delay',
      of: `${pool} ${cls}`,
      meaning: `A ${cls} delivery of pool ${pool} has waited in its lane for ${words} and nobody took it.`,
      metric: highest(data.lanesOf(pool, cls), (queue) => queueMetric(queue, 'AgeOfOldestMessage')),
      threshold,
      periods: 3,
    };
  }
}

const POLICY_FAILING: AlarmEntry = {
  entry: 'Policy failing',
  meaning: 'Hooks of the policy in TypeScript fail or are switched off: mail goes on without what they say.',
  metric: joined('SUM', [
    mail('PolicyFailures', 'Sum', FIVE_MINUTES),
    mail('PolicyHooksOff', 'Maximum', FIVE_MINUTES),
  ]),
  threshold: 1,
  periods: 2,
};

function submissionAlarms({ targets, instances }: SubmissionStack): AlarmEntry[] {
  return [
    {
      entry: 'Submission unhealthy',
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
      meaning: 'More than one message in a hundred was refused for the time being, for a reason of ours.',
      metric: ratio('SubmissionFailures', 'Submissions', 20, FIVE_MINUTES),
      threshold: 0.01,
      periods: 2,
    },
    {
      entry: 'Submission certificate',
      meaning: 'The certificate of the submission service expires in less than two weeks.',
      metric: mail('CertificateSeconds', 'Minimum', Duration.hours(1)),
      threshold: Duration.days(14).toSeconds(),
      below: true,
    },
  ];
}

/** Two alarms of a rate: a warning over a day, so that small senders are judged too; a page over a quarter. */
function reputation(
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
      meaning: `The ${rate} of a day is ${review * 100} % or more: providers begin to look at us.`,
      metric: guarded(metric, minimumVolume, DAY),
      threshold: review,
    },
    {
      entry: `${name} critical`,
      meaning: `The ${rate} of a quarter of an hour is ${pause * 100} % or more: providers begin to block us.`,
      metric: guarded(metric, minimumVolume, QUARTER),
      threshold: pause,
    },
  ];
}
