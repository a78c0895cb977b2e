/** The alarms and the topics of a stage; its dashboard is in dashboard.ts. */
import { ArnFormat, CustomResource, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as budgets from 'aws-cdk-lib/aws-budgets';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { SEVERITIES } from './alarm.ts';
import { stageAlarms, type WatchedStage } from './alarms.ts';
import { cellAlarms } from './cell-alarms.ts';
import { cellsOf } from './cells.ts';
import { stageDashboard } from './dashboard.ts';
import type { EgressStack } from './egress.ts';
import { PosternFunction } from './function.ts';
import { StageMetrics } from './metrics.ts';
import { AlarmTopics, accountAlarmName } from './topics.ts';

const FIVE_MINUTES = Duration.minutes(5);

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
    stageDashboard(this, props, metrics);
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
}
