/** Figures of limits of an egress process, for Prometheus (`metrics.ts`) and CloudWatch (`node-metrics.ts`). */

/** How often the storage of shared state failed since the start: leases of source addresses, shared limits. */
export interface SharedCounts {
  /** Sources that stopped sending because their lease ran out. */
  leasesLost: number;
  /** Renewals of a lease that the storage did not answer. */
  leaseFailures: number;
  /** Requests for a share of a shared limit. */
  bucketRequests: number;
  /** Requests that were granted nothing, because the limit is used up. */
  bucketsEmpty: number;
  /** Requests that the storage did not answer: mail under the limit waits. */
  bucketFailures: number;
  /** Settlements and outcomes that the storage refused for good. */
  storageRefused: number;
}

/** What this process holds of shared limits: tokens of rates and quotas, permits of concurrency. */
export type SharedHeld = Record<'rate' | 'quota' | 'concurrency', number>;

/** Deliveries that wait for a connection. */
export interface WaitingFigure {
  /** The limit that binds, as one word (`lib/shaping/constraint.ts`). */
  limit: string;
  provider: string;
  waiting: number;
}
