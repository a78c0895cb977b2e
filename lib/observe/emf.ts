/**
 * CloudWatch's embedded metric format: metrics as lines of the log, from which CloudWatch extracts them (CloudWatch
 * user guide, "Specification: Embedded metric format"). No request, no agent, no waiting.
 *
 * The names and dimensions are a closed table: CloudWatch bills every metric for every set of dimension values, so a
 * tenant or a domain as a dimension would be billed separately. The records hold the details of each tenant.
 */

/** Namespace of the metrics of a process outside any stage. */
const NAMESPACE = 'Postern';

/** Environment variable that holds the name of the stage in all its processes. */
export const STAGE_VARIABLE = 'POSTERN_STAGE';

/** The namespace of a stage's metrics: stages that share an account share no metric. */
export function namespaceOf(stage: string | undefined): string {
  return stage ? `${NAMESPACE}/${stage}` : NAMESPACE;
}

/** Every metric, with its unit. */
export const METRICS = {
  /** Deliveries admitted. */
  Accepted: 'Count',
  /** Attempts that came to a result. */
  Attempted: 'Count',
  Delivered: 'Count',
  Deferred: 'Count',
  /** Deliveries that ended without success, expired ones included. */
  Bounced: 'Count',
  /** Attempts whose final reply was never read (RFC 1047). */
  Uncertain: 'Count',
  Complaints: 'Count',
  /** Opens and clicks that could not be reported; the click was still redirected to its target. */
  Unreported: 'Count',
  /** Events that a destination has taken. */
  EventsTaken: 'Count',
  /** Events that were given up, or refused for good. */
  EventsDropped: 'Count',
  /** Calls after which a destination of events counted as failing. */
  EventFailures: 'Count',
  /** Destinations for which events wait, one sample each minute. */
  EventDestinationsBehind: 'Count',
  /** Domains whose next DKIM key has not been found through their CNAME for a month. */
  DkimKeysOverdue: 'Count',
  /** Time from acceptance to the final reply, for delivered mail. */
  Latency: 'Milliseconds',
  /** How late the oldest waiting delivery is, or was when it was tried. */
  OldestDueAgeSeconds: 'Seconds',
  /** Source addresses whose lease a node holds. */
  LeaseHeld: 'Count',
  /** Source addresses from which a node stopped sending because their lease ran out. */
  LeasesLost: 'Count',
  /** Renewals of leases that the storage did not answer. */
  LeaseFailures: 'Count',
  /** Requests of nodes for a share of a shared limit. */
  BucketRequests: 'Count',
  /** Requests for a share that were granted nothing, because the limit is used up. */
  BucketsEmpty: 'Count',
  /** Requests for a share that the storage did not answer: mail under the limit waits. */
  BucketFailures: 'Count',
  StorageRefused: 'Count',
  /** Failed calls of hooks of the policy: mail went on without them. */
  PolicyFailures: 'Count',
  /** Hooks of the policy that are switched off. */
  PolicyHooksOff: 'Count',
  /** Messages received by the submission service, refused ones included. */
  Submissions: 'Count',
  /** Messages that the submission service could not accept because of a fault of its own; their clients keep them. */
  SubmissionFailures: 'Count',
  SubmissionConnections: 'Count',
  /** Time until the certificate of the submission service expires. */
  CertificateSeconds: 'Seconds',
  /** One a minute from every running node. */
  Heartbeat: 'Count',
  /** A sample of 1 for each hard bounce, of 0 for each delivery: the average is the rate, 0 to 1. */
  'Reputation.BounceRate': 'None',
  /** A sample of 1 for each complaint, of 0 for each delivery. */
  'Reputation.ComplaintRate': 'None',
  /** Tenants whose rates came near their pause, and tenants that were paused for them. */
  'Reputation.TenantsWarned': 'Count',
  'Reputation.TenantsPaused': 'Count',
} as const satisfies Record<string, 'Count' | 'Milliseconds' | 'Seconds' | 'None'>;

export type MetricName = keyof typeof METRICS;

/** The only dimensions: `Node` is the name of an egress node, of which there are few. */
export type DimensionName = 'Pool' | 'Class' | 'Group' | 'Node';

export interface Emf {
  /**
   * Writes values of metrics, one line for each hundred values of a metric.
   * @param dimensions published under exactly these, and once more without any.
   */
  put(
    dimensions: Partial<Record<DimensionName, string>>,
    values: Partial<Record<MetricName, number | readonly number[]>>,
  ): void;
}

/** Maximum number of values of one metric in one line (the specification's limit). */
const MAX_VALUES = 100;
/** Maximum length of a dimension's value (CloudWatch: 1,024, ASCII), characters. */
const MAX_DIMENSION = 250;

/**
 * @param options.now ms. @param options.write receives one line, with its line end; on Lambda it must be standard
 * output itself, because the runtime's console puts other text before the JSON. @param options.stage whose metrics
 * these are.
 */
export function createEmf(options: {
  now: () => number;
  write: (line: string) => void;
  stage?: string;
}): Emf {
  const namespace = namespaceOf(options.stage);
  return {
    put(dimensions, values) {
      const names = (Object.keys(values) as MetricName[]).filter((name) => values[name] !== undefined);
      const given = Object.entries(dimensions).map(([name, value]) => [name, dimensionValue(value)] as const);
      const sets = given.length > 0 ? [given.map(([name]) => name), []] : [[]];
      for (let from = 0; ; from += MAX_VALUES) {
        const line: Record<string, unknown> = Object.fromEntries(given);
        const present: MetricName[] = [];
        let more = false;
        for (const name of names) {
          const all = list(values[name]!);
          const part = all.slice(from, from + MAX_VALUES);
          more ||= all.length > from + MAX_VALUES;
          if (part.length === 0) continue;
          present.push(name);
          line[name] = part.length === 1 ? part[0] : part;
        }
        if (present.length === 0) return;
        line._aws = {
          Timestamp: options.now(),
          CloudWatchMetrics: [
            {
              Namespace: namespace,
              Dimensions: sets,
              Metrics: present.map((name) => ({ Name: name, Unit: METRICS[name] })),
            },
          ],
        };
        options.write(`${JSON.stringify(line)}\n`);
        if (!more) return;
      }
    },
  };
}

/** Values that CloudWatch accepts: a number that is not finite would void the whole line. */
function list(values: number | readonly number[]): readonly number[] {
  const all = typeof values === 'number' ? [values] : values;
  return all.every(Number.isFinite) ? all : all.filter(Number.isFinite);
}

/** A non-empty, short ASCII value: CloudWatch refuses a metric with any other, and the whole line with it. */
function dimensionValue(value: string): string {
  const clean = value.replace(/[^\x21-\x7e]/g, '?').slice(0, MAX_DIMENSION);
  return clean === '' ? 'none' : clean;
}
