/**
 * The part of the engine for a process that may only report: outcomes go into the outcome queue, whose consumer reads
 * the records. It may read the documents that its role is given.
 */
import { type Log, silentLog } from '../../log.ts';
import type { Clock, Random } from '../../time.ts';
import type { Outcome } from '../items.ts';
import { type ClientOptions, createClients } from './clients.ts';
import { AwsConfig } from './config.ts';
import { Feed } from './feed.ts';
import { Lanes } from './lanes.ts';
import type { TableName } from './schema.ts';
import { Tables } from './tables.ts';

export interface ReporterOptions {
  /** Prefix as in `AwsResources`. */
  queueUrlPrefix: string;
  /** Table of documents. */
  configTable: string;
  clock: Clock;
  random?: Random;
  client?: ClientOptions;
  log?: Log;
}

export interface Reporter {
  /** Durable when it resolves. @throws PosternError `storage_unavailable`. */
  report(outcomes: readonly Outcome[]): Promise<void>;
  /** The value of a document, as it is stored. @throws PosternError `storage_unavailable`. */
  document(kind: string, key: string): Promise<unknown>;
  close(): void;
}

export function openReporter(options: ReporterOptions): Reporter {
  const { queueUrlPrefix, clock, random = Math.random, client = {}, log = silentLog } = options;
  const clients = createClients(client, () => performance.now());
  const names = { config: options.configTable } as Record<TableName, string>;
  const config = new AwsConfig(new Tables(clients.dynamo, names, { clock, random }), { clock, random }, log);
  const feed = new Feed(new Lanes(clients, queueUrlPrefix, { clock, random }), clock, log);
  return {
    report: (outcomes) => feed.emit(outcomes),
    document: async (kind, key) => (await config.get(kind, key))?.value,
    close: () => clients.destroy(),
  };
}
