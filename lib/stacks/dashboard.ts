/**
 * The dashboard of a stage, in the four groups that `lib/observe/panels.ts` has for Prometheus: delivery, queue health,
 * infrastructure, by provider.
 */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import type { MetricName } from '../observe/emf.ts';
import type { WatchedStage } from './alarms.ts';
import { cellsOf, lanesOf } from './cells.ts';
import { queueMetric, type StageMetrics } from './metrics.ts';

const MINUTE = Duration.minutes(1);
const FIVE_MINUTES = Duration.minutes(5);
const DAY = Duration.days(1);
/** A row of the grid, and half of it. */
const ROW = 24;
const WIDTH = 12;

type Widgets = cloudwatch.IWidget[];

export function stageDashboard(scope: Construct, watched: WatchedStage, metrics: StageMetrics): void {
  const dashboard = new cloudwatch.Dashboard(scope, 'Dashboard', {
    dashboardName: `postern-${watched.stage.name}`,
    defaultInterval: Duration.hours(6),
  });
  const groups: [title: string, widgets: Widgets][] = [
    ['Delivery', delivery(watched, metrics)],
    ['Queue health', queues(watched, metrics)],
    ['Infrastructure', infrastructure(watched, metrics)],
    ['By provider', providers(metrics)],
  ];
  for (const [title, widgets] of groups) {
    dashboard.addWidgets(new cloudwatch.TextWidget({ markdown: `## ${title}`, width: ROW, height: 1 }));
    dashboard.addWidgets(...widgets);
  }
}

function graph(
  title: string,
  left: cloudwatch.IMetric[],
  more: Partial<cloudwatch.GraphWidgetProps> = {},
): cloudwatch.GraphWidget {
  return new cloudwatch.GraphWidget({ title, width: WIDTH, left, ...more });
}

function delivery({ api }: WatchedStage, metrics: StageMetrics): Widgets {
  const mail = metrics.metric.bind(metrics);
  return [
    graph(
      'Mail',
      (['Accepted', 'Delivered', 'Deferred', 'Bounced'] as const).map((name) => mail(name, 'Sum', MINUTE)),
    ),
    graph(
      'Shares of attempts',
      (['Deferred', 'Bounced', 'Uncertain'] as const).map((part) => shareOfAttempts(metrics, part)),
    ),
    graph('Reputation', [mail('Reputation.BounceRate', 'Average', DAY)], {
      right: [mail('Reputation.ComplaintRate', 'Average', DAY)],
      leftAnnotations: [0.05, 0.1].map((value) => ({ value })),
      rightAnnotations: [0.001, 0.005].map((value) => ({ value })),
    }),
    graph('Tenants near their pause, and paused', [
      mail('Reputation.TenantsWarned', 'Sum', FIVE_MINUTES),
      mail('Reputation.TenantsPaused', 'Sum', FIVE_MINUTES),
    ]),
    graph(
      'From acceptance to delivery',
      ['p50', 'p90', 'p99'].map((one) => mail('Latency', one, FIVE_MINUTES)),
    ),
    graph('Tracking', [api.track.function.metricInvocations(), mail('Unreported', 'Sum', MINUTE)]),
  ];
}

/** Metrics of one graph need ids of their own: `StageMetrics.ratio` has the same for each. */
function shareOfAttempts(metrics: StageMetrics, part: MetricName): cloudwatch.MathExpression {
  const id = part.toLowerCase();
  return new cloudwatch.MathExpression({
    expression: `IF(attempted > 0, FILL(${id}, 0) / attempted, 0)`,
    usingMetrics: {
      attempted: metrics.metric('Attempted', 'Sum', FIVE_MINUTES),
      [id]: metrics.metric(part, 'Sum', FIVE_MINUTES),
    },
    label: part,
    period: FIVE_MINUTES,
  });
}

function queues({ stage, data }: WatchedStage, metrics: StageMetrics): Widgets {
  const mail = metrics.metric.bind(metrics);
  const lanes = cellsOf(stage)[0]!.pools.flatMap((pool) => lanesOf(stage, pool));
  return [
    graph('Oldest due delivery', [mail('OldestDueAgeSeconds', 'Maximum', FIVE_MINUTES)]),
    graph(
      'Waiting in lanes',
      lanes.map((lane) => queueMetric(lane, 'NumberOfMessagesVisible', MINUTE)),
    ),
    graph(
      'In flight',
      lanes.map((lane) => queueMetric(lane, 'NumberOfMessagesNotVisible', MINUTE)),
    ),
    graph('Shared limits', [
      mail('BucketRequests', 'Sum', MINUTE),
      mail('BucketsEmpty', 'Sum', MINUTE),
      mail('BucketFailures', 'Sum', MINUTE),
    ]),
    graph('Dead letters', [
      data.deadLanes.metricApproximateNumberOfMessagesVisible(),
      data.deadOutcomes.metricApproximateNumberOfMessagesVisible(),
    ]),
    graph('Events of destinations', [
      mail('EventsTaken', 'Sum', MINUTE),
      mail('EventsDropped', 'Sum', MINUTE),
      mail('EventFailures', 'Sum', MINUTE),
      mail('EventDestinationsBehind', 'Maximum', MINUTE),
    ]),
  ];
}

function infrastructure({ api, submission, policy }: WatchedStage, metrics: StageMetrics): Widgets {
  const mail = metrics.metric.bind(metrics);
  const widgets: Widgets = [
    graph('Heartbeats', [metrics.search('Heartbeat', 'Node', 'Sum')]),
    graph('Leases held', [metrics.search('LeaseHeld', 'Node', 'Maximum')]),
    graph('Leases', [mail('LeaseFailures', 'Sum', MINUTE), mail('LeasesLost', 'Sum', MINUTE)]),
    graph('API', [api.api.function.metricInvocations(), api.api.function.metricErrors()], {
      right: [api.api.function.metricDuration({ statistic: 'p99' })],
    }),
  ];
  if (policy) {
    widgets.push(
      graph('Policy', [mail('PolicyFailures', 'Sum', MINUTE), mail('PolicyHooksOff', 'Maximum', MINUTE)]),
    );
  }
  if (submission) {
    widgets.push(
      graph('Submission', [mail('Submissions', 'Sum', MINUTE), mail('SubmissionFailures', 'Sum', MINUTE)], {
        right: [mail('SubmissionConnections', 'Sum', MINUTE)],
      }),
      graph(
        'Healthy submission instances',
        submission.targets.map((target) => target.metrics.healthyHostCount({ statistic: 'Minimum' })),
      ),
      graph('Certificate of submission', [mail('CertificateSeconds', 'Minimum', FIVE_MINUTES)]),
    );
  }
  return widgets;
}

/** A lane is a pool, a class and a provider group. */
function providers(metrics: StageMetrics): Widgets {
  const byLane = (title: string, metric: MetricName) =>
    graph(title, [metrics.search(metric, 'Pool,Class,Group', 'Sum')]);
  return [
    byLane('Delivered by lane', 'Delivered'),
    byLane('Deferred by lane', 'Deferred'),
    byLane('Bounced by lane', 'Bounced'),
    byLane('Complaints by lane', 'Complaints'),
  ];
}
