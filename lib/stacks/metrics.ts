/** Metrics for alarms and the dashboard: ours, and those that AWS keeps, joined by metric math. */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { type DimensionName, type MetricName, NAMESPACE } from '../observe/emf.ts';

const FIVE_MINUTES = Duration.minutes(5);

/** A metric of ours. */
export function mail(
  metricName: MetricName,
  statistic: string,
  period: Duration,
  dimensions?: Partial<Record<DimensionName, string>>,
): cloudwatch.Metric {
  const dimensionsMap = dimensions as Record<string, string> | undefined;
  return new cloudwatch.Metric({ namespace: NAMESPACE, metricName, statistic, period, dimensionsMap });
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

/** A rate, or 0 while fewer than `minimum` samples speak for it: one bounce of ten deliveries is no 10 %. */
export function guarded(name: MetricName, minimum: number, period: Duration): cloudwatch.MathExpression {
  return new cloudwatch.MathExpression({
    expression: `IF(volume >= ${minimum}, rate, 0)`,
    usingMetrics: { volume: mail(name, 'SampleCount', period), rate: mail(name, 'Average', period) },
    label: name,
    period,
  });
}

/** One counter by another, or 0 while the other is below `minimum`. */
export function ratio(
  part: MetricName,
  whole: MetricName,
  minimum: number,
  period: Duration,
): cloudwatch.MathExpression {
  return new cloudwatch.MathExpression({
    expression: `IF(whole >= ${minimum}, FILL(part, 0) / whole, 0)`,
    usingMetrics: { part: mail(part, 'Sum', period), whole: mail(whole, 'Sum', period) },
    label: `${part} / ${whole}`,
    period,
  });
}

/** The highest of a metric of several things, over five minutes. At most ten metrics, as CloudWatch asks. */
export function highest<T>(
  things: readonly T[],
  of: (thing: T) => cloudwatch.Metric,
): cloudwatch.MathExpression {
  return joined(
    'MAX',
    things.map((thing) => of(thing).with({ statistic: 'Maximum' })),
  );
}

/** The sum of metrics of several things, over five minutes. At most ten metrics, as CloudWatch asks. */
export function sum<T>(
  things: readonly T[],
  of: (thing: T) => cloudwatch.Metric[],
): cloudwatch.MathExpression {
  return joined('SUM', things.flatMap(of));
}

/** Metrics as one, over five minutes. At most ten, as CloudWatch asks. */
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
