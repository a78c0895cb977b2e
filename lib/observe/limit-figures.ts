/** Figures of limits of an egress process, for Prometheus (`metrics.ts`) and CloudWatch (`node-metrics.ts`). */

/** How the storage of what nodes share answered since the start: leases of source addresses, shared limits. */
export interface SharedCounts {
  /** Sources that stopped sending because their lease ran out. */
  leasesLost: number;
  /** Renewals of a lease that were not answered. */
  leaseFailures: number;
  /** Requests for a part of a shared limit. */
  bucketRequests: number;
  /** Those that were given nothing: the limit is used up. */
  bucketsEmpty: number;
  /** Those that were not answered: what counts against the limit waits. */
  bucketFailures: number;
  /** Settlements and outcomes that the storage refused for good. */
  storageRefused: number;
}

/** What this process holds of shared limits: tokens of rates and quotas, permits of concurrency. */
export type SharedHeld = Record<'rate' | 'quota' | 'concurrency', number>;

/** Deliveries that wait for a connection. */
export interface WaitingFigure {
  /** What binds, in a word (`lib/shaping/constraint.ts`). */
  limit: string;
  provider: string;
  waiting: number;
}
