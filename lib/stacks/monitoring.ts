/** The dashboard, the alarms and the topics of a stage. */
import { ArnFormat, CustomResource, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as budgets from 'aws-cdk-lib/aws-budgets';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import type { MetricName } from '../observe/emf.ts';
import { SEVERITIES } from './alarm.ts';
import { stageAlarms, type WatchedStage } from './alarms.ts';
import { cellAlarms } from './cell-alarms.ts';
import { cellsOf, lanesOf } from './cells.ts';
import type { EgressStack } from './egress.ts';
import { PosternFunction } from './function.ts';
import { queueMetric, StageMetrics } from './metrics.ts';
import { AlarmTopics, accountAlarmName } from './topics.ts';

const MINUTE = Duration.minutes(1);
const FIVE_MINUTES = Duration.minutes(5);
const DAY = Duration.days(1);
const WIDTH = 12;

export interface MonitoringStackProps extends StackProps, WatchedStage {
  /** The stage's own cell. */
  egress: EgressStack;
}

export class MonitoringStack extends Stack {
  readonly topics: AlarmTopics;

  constructor(scope: Construct, id: string, props: MonitoringStackProps) {
    super(scope, id, props);
    const { stage, egress } = props;
    const metrics = new StageMetrics(stage.name);
    this.topics = new AlarmTopics(this, stage);
    const own = { stage, cell: cellsOf(stage)[0]!, egress };
    for (const entry of [...stageAlarms(props, metrics), ...cellAlarms(own, metrics)]) {
      this.topics.alarm(this, entry);
    }
    this.#check(props);
    this.#budget(props);
    this.#dashboard(props, metrics);
  }

  /** Triggers an alarm of each severity whenever the topics change; a deployment whose alarms reach no person fails. */
  #check({ stage, data }: MonitoringStackProps): void {
    const entries = SEVERITIES.map((severity) => ({ entry: 'Alarm check', of: severity }));
    const names = entries.map((entry) => accountAlarmName(stage, entry));
    const check = new PosternFunction(this, 'AlarmCheck', {
      entry: 'alarm-check.ts',
      description: 'Postern: checks at a deployment that alarms reach their topics',
      environment: {},
      permissions: [
        new iam.PolicyStatement({
          actions: ['cloudwatch:SetAlarmState', 'cloudwatch:DescribeAlarmHistory'],
          resources: names.map((resourceName) =>
            this.formatArn({
              service: 'cloudwatch',
              resource: 'alarm',
              resourceName,
              arnFormat: ArnFormat.COLON_RESOURCE_NAME,
            }),
          ),
        }),
      ],
      stage,
      logKey: data.key,
      memoryMegabytes: 256,
      timeout: Duration.minutes(5),
    });
    const alarms = SEVERITIES.map((severity) =>
      this.topics.alarm(this, {
        entry: 'Alarm check',
        severity,
        of: severity,
        meaning: `A deployment rings this to see that alarms of the severity "${severity}" reach you; by itself it rings when that check fails.`,
        metric: check.function.metricErrors({ period: FIVE_MINUTES }),
        threshold: 1,
      }),
    );
    const result = new CustomResource(this, 'AlarmsReach', {
      resourceType: 'Custom::AlarmCheck',
      serviceToken: check.function.functionArn,
      serviceTimeout: Duration.minutes(6),
      // CloudFormation runs the check again when one of these changes.
      properties: { Alarms: names, Policies: this.topics.fingerprint() },
    });
    result.node.addDependency(...alarms, ...this.topics.all(), check.role);
  }

  #budget({ stage }: MonitoringStackProps): void {
    const { monthlyDollars, email } = stage.alarms;
    if (monthlyDollars === undefined) return;
    new budgets.CfnBudget(this, 'Budget', {
      budget: {
        budgetType: 'COST',
        timeUnit: 'MONTHLY',
        budgetLimit: { amount: monthlyDollars, unit: 'USD' },
      },
      notificationsWithSubscribers: (['ACTUAL', 'FORECASTED'] as const).map((notificationType) => ({
        notification: { notificationType, comparisonOperator: 'GREATER_THAN', threshold: 100 },
        subscribers: [{ subscriptionType: 'EMAIL', address: email! }],
      })),
    });
  }

  #dashboard({ stage, data, api, submission, policy }: MonitoringStackProps, metrics: StageMetrics): void {
    const graph = (
      title: string,
      left: cloudwatch.IMetric[],
      more: Partial<cloudwatch.GraphWidgetProps> = {},
    ) => new cloudwatch.GraphWidget({ title, width: WIDTH, left, ...more });
    const mail = metrics.metric.bind(metrics);
    const search = (title: string, metric: MetricName, by: string, statistic = 'Sum') =>
      graph(title, [metrics.search(metric, by, statistic)]);
    const lanes = cellsOf(stage)[0]!.pools.flatMap((pool) => lanesOf(stage, pool));
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
