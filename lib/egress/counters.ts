import type { SharedCounts } from '../observe/limit-figures.ts';

/** What egress counted since it started. Metrics and the API read it. */
export interface Counts {
  /** Attempts that reached a verdict. */
  attempted: number;
  delivered: number;
  deferred: number;
  bounced: number;
  expired: number;
  /** Bodies given to a peer whose reply was never read (RFC 1047): these may arrive twice. */
  uncertain: number;
}

export interface Counters extends Counts, SharedCounts {
  /** Put back unsent, with a reason. */
  released: number;
  /** Leases that ran out in our hand; the queue hands them out again. */
  lost: number;
  /** Redelivered items that had ended by their record. */
  superseded: number;
  /** Automatic replies that the mailbox simulator gave. */
  autoReplies: number;
  providers: Map<string, Counts>;
}

export function newCounts(): Counts {
  return { attempted: 0, delivered: 0, deferred: 0, bounced: 0, expired: 0, uncertain: 0 };
}

export function newCounters(): Counters {
  return {
    ...newCounts(),
    released: 0,
    lost: 0,
    superseded: 0,
    autoReplies: 0,
    leasesLost: 0,
    leaseFailures: 0,
    bucketRequests: 0,
    bucketsEmpty: 0,
    bucketFailures: 0,
    storageRefused: 0,
    providers: new Map(),
  };
}

/** The counts of a provider. */
export function countsOf(counters: Counters, provider: string): Counts {
  let counts = counters.providers.get(provider);
  if (counts === undefined) counters.providers.set(provider, (counts = newCounts()));
  return counts;
}
