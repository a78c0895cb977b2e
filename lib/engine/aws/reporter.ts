/**
 * The part of the engine for a process that may only report: outcomes go into the outcome queue, whose consumer reads
 * the records.
 */
import { type Log, silentLog } from '../../log.ts';
import type { Clock, Random } from '../../time.ts';
import type { Outcome } from '../items.ts';
import { type ClientOptions, createClients } from './clients.ts';
import { Feed } from './feed.ts';
import { Lanes } from './lanes.ts';

export interface ReporterOptions {
  /** Prefix as in `AwsResources`. */
  queueUrlPrefix: string;
  clock: Clock;
  random?: Random;
  client?: ClientOptions;
  log?: Log;
}

export interface Reporter {
  /** Durable when it resolves. @throws PosternError `storage_unavailable`. */
  report(outcomes: readonly Outcome[]): Promise<void>;
  close(): void;
}

export function openReporter(options: ReporterOptions): Reporter {
  const { queueUrlPrefix, clock, random = Math.random, client = {}, log = silentLog } = options;
  const clients = createClients(client, () => performance.now());
  const feed = new Feed(new Lanes(clients, queueUrlPrefix, { clock, random }), clock, log);
  return {
    report: (outcomes) => feed.emit(outcomes),
    close: () => clients.destroy(),
  };
}
