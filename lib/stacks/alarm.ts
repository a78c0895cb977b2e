/** What an alarm is, before CloudWatch has it. */
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as logs from 'aws-cdk-lib/aws-logs';
import { sum } from './metrics.ts';

/** Critical: mail stops, or reputation is being lost, and a person is needed now. Warning: in working hours. */
export const SEVERITIES = ['critical', 'warning'] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface AlarmEntry {
  /** Heading of its entry in RUNBOOK.md. */
  entry: string;
  severity: Severity;
  /** Which of several it watches, as the name of a node. */
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

/** Name of an alarm within its stage. */
export function alarmName({ entry, of }: Pick<AlarmEntry, 'entry' | 'of'>): string {
  return of === undefined ? entry : `${entry} (${of})`;
}

/** Alarms of metrics in logs that CloudWatch cannot read. @param cell whose logs these are, if not the functions'. */
export function metricsRefused(
  writers: readonly { logGroup: logs.ILogGroup }[],
  cell?: string,
): AlarmEntry[] {
  return ['EMFParsingErrors', 'EMFValidationErrors'].map((metricName) => ({
    entry: 'Metrics refused',
    severity: 'warning',
    of: cell === undefined ? metricName : `${metricName} ${cell}`,
    meaning: 'CloudWatch cannot read metrics out of the logs: what alarms see is not all there is.',
    metric: sum(writers, ({ logGroup }) => [
      new cloudwatch.Metric({
        namespace: 'AWS/Logs',
        metricName,
        dimensionsMap: { LogGroupName: logGroup.logGroupName },
        statistic: 'Sum',
      }),
    ]),
    threshold: 1,
  }));
}
