/** Metrics for alarms and the dashboard: those of Postern, and those that AWS keeps, joined by metric math. */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { type DimensionName, type MetricName, namespaceOf } from '../observe/emf.ts';

const FIVE_MINUTES = Duration.minutes(5);

/** The metrics that the processes of one stage write. */
export class StageMetrics {
  readonly namespace: string;

  constructor(stage: string) {
    this.namespace = namespaceOf(stage);
  }

  metric(
    metricName: MetricName,
    statistic: string,
    period: Duration,
    dimensions?: Partial<Record<DimensionName, string>>,
  ): cloudwatch.Metric {
    const dimensionsMap = dimensions as Record<string, string> | undefined;
    return new cloudwatch.Metric({ namespace: this.namespace, metricName, statistic, period, dimensionsMap });
  }

  /** A rate, or 0 while it has fewer than `minimum` samples: one bounce of ten deliveries is no 10 %. */
  guarded(name: MetricName, minimum: number, period: Duration): cloudwatch.MathExpression {
    return new cloudwatch.MathExpression({
      expression: `IF(volume >= ${minimum}, rate, 0)`,
      usingMetrics: {
        volume: this.metric(name, 'SampleCount', period),
        rate: this.metric(name, 'Average', period),
      },
      label: name,
      period,
    });
  }

  /** One counter divided by another, or 0 while the other is below `minimum`. */
  ratio(part: MetricName, whole: MetricName, minimum: number, period: Duration): cloudwatch.MathExpression {
    return new cloudwatch.MathExpression({
      expression: `IF(whole >= ${minimum}, FILL(part, 0) / whole, 0)`,
      usingMetrics: { part: this.metric(part, 'Sum', period), whole: this.metric(whole, 'Sum', period) },
      label: `${part} / ${whole}`,
      period,
    });
  }

  /** All series of a metric that have these dimensions, one line each. */
  search(metric: MetricName, by: string, statistic: string): cloudwatch.MathExpression {
    return new cloudwatch.MathExpression({
      expression: `SEARCH('{${this.namespace},${by}} MetricName="${metric}"', '${statistic}', 60)`,
      usingMetrics: {},
      label: '',
      period: Duration.minutes(1),
    });
  }
}

/** A metric that SQS keeps of a queue. */
export function queueMetric(
  queueName: string,
  of: 'NumberOfMessagesVisible' | 'NumberOfMessagesNotVisible' | 'AgeOfOldestMessage',
  period: Duration = FIVE_MINUTES,
): cloudwatch.Metric {
  return new cloudwatch.Metric({
    namespace: 'AWS/SQS',
    metricName: `Approximate${of}`,
    dimensionsMap: { QueueName: queueName },
    statistic: 'Maximum',
    period,
  });
}

/** The highest of a metric of several things, over five minutes. */
export function highest<T>(
  things: readonly T[],
  of: (thing: T) => cloudwatch.Metric,
): cloudwatch.MathExpression {
  return joined(
    'MAX',
    things.map((thing) => of(thing).with({ statistic: 'Maximum' })),
  );
}

/** The sum of metrics of several things, over five minutes. */
export function sum<T>(
  things: readonly T[],
  of: (thing: T) => cloudwatch.Metric[],
): cloudwatch.MathExpression {
  return joined('SUM', things.flatMap(of));
}

/** Metrics as one, over five minutes. @throws Error above the ten metrics that CloudWatch joins in an alarm. */
export function joined(
  how: 'MAX' | 'MIN' | 'SUM',
  metrics: readonly cloudwatch.Metric[],
): cloudwatch.MathExpression {
  if (metrics.length > 10) throw new Error(`An alarm may join ten metrics, not ${metrics.length}.`);
  return new cloudwatch.MathExpression({
    expression: `${how}(METRICS())`,
    usingMetrics: Object.fromEntries(metrics.map((metric, at) => [`m${at}`, metric])),
    label: metrics[0]!.metricName,
    period: FIVE_MINUTES,
  });
}
