/** Opens the embedded engine: every port of the engine on one SQLite file, for one process. */
import { join } from 'node:path';
import { PosternError } from '../../errors.ts';
import { type Log, silentLog } from '../../log.ts';
import type { Clock } from '../../time.ts';
import type { Files } from '../files.ts';
import type { Engine } from '../ports.ts';
import { SettlementJournal } from '../settlement-journal.ts';
import { EmbeddedConfig } from './config.ts';
import { DirectoryFiles } from './directory-files.ts';
import { EmbeddedLeases } from './leases.ts';
import { EmbeddedLedger, LedgerTimer } from './ledger.ts';
import { Link } from './link.ts';
import type { Opened } from './protocol.ts';
import { EmbeddedQueue } from './queue.ts';
import { Ready } from './ready.ts';
import { EmbeddedBodies, EmbeddedRecords } from './records.ts';
import { EmbeddedRows } from './rows.ts';
import { snapshotStore } from './snapshot.ts';
import { JOURNAL } from './store/schema.ts';
import { EmbeddedSuppressions } from './suppressions.ts';

/** Free bytes below which new mail is refused: room for the outcomes of what was accepted, and the WAL. */
const MINIMUM_FREE = 256 << 20;

export interface EmbeddedOptions {
  /** Data directory; made when it does not exist. One process at a time. */
  directory: string;
  clock: Clock;
  /** The operator's buckets; absent: there are none. */
  buckets?: Files['bucket'];
  /** New mail is refused (`storage_full`) while the file system has fewer free bytes. Default 256 MiB. */
  minimumFree?: number;
  log?: Pick<Log, 'info' | 'error'>;
}

/**
 * Opens the store of a data directory, making it when there is none.
 * @throws PosternError `storage_locked`, `storage_too_new`, `storage_damaged`, `storage_full` or
 *   `storage_unavailable`.
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<Engine> {
  const { directory, clock, minimumFree = MINIMUM_FREE, log = silentLog } = options;
  const { buckets = () => undefined } = options;
  const { link, opened } = await Link.open({ directory, minimumFree });
  const { settled, damage } = opened.recovered;
  for (const text of damage) log.error('journal.damaged', { text });
  if (settled > 0) log.info('journal.settled', { deliveries: settled });
  const results = new DirectoryFiles(join(directory, 'results'));
  const files: Files = {
    results,
    bucket: buckets,
    prune: (before, max) => results.prune(before, max),
  };
  const journal = new SettlementJournal(join(directory, JOURNAL), log);
  const engine = engineOver({ link, opened }, clock, files, journal);
  return Object.assign(engine, { snapshot: (file: string) => snapshotStore(directory, file) });
}

/** The ports over a store that is open. */
export function engineOver(
  { link, opened }: { link: Link; opened: Opened },
  clock: Clock,
  files: Files,
  journal?: SettlementJournal,
): Engine {
  const ready = new Ready(link, clock, opened);
  const timer = new LedgerTimer(link, clock, ready, opened.nextDue);
  let closed: Promise<void> | undefined;

  async function close(): Promise<void> {
    timer.stop();
    ready.stop(new PosternError('shutting_down', 'The store is being closed.'));
    // The last batch: every earlier call is in it or before it.
    await link.call('finish', { clean: ready.leasedCount === 0 }).catch(() => {});
    await link.close();
    journal?.close();
  }

  return {
    queue: new EmbeddedQueue(link, clock, ready, timer, journal),
    ledger: new EmbeddedLedger(link, clock, ready, timer),
    records: new EmbeddedRecords(link, clock, ready),
    bodies: new EmbeddedBodies(link),
    suppressions: new EmbeddedSuppressions(link, opened.listed),
    rows: new EmbeddedRows(link, clock),
    config: new EmbeddedConfig(link),
    leases: new EmbeddedLeases(link, clock),
    files,
    async health() {
      if (link.broken) return { ok: false, detail: link.broken.message };
      try {
        const { bytes, free, full } = await link.call('health', null);
        if (full)
          return { ok: false, detail: `New mail is refused: ${free} bytes are free on the disk.`, bytes };
        return { ok: true, bytes };
      } catch (error) {
        return { ok: false, detail: error instanceof Error ? error.message : String(error) };
      }
    },
    close: () => (closed ??= close()),
  };
}
