/** The dashboard, the alarms, and the topic that tells of them. */
import { CfnOutput, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as sns from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import { type AlarmEntry, alarmsOf, type Watched } from './alarms.ts';
import { mail, queueMetric } from './metrics.ts';

const MINUTE = Duration.minutes(1);
const FIVE_MINUTES = Duration.minutes(5);
const DAY = Duration.days(1);
const WIDTH = 12;

export interface MonitoringStackProps extends StackProps, Watched {}

export class MonitoringStack extends Stack {
  readonly alarms: ReadonlyMap<AlarmEntry, cloudwatch.Alarm>;

  constructor(scope: Construct, id: string, props: MonitoringStackProps) {
    super(scope, id, props);
    const { stage } = props;
    const topic = this.#topic(stage.alarms.email);
    const action = new SnsAction(topic);
    this.alarms = new Map(
      alarmsOf(props).map((entry) => {
        const alarm = this.#alarm(entry, stage.name);
        alarm.addAlarmAction(action);
        alarm.addOkAction(action);
        return [entry, alarm];
      }),
    );
    this.#dashboard(props);
    new CfnOutput(this, 'Alarms', {
      value: topic.topicArn,
      description: 'Subscribe here to be told of alarms',
    });
  }

  #topic(email: string | undefined): sns.Topic {
    const key = new kms.Key(this, 'AlarmKey', {
      description: 'Postern: alarms on their way',
      enableKeyRotation: true,
    });
    // CloudWatch publishes as itself, and needs the key for it.
    key.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
        resources: ['*'],
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    );
    const topic = new sns.Topic(this, 'AlarmTopic', { masterKey: key, enforceSSL: true });
    if (email) topic.addSubscription(new EmailSubscription(email));
    return topic;
  }

  #alarm(entry: AlarmEntry, stage: string): cloudwatch.Alarm {
    const { periods = 1, below = false, missing = cloudwatch.TreatMissingData.NOT_BREACHING } = entry;
    const name = entry.of === undefined ? entry.entry : `${entry.entry} (${entry.of})`;
    return new cloudwatch.Alarm(this, name.replace(/\W+/g, ''), {
      alarmName: `postern-${stage}: ${name}`,
      alarmDescription: `${entry.meaning} What to do: ${runbookLink(entry)}`,
      metric: entry.metric,
      threshold: entry.threshold,
      evaluationPeriods: periods,
      comparisonOperator: below
        ? cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
        : cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: missing,
    });
  }

  #dashboard({ stage, data, api, submission, policy }: MonitoringStackProps): void {
    const graph = (
      title: string,
      left: cloudwatch.IMetric[],
      more: Partial<cloudwatch.GraphWidgetProps> = {},
    ) => new cloudwatch.GraphWidget({ title, width: WIDTH, left, ...more });
    const search = (title: string, metric: string, by: string, statistic = 'Sum') =>
      graph(title, [
        new cloudwatch.MathExpression({
          expression: `SEARCH('{Postern,${by}} MetricName="${metric}"', '${statistic}', 60)`,
          usingMetrics: {},
          label: '',
          period: MINUTE,
        }),
      ]);
    const lanes = [...data.lanes.values()];
    const dashboard = new cloudwatch.Dashboard(this, 'Dashboard', {
      dashboardName: `postern-${stage.name}`,
      defaultInterval: Duration.hours(6),
    });
    dashboard.addWidgets(
      graph('Mail', [
        mail('Accepted', 'Sum', MINUTE),
        mail('Delivered', 'Sum', MINUTE),
        mail('Deferred', 'Sum', MINUTE),
        mail('Bounced', 'Sum', MINUTE),
      ]),
      graph('Reputation', [mail('Reputation.BounceRate', 'Average', DAY)], {
        right: [mail('Reputation.ComplaintRate', 'Average', DAY)],
        leftAnnotations: [0.05, 0.1].map((value) => ({ value })),
        rightAnnotations: [0.001, 0.005].map((value) => ({ value })),
      }),
      search('Delivered by lane', 'Delivered', 'Pool,Class,Group'),
      search('Deferred by lane', 'Deferred', 'Pool,Class,Group'),
      graph(
        'From acceptance to delivery',
        ['p50', 'p90', 'p99'].map((one) => mail('Latency', one, FIVE_MINUTES)),
      ),
      graph('Oldest due delivery', [mail('OldestDueAgeSeconds', 'Maximum', FIVE_MINUTES)]),
      graph(
        'Waiting in lanes',
        lanes.map((lane) => queueMetric(lane, 'NumberOfMessagesVisible', MINUTE)),
      ),
      graph(
        'In flight',
        lanes.map((lane) => queueMetric(lane, 'NumberOfMessagesNotVisible', MINUTE)),
      ),
      search('Heartbeats', 'Heartbeat', 'Node'),
      search('Leases held', 'LeaseHeld', 'Node', 'Maximum'),
      graph('Leases', [mail('LeaseFailures', 'Sum', MINUTE), mail('LeasesLost', 'Sum', MINUTE)]),
      graph('Shared limits', [
        mail('BucketRequests', 'Sum', MINUTE),
        mail('BucketsEmpty', 'Sum', MINUTE),
        mail('BucketFailures', 'Sum', MINUTE),
      ]),
      graph('API', [api.api.function.metricInvocations(), api.api.function.metricErrors()], {
        right: [api.api.function.metricDuration({ statistic: 'p99' })],
      }),
      graph('Tracking', [api.track.function.metricInvocations(), mail('Unreported', 'Sum', MINUTE)]),
      graph('Dead letters', [
        data.deadLanes.metricApproximateNumberOfMessagesVisible(),
        data.deadOutcomes.metricApproximateNumberOfMessagesVisible(),
      ]),
    );
    if (policy) {
      dashboard.addWidgets(
        graph('Policy', [mail('PolicyFailures', 'Sum', MINUTE), mail('PolicyHooksOff', 'Maximum', MINUTE)]),
      );
    }
    if (submission) {
      dashboard.addWidgets(
        graph('Submission', [mail('Submissions', 'Sum', MINUTE), mail('SubmissionFailures', 'Sum', MINUTE)], {
          right: [mail('SubmissionConnections', 'Sum', MINUTE)],
        }),
        graph(
          'Healthy submission instances',
          submission.targets.map((target) => target.metrics.healthyHostCount({ statistic: 'Minimum' })),
        ),
      );
    }
  }
}

/** Where an alarm's entry is, with the anchor that a heading gets. */
function runbookLink({ entry }: Pick<AlarmEntry, 'entry'>): string {
  return `lib/stacks/RUNBOOK.md#${entry.toLowerCase().replaceAll(' ', '-')}`;
}
