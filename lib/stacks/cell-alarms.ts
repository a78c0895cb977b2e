/** The alarms of a cell, as data: of each node and each pool, so their number grows with the cell. */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { MessageClass } from '../engine/items.ts';
import { type AlarmEntry, metricsRefused } from './alarm.ts';
import { type Cell, lanesOf } from './cells.ts';
import type { EgressStack } from './egress.ts';
import { highest, queueMetric, type StageMetrics } from './metrics.ts';
import type { Stage } from './stage.ts';

export interface WatchedCell {
  stage: Stage;
  cell: Cell;
  egress: EgressStack;
}

const MINUTE = Duration.minutes(1);
const { BREACHING } = cloudwatch.TreatMissingData;

export function cellAlarms({ stage, cell, egress }: WatchedCell, metrics: StageMetrics): AlarmEntry[] {
  // Nodes outside AWS are counted to the stage's own cell, whose stack gives them their rights.
  const outside = cell.name === undefined ? (stage.outside?.nodes ?? []) : [];
  return [
    ...[...cell.nodes, ...outside].flatMap(({ name, addresses }) =>
      nodeAlarms(name, addresses.length, metrics),
    ),
    ...cell.pools.flatMap((pool) => poolAlarms(stage, pool)),
    ...metricsRefused([egress], cell.name ?? 'nodes'),
  ];
}

function nodeAlarms(name: string, addresses: number, metrics: StageMetrics): AlarmEntry[] {
  return [
    {
      entry: 'Node silent',
      severity: 'critical',
      of: name,
      meaning: `Egress node ${name} has given no sign of life for three minutes.`,
      metric: metrics.metric('Heartbeat', 'Sum', MINUTE, { Node: name }),
      threshold: 1,
      periods: 3,
      below: true,
      missing: BREACHING,
    },
    {
      entry: 'Node without lease',
      severity: 'warning',
      of: name,
      meaning: `Egress node ${name} holds fewer leases than it has addresses: another process sends from them, or none does.`,
      metric: metrics.metric('LeaseHeld', 'Maximum', MINUTE, { Node: name }),
      threshold: addresses,
      periods: 5,
      below: true,
    },
  ];
}

function poolAlarms(stage: Stage, pool: string): AlarmEntry[] {
  return [
    delay(stage, pool, 'transactional', 300, 'five minutes'),
    delay(stage, pool, 'bulk', 3600, 'an hour'),
    {
      entry: 'In flight',
      severity: 'critical',
      of: pool,
      meaning: `A lane of pool ${pool} has 100,000 deliveries leased and not settled; SQS gives out no more at 120,000.`,
      metric: highest(lanesOf(stage, pool), (queue) => queueMetric(queue, 'NumberOfMessagesNotVisible')),
      threshold: 100_000,
    },
  ];
}

function delay(stage: Stage, pool: string, cls: MessageClass, threshold: number, words: string): AlarmEntry {
  return {
    entry: 'Queue delay',
    severity: cls === 'transactional' ? 'critical' : 'warning',
    of: `${pool} ${cls}`,
    meaning: `A ${cls} delivery of pool ${pool} has waited in its lane for ${words} without being taken.`,
    metric: highest(lanesOf(stage, pool, cls), (queue) => queueMetric(queue, 'AgeOfOldestMessage')),
    threshold,
    periods: 3,
  };
}
