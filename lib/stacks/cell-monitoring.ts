/** The alarms and the dashboard of a cell, beside those of its stage. */
import { Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import { cellAlarms, type WatchedCell } from './cell-alarms.ts';
import { lanesOf } from './cells.ts';
import { queueMetric, StageMetrics } from './metrics.ts';
import type { AlarmTopics } from './topics.ts';

export interface CellMonitoringProps extends StackProps, WatchedCell {
  topics: AlarmTopics;
}

export class CellMonitoringStack extends Stack {
  constructor(scope: Construct, id: string, props: CellMonitoringProps) {
    super(scope, id, props);
    const { stage, cell, topics } = props;
    for (const entry of cellAlarms(props, new StageMetrics(stage.name))) topics.alarm(this, entry);
    const lanes = cell.pools.flatMap((pool) => lanesOf(stage, pool));
    const graph = (title: string, metric: 'NumberOfMessagesVisible' | 'NumberOfMessagesNotVisible') =>
      new cloudwatch.GraphWidget({
        title,
        width: 12,
        left: lanes.map((lane) => queueMetric(lane, metric, Duration.minutes(1))),
      });
    const dashboard = new cloudwatch.Dashboard(this, 'Dashboard', {
      dashboardName: `postern-${stage.name}-${cell.name}`,
      defaultInterval: Duration.hours(6),
    });
    dashboard.addWidgets(
      graph('Waiting in lanes', 'NumberOfMessagesVisible'),
      graph('In flight', 'NumberOfMessagesNotVisible'),
    );
  }
}
