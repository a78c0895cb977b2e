/**
 * The metrics of an egress node, written each minute: a heartbeat, the leases of its source addresses, the age of the
 * oldest delivery that it tried, and the failures of shared state. An alarm fires when a node writes nothing. Counts of
 * zero are not written, so they cost nothing.
 */
import type { QueueItem } from '../engine/items.ts';
import type { Clock } from '../time.ts';
import type { Emf, MetricName } from './emf.ts';
import type { SharedCounts } from './limit-figures.ts';

const INTERVAL = 60_000;

export interface NodeMetricsOptions {
  emf: Emf;
  clock: Clock;
  /** Name of the node. */
  node: string;
  /** Number of source addresses whose lease the node holds now. */
  leasesHeld: () => number;
  /** Counts of leases and shared limits since the node's start. */
  shared: () => Readonly<SharedCounts>;
  /** Further metrics, without dimensions. */
  besides: () => Partial<Record<MetricName, number>>;
}

const SHARED = {
  leasesLost: 'LeasesLost',
  leaseFailures: 'LeaseFailures',
  bucketRequests: 'BucketRequests',
  bucketsEmpty: 'BucketsEmpty',
  bucketFailures: 'BucketFailures',
  storageRefused: 'StorageRefused',
} as const satisfies Record<keyof SharedCounts, MetricName>;

export interface NodeMetrics {
  /** Counts an attempt. SQS's own measure of age ignores deliveries that were put back before. */
  attempted(item: QueueItem): void;
  /** Writes the counts since the last time, then stops. */
  stop(): void;
}

export function startNodeMetrics(options: NodeMetricsOptions): NodeMetrics {
  const { emf, clock, node, leasesHeld, shared, besides } = options;
  const names = Object.keys(SHARED) as (keyof SharedCounts)[];
  const written = Object.fromEntries(names.map((name) => [name, 0])) as Record<keyof SharedCounts, number>;
  let oldest: number | undefined;
  let cancel: () => void;

  function write(): void {
    emf.put({ Node: node }, { Heartbeat: 1, LeaseHeld: leasesHeld(), OldestDueAgeSeconds: oldest });
    oldest = undefined;
    writeCounts();
    cancel = clock.after(INTERVAL, write);
  }

  function writeCounts(): void {
    const counts = shared();
    const since = { ...besides() };
    for (const name of names) {
      if (counts[name] > written[name]) since[SHARED[name]] = counts[name] - written[name];
      written[name] = counts[name];
    }
    // Without the node as a dimension, because CloudWatch would bill each metric once more for it; the log names the
    // node.
    emf.put({}, since);
  }

  write();
  return {
    attempted({ acceptedAt, due }) {
      const age = Math.max(0, clock.now() - Math.max(acceptedAt, due)) / 1_000;
      if (oldest === undefined || age > oldest) oldest = age;
    },
    stop() {
      cancel();
      writeCounts();
    },
  };
}
