/**
 * CloudWatch's embedded metric format: metrics as lines of the log, which CloudWatch reads out of it
 * (CloudWatch user guide, "Specification: Embedded metric format"). No request, no agent, no waiting.
 *
 * The names and dimensions are a closed table: CloudWatch bills every metric for every set of dimension
 * values, so a tenant or a domain as a dimension would be a bill for each of them. The records hold the details of each
 * tenant.
 */

/** Namespace of the metrics of a process that no stage runs. */
const NAMESPACE = 'Postern';

/** Environment variable that names the stage to every process of it. */
export const STAGE_VARIABLE = 'POSTERN_STAGE';

/** The namespace of a stage's metrics: stages that share an account share no metric. */
export function namespaceOf(stage: string | undefined): string {
  return stage ? `${NAMESPACE}/${stage}` : NAMESPACE;
}

/** Every metric, with its unit. */
export const METRICS = {
  /** Deliveries taken in. */
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
  /** Opens and clicks that could not be reported; the click still led to its target. */
  Unreported: 'Count',
  /** From acceptance to the final reply, of what was delivered. */
  Latency: 'Milliseconds',
  /** How late the oldest delivery that waits is, or was when it was tried. */
  OldestDueAgeSeconds: 'Seconds',
  /** Source addresses whose lease a node holds. */
  LeaseHeld: 'Count',
  /** Source addresses from which a node stopped sending because their lease ran out. */
  LeasesLost: 'Count',
  /** Renewals of leases that the storage did not answer. */
  LeaseFailures: 'Count',
  /** Requests of nodes for a part of a shared limit. */
  BucketRequests: 'Count',
  /** Those that were given nothing: the limit is used up. */
  BucketsEmpty: 'Count',
  /** Those that the storage did not answer: what counts against the limit waits. */
  BucketFailures: 'Count',
  StorageRefused: 'Count',
  /** Failed calls of hooks of the policy: mail went on without them. */
  PolicyFailures: 'Count',
  /** Hooks of the policy that are switched off. */
  PolicyHooksOff: 'Count',
  /** Messages given to the submission service, refused ones included. */
  Submissions: 'Count',
  /** Those that it could not take for a reason of ours; their clients keep them. */
  SubmissionFailures: 'Count',
  SubmissionConnections: 'Count',
  /** Until the certificate of the submission service expires. */
  CertificateSeconds: 'Seconds',
  /** One a minute from every node that lives. */
  Heartbeat: 'Count',
  /** A sample of 1 for each hard bounce, of 0 for each delivery: the average is the rate, 0 to 1. */
  'Reputation.BounceRate': 'None',
  /** A sample of 1 for each complaint, of 0 for each delivery. */
  'Reputation.ComplaintRate': 'None',
} as const satisfies Record<string, 'Count' | 'Milliseconds' | 'Seconds' | 'None'>;

export type MetricName = keyof typeof METRICS;

/** The only dimensions: `Node` is the name of an egress node, of which there are few. */
export type DimensionName = 'Pool' | 'Class' | 'Group' | 'Node';

export interface Emf {
  /**
   * Writes values of metrics, as one line for each hundred values of a metric.
   * @param dimensions published under exactly these, and once more without any.
   */
  put(
    dimensions: Partial<Record<DimensionName, string>>,
    values: Partial<Record<MetricName, number | readonly number[]>>,
  ): void;
}

/** Values of one metric in one line (the specification's limit). */
const MAX_VALUES = 100;
/** Characters of a dimension's value (CloudWatch: 1,024, ASCII). */
const MAX_DIMENSION = 250;

/**
 * @param options.now ms. @param options.write takes one line, with its line end; on Lambda it must be standard
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

/** The values that CloudWatch takes: a number that is not finite would void the whole line. */
function list(values: number | readonly number[]): readonly number[] {
  const all = typeof values === 'number' ? [values] : values;
  return all.every(Number.isFinite) ? all : all.filter(Number.isFinite);
}

/** Not empty, ASCII, short: a metric with another value is refused, and the line with it. */
function dimensionValue(value: string): string {
  const clean = value.replace(/[^\x21-\x7e]/g, '?').slice(0, MAX_DIMENSION);
  return clean === '' ? 'none' : clean;
}
