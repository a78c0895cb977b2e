/**
 * The resources of the AWS engine, as data: tables, queues and the bucket. The engine and the stacks that create them
 * (`lib/stacks`) read the same lines. No AWS client is imported here.
 */
import type { LaneName } from '../items.ts';

/**
 * The tables, each with a string partition key `pk`, a string sort key `sk` and a time to live `ttl` (seconds). `records` is
 * accept's own: what happens to mail that was accepted is in `deliveries`.
 */
export const TABLES = [
  'records',
  'deliveries',
  'ledger',
  'suppressions',
  'search',
  'rows',
  'config',
  'leases',
] as const;
export type TableName = (typeof TABLES)[number];

export const PARTITION_KEY = 'pk';
export const SORT_KEY = 'sk';
export const TTL_ATTRIBUTE = 'ttl';

/** An index of a table, of its items that have both keys, with all attributes. */
export interface TableIndex {
  table: TableName;
  name: string;
  /** String. */
  partitionKey: string;
  sortKey: string;
  sortType: 'S' | 'N';
}

/** The addresses listed for a tenant and a reason, by time. */
export const LISTED_INDEX = {
  table: 'suppressions',
  name: 'listed',
  partitionKey: 'l',
  sortKey: 't',
  sortType: 'N',
} as const satisfies TableIndex;

/** Rows of the ledger that wait for a site, in parts, by their due time. */
export const PARKED_INDEX = {
  table: 'ledger',
  name: 'parked',
  partitionKey: 'w',
  sortKey: SORT_KEY,
  sortType: 'S',
} as const satisfies TableIndex;

/** Every index. */
export const INDEXES: readonly TableIndex[] = [LISTED_INDEX, PARKED_INDEX];

/** Partitions of the ledger that hold who recalls a site begin so. */
export const RECALL_PREFIX = 'recall#';

/** The resources of an installation and how they are used: the same for all its processes. */
export interface AwsResources {
  tables: Readonly<Record<TableName, string>>;
  /** Bodies that are too large for a queue item. */
  bucket: string;
  /** Bucket of the operator's that import jobs read and export jobs write; absent: there is none. */
  filesBucket?: string;
  /**
   * Start of every queue's URL, to which `laneQueue` or `OUTCOME_QUEUE` is appended: no process needs to look
   * queues up, nor the right to. As `https://sqs.us-east-1.amazonaws.com/123456789012/postern-prod-`.
   */
  queueUrlPrefix: string;
  /**
   * Whether every delivery is claimed before it is handed out: SQS's rare double deliveries then send nothing twice,
   * and every delivery in a lane can be cancelled. One write unit more for each delivery.
   */
  claimBeforeSend: boolean;
  /** Whether messages can be searched for: one write unit more for each recipient. */
  searchIndex: boolean;
}

/** Start of the keys of results of jobs, in the bucket of bodies. */
export const RESULTS_PREFIX = 'results/';

/** Name of the queue of outcomes, behind the prefix. */
export const OUTCOME_QUEUE = 'outcomes';

/** Name of the queue of ledger shards that have due rows, behind the prefix. */
export const DUE_QUEUE = 'due';

/** Name of the queue of events, behind the prefix. */
export const EVENT_QUEUE = 'events.fifo';

/** Maximum receives of a parcel of events, which only a failure of storage puts back. */
export const EVENT_MAX_RECEIVES = 10;

/** Start of the names of all lanes' queues, behind the prefix, and of no other queue: roles know lanes by it. */
export const LANE_QUEUES = 'lane-';

/** Partitions of the log of changes in the table of the configuration begin so, and no kind of document does. */
export const LOG_PREFIX = 'log#';

/** Name of a lane's queue, behind the prefix: `lane-default-bulk-google`. Classes and groups hold no `-`. */
export function laneQueue(lane: LaneName): string {
  return LANE_QUEUES + lane.replaceAll(':', '-');
}

/** How long messages stay in a queue (SQS: at most 14 days), s: longer than any delivery is tried. */
export const QUEUE_RETENTION_SECONDS = 14 * 86_400;

/**
 * How often an item may be handed out before it goes to the dead-letter queue (SQS: at most 1,000). High,
 * because a put-back counts as one.
 */
export const LANE_MAX_RECEIVES = 1_000;

/** How long a shard's name stays in the queue of due shards, s: the planner sends it again each minute. */
export const DUE_RETENTION_SECONDS = 600;

/** Maximum receives of an outcome, which only a failure puts back. */
export const OUTCOME_MAX_RECEIVES = 10;

/**
 * The secrets, each an object of a separate bucket: `master.key` seals the secrets of control; `return-path.key`
 * signs return paths, and is the only one that an egress node may read; `tracking.key` signs the links that report
 * opens and clicks.
 */
const SECRETS = ['master.key', 'return-path.key', 'tracking.key'] as const;
export type SecretName = (typeof SECRETS)[number];

/** Beside the secrets: key and certificates of the submission service in PEM, which its operator puts there. */
export const CERTIFICATE = 'submission.pem';
