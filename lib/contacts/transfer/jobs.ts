/**
 * Imports as objects: where each stands, how many rows it took, and every row that it did not.
 *
 * ```
 *  CREATED ─► PROCESSING ─► COMPLETED   each good row is in force, each bad one is listed
 *                 └───────► FAILED      the file or the store failed; rows before that are in force
 * ```
 */
import type { Eraser } from '../../engine/erased.ts';
import type { Rows } from '../../engine/ports.ts';
import type { NewRow } from '../../engine/rows.ts';
import { asPosternError, PosternError } from '../../errors.ts';
import type { Clock } from '../../time.ts';
import { type ImportCounts, importRows, type RowFailure, type RowTarget } from './import.ts';
import { type HeldJob, JOB_KEPT, JobRows, type StoredJob } from './job-rows.ts';
import type { ImportFormat } from './suppression-rows.ts';

/** What an import changes. */
export type ImportDestination =
  | { kind: 'suppressions'; action: 'put' | 'delete'; list: string }
  | { kind: 'contacts'; action: 'put' | 'delete'; list: string };

export interface ImportJob extends StoredJob {
  destination: ImportDestination;
  format: ImportFormat;
  /** Where the file is read from; absent: it came with the call. */
  url?: string;
  counts: ImportCounts;
  /** Lines of the file that are done. */
  line?: number;
}

/** What a worker gives an import beside the file. */
export interface ImportWork {
  /** Called after each window of rows, before it is noted as done. @throws to stop there; the job stays PROCESSING. */
  onWindow?(): Partial<ImportJob>;
}

/** Rows of a file after which the stored counts are brought up to date. */
const PROGRESS = 10_000;
/** Failures in one stored row: some 40 KB. */
const GROUP = 100;
const PAGE = 100;
export const IMPORT_JOB = 'import-job';
const FAILURES = 'import-failure';

/** The job was stopped, and goes on later. */
export class JobStopped extends PosternError {
  constructor() {
    super('shutting_down', 'The job was stopped, and goes on later.');
  }
}

export class ImportJobs {
  readonly #rows: Rows;
  readonly #clock: Clock;
  readonly #jobs: JobRows<ImportJob>;

  constructor(rows: Rows, clock: Clock) {
    this.#rows = rows;
    this.#clock = clock;
    this.#jobs = new JobRows(rows, clock, IMPORT_JOB);
  }

  /** Stores a new import. @param id of it, when others name it already. */
  create(
    job: Pick<ImportJob, 'tenant' | 'keyId' | 'destination' | 'format' | 'url'>,
    id = this.#jobs.newId(),
  ): Promise<HeldJob<ImportJob>> {
    return this.#jobs.create({ ...job, id, counts: { rows: 0, taken: 0, unchanged: 0, failed: 0 } });
  }

  newId(): string {
    return this.#jobs.newId();
  }

  hold(tenant: string, id: string): Promise<HeldJob<ImportJob> | undefined> {
    return this.#jobs.hold(tenant, id);
  }

  /**
   * Runs an import to its end, from the line at which it was stopped. @returns how it ended. @throws PosternError of the
   * storage group, and `bad_request`, `not_found` or `request_timeout` of the source, when the import is FAILED; `JobStopped` and
   * `config_conflict` when it is not, because it goes on here or elsewhere.
   */
  async run<T>(
    held: HeldJob<ImportJob>,
    source: AsyncIterable<Uint8Array>,
    target: RowTarget<T>,
    { onWindow }: ImportWork = {},
  ): Promise<ImportJob> {
    const { line: done = 0 } = held.job;
    await held.change({ status: 'PROCESSING', ...onWindow?.() });
    let saved = held.job.counts.rows;
    try {
      const counts = await importRows({
        source,
        target,
        done,
        counts: held.job.counts,
        onFailures: (failures) => this.#keep(held.job, failures),
        onProgress: async (progress, line) => {
          if (!onWindow && progress.rows - saved < PROGRESS) return;
          saved = progress.rows;
          await held.change({ ...onWindow?.(), counts: { ...progress }, line });
        },
      });
      await held.change({ counts, status: 'COMPLETED', completedAt: this.#clock.now() });
      return held.job;
    } catch (error) {
      if (goesOn(error, onWindow !== undefined)) throw error;
      const { message } = asPosternError(error);
      // The fault of the import is the one to report, whatever comes of this write.
      await held
        .change({ status: 'FAILED', completedAt: this.#clock.now(), error: message })
        .catch(() => undefined);
      throw error;
    }
  }

  /** @throws `not_found` */
  get(tenant: string, id: string): Promise<ImportJob> {
    return this.#jobs.get(tenant, id);
  }

  /** Newest first. @param after id of the last one of the page before. */
  list(tenant: string, page: { after?: string; max: number }): Promise<ImportJob[]> {
    return this.#jobs.list(tenant, page);
  }

  /** Failures by line, behind the line `after`; fewer than `max` only at the end. */
  async failures(
    { tenant, id }: ImportJob,
    { after = 0, max }: { after?: number; max: number },
  ): Promise<RowFailure[]> {
    const found: RowFailure[] = [];
    const size = Math.ceil(max / GROUP) + 1;
    const query = { kind: FAILURES, partition: `${tenant}/${id}`, max: size };
    // The key of a group is its last line. A group may hold a few failures only.
    for (let from = keyOf(after + 1); found.length < max; ) {
      const groups = await this.#rows.query({ ...query, from });
      for (const { value } of groups)
        found.push(...(value as RowFailure[]).filter(({ line }) => line > after));
      if (groups.length < size) break;
      from = keyOf(Number(groups.at(-1)!.key) + 1);
    }
    return found.slice(0, max);
  }

  /** Takes an address out of the failures of a tenant's imports. @returns the number of failures that named it. */
  async erase(tenant: string, eraser: Eraser): Promise<number> {
    let count = 0;
    for (let jobs = await this.list(tenant, { max: PAGE }); jobs.length > 0; ) {
      for (const job of jobs) if (job.counts.failed > 0) count += await this.#eraseOf(job, eraser);
      if (jobs.length < PAGE) break;
      jobs = await this.list(tenant, { after: jobs.at(-1)!.id, max: PAGE });
    }
    return count;
  }

  async #eraseOf({ tenant, id }: ImportJob, eraser: Eraser): Promise<number> {
    let count = 0;
    const query = { kind: FAILURES, partition: `${tenant}/${id}`, max: PAGE };
    for (let after: string | undefined; ; ) {
      const groups = await this.#rows.query({ ...query, after });
      for (const group of groups) {
        const failures = group.value as RowFailure[];
        const named = failures.filter(
          ({ what, why }) => eraser.erase(what) !== what || eraser.erase(why) !== why,
        );
        if (named.length === 0) continue;
        count += named.length;
        // What stands beside the address in its row is of the same person.
        const value = failures.map((one) =>
          named.includes(one)
            ? { ...one, what: eraser.eraseWhole(one.what), why: eraser.erase(one.why) }
            : one,
        );
        await this.#rows.put([{ ...group, value }]);
      }
      if (groups.length < PAGE) return count;
      after = groups.at(-1)!.key;
    }
  }

  async #keep({ tenant, id, createdAt }: ImportJob, failures: readonly RowFailure[]): Promise<void> {
    const rows: NewRow[] = [];
    for (let at = 0; at < failures.length; at += GROUP) {
      const value = failures.slice(at, at + GROUP);
      const key = keyOf(value.at(-1)!.line);
      rows.push({
        kind: FAILURES,
        partition: `${tenant}/${id}`,
        key,
        value,
        expiresAt: createdAt + JOB_KEPT,
      });
    }
    await this.#rows.put(rows);
  }
}

/**
 * Whether a fault leaves an import to go on: it was stopped, another process works on it, or the store does not answer
 * and a worker will come again.
 */
function goesOn(error: unknown, isWorkers: boolean): boolean {
  if (error instanceof JobStopped) return true;
  if (!(error instanceof PosternError)) return false;
  return (
    error.code === 'config_conflict' ||
    (isWorkers && error.code.startsWith('storage_') && error.entry.temporary)
  );
}

function keyOf(line: number): string {
  return line.toString().padStart(10, '0');
}
