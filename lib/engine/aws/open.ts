/** Opens the AWS engine: every port of the engine on SQS, DynamoDB and S3, for any number of processes. */
import { type Log, silentLog } from '../../log.ts';
import { type Clock, DAY, type Random } from '../../time.ts';
import type { EventQueue } from '../destinations.ts';
import type { MessageRecord, Outcome } from '../items.ts';
import type { Engine, Settlement } from '../ports.ts';
import { AwsBodies, BucketObjects, MessageBodies } from './bodies.ts';
import { BucketFiles } from './bucket-files.ts';
import { CallProgress } from './call-progress.ts';
import { Calls } from './calls.ts';
import { type ClientOptions, createClients } from './clients.ts';
import { AwsConfig } from './config.ts';
import { DeliveryTable } from './delivery-table.ts';
import { AwsEventQueue } from './event-queue.ts';
import { Feed } from './feed.ts';
import { Intake } from './intake.ts';
import { Lanes } from './lanes.ts';
import { AwsLeases } from './lease-table.ts';
import { AwsLedger, type ShardedLedger } from './ledger.ts';
import { Notes } from './notes.ts';
import { CopyOutbox } from './outbox.ts';
import { AwsQueue } from './queue.ts';
import { LeasedHere } from './receipt.ts';
import { Receiver } from './receive.ts';
import { AwsRecords, MessageRecords } from './records.ts';
import { Reports } from './reports.ts';
import { AwsRows } from './rows.ts';
import { type AwsResources, RESULTS_PREFIX } from './schema.ts';
import { MessageIndex } from './search.ts';
import { Settling } from './settling.ts';
import { AwsSuppressions } from './suppressions.ts';
import { Tables } from './tables.ts';

/** SES v2 takes 40 MB; a body above this was not written by Postern. */
const MAX_MESSAGE_BYTES = 64 << 20;

export interface AwsOptions {
  /** Tables, bucket and queues, and how they are used. */
  resources: AwsResources;
  clock: Clock;
  random?: Random;
  /** Clock in ms that never goes back and advances while the process is stopped. By default the monotonic clock. */
  steady?: () => number;
  /** How AWS is reached. By default from the SDK's environment. */
  client?: ClientOptions;
  log?: Log;
  /** Maximum age of SQS's figures that `lanes` returns, ms. Default 30 s. */
  depthAge?: number;
  /**
   * Directory in which ends of deliveries are noted before they are settled, of this process and its successors alone.
   * By default none.
   */
  journal?: string;
  /** How long records are kept after the expiry of their deliveries, ms. Default 30 days. */
  retention?: number;
}

export interface AwsEngine extends Engine {
  ledger: ShardedLedger;
  /**
   * Stores reports that came by the feed alone, from a process that may not write records
   * (lib/engine/aws/reporter.ts), so that `records.reports` shows them. Known ones change nothing.
   */
  keepReports(reports: readonly { record: MessageRecord; outcome: Outcome }[]): Promise<void>;
  /** The queue of events for webhooks and brokers. */
  events: EventQueue;
}

/** Sends no request yet: a failure shows at the first use, as `storage_unavailable`. */
export function openAws(options: AwsOptions): Promise<AwsEngine> {
  const { resources, clock, random = Math.random, log = silentLog } = options;
  const { claimBeforeSend } = resources;
  const { steady = () => performance.now(), retention = 30 * DAY, depthAge = 30_000 } = options;
  const clients = createClients(options.client ?? {}, steady);
  const pacing = { clock, random };
  const tables = new Tables(clients.dynamo, resources.tables, pacing);
  const lanes = new Lanes(clients, resources.queueUrlPrefix, pacing);
  const objects = new BucketObjects(clients.s3, resources.bucket);
  const deliveries = new DeliveryTable(tables);
  const bodies = new MessageBodies(objects, deliveries);
  const calls = new Calls(tables, clock, retention);
  const progress = new CallProgress(calls, deliveries);
  const outbox = new CopyOutbox({ lanes, tables, deliveries, clock, retention, claimBeforeSend });
  const feed = new Feed(lanes, clock, log);
  const messages = new MessageRecords(calls, deliveries);
  const index = new MessageIndex({ tables, calls, clock, retention, searchIndex: resources.searchIndex });
  const reports = new Reports(deliveries, retention);
  const leasedHere = new LeasedHere();
  const config = new AwsConfig(tables, pacing, log);
  const shared = {
    ...pacing,
    tables,
    deliveries,
    calls,
    progress,
    lanes,
    bodies,
    outbox,
    feed,
    messages,
    index,
    reports,
    leasedHere,
    steady,
    log,
    retention,
    claimBeforeSend,
  };

  const settling = new Settling(shared);
  const settle = (ends: Settlement[]) => settling.settle(ends);
  const notes =
    options.journal === undefined ? undefined : new Notes({ directory: options.journal, settle, clock, log });
  const engine: AwsEngine = {
    queue: new AwsQueue({
      intake: new Intake(shared),
      receiver: new Receiver({ ...shared, maxMessageBytes: MAX_MESSAGE_BYTES }),
      settling,
      notes,
      lanes,
      clock,
      depthAge,
    }),
    ledger: new AwsLedger(shared),
    records: new AwsRecords(shared),
    bodies: new AwsBodies(objects, clock),
    suppressions: new AwsSuppressions(tables),
    rows: new AwsRows({ ...pacing, tables }),
    config,
    leases: new AwsLeases(shared),
    files: {
      results: new BucketFiles(clients.s3, resources.bucket, RESULTS_PREFIX),
      bucket: (name) => (name === resources.filesBucket ? new BucketFiles(clients.s3, name) : undefined),
      // The bucket's lifecycle removes them.
      prune: () => Promise.resolve(0),
    },
    keepReports: (list) => reports.keep(list),
    events: new AwsEventQueue(lanes),
    async health() {
      try {
        await tables.get('leases', { pk: 'health', sk: 'health' }, false);
        return { ok: true };
      } catch (error) {
        return { ok: false, detail: (error as Error).message };
      }
    },
    close() {
      notes?.close();
      config.close();
      clients.destroy();
      return Promise.resolve();
    },
  };
  return Promise.resolve(engine);
}
