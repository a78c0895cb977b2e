/**
 * What an egress node tells of itself each minute: that it lives, which addresses it may send from, and how late
 * the oldest delivery was that it tried. Whoever writes nothing is missed by an alarm.
 */
import type { QueueItem } from '../engine/items.ts';
import type { Clock } from '../time.ts';
import type { Emf } from './emf.ts';

const INTERVAL = 60_000;

export interface NodeMetricsOptions {
  emf: Emf;
  clock: Clock;
  /** Name of the node. */
  node: string;
  /** Source addresses whose lease it holds now. */
  leasesHeld: () => number;
}

export interface NodeMetrics {
  /** A delivery was tried. SQS's own measure of age does not see a delivery that was put back before. */
  attempted(item: QueueItem): void;
  stop(): void;
}

export function startNodeMetrics(options: NodeMetricsOptions): NodeMetrics {
  const { emf, clock, node, leasesHeld } = options;
  let oldest: number | undefined;
  let cancel: () => void;

  function write(): void {
    emf.put({ Node: node }, { Heartbeat: 1, LeaseHeld: leasesHeld(), OldestDueAgeSeconds: oldest });
    oldest = undefined;
    cancel = clock.after(INTERVAL, write);
  }

  write();
  return {
    attempted({ acceptedAt, due }) {
      const age = Math.max(0, clock.now() - Math.max(acceptedAt, due)) / 1_000;
      if (oldest === undefined || age > oldest) oldest = age;
    },
    stop: () => cancel(),
  };
}
