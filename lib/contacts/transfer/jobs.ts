/**
 * Imports as objects: where each stands, how many rows it took, and every row that it did not.
 *
 * ```
 *  CREATED ─► PROCESSING ─► COMPLETED   each good row is in force, each bad one is listed
 *                 └───────► FAILED      the file or the store failed; rows before that are in force
 * ```
 */
import { randomUUID } from 'node:crypto';
import type { Eraser } from '../../engine/erased.ts';
import type { Rows } from '../../engine/ports.ts';
import type { NewRow } from '../../engine/rows.ts';
import { asPosternError, PosternError } from '../../errors.ts';
import { type Clock, DAY } from '../../time.ts';
import { type ImportCounts, importRows, type RowFailure, type RowTarget } from './import.ts';
import type { ImportFormat } from './suppression-rows.ts';

/** What an import changes. */
export type ImportDestination =
  | { kind: 'suppressions'; action: 'put' | 'delete'; list: string }
  | { kind: 'contacts'; action: 'put' | 'delete'; list: string };

export interface ImportJob {
  id: string;
  /** Whose key ordered it. */
  tenant: string;
  keyId: string;
  destination: ImportDestination;
  format: ImportFormat;
  /** Where the file is read from; absent: it came with the call. */
  url?: string;
  status: 'CREATED' | 'PROCESSING' | 'COMPLETED' | 'FAILED';
  createdAt: number;
  completedAt?: number;
  counts: ImportCounts;
  /** Why it failed. */
  error?: string;
}

/** How long an import and its failures are kept, ms. */
const KEPT = 30 * DAY;
/** Rows of a file after which the stored counts are brought up to date. */
const PROGRESS = 10_000;
/** Failures in one stored row: some 40 KB. */
const GROUP = 100;
const PAGE = 100;
const JOB = 'import-job';
const FAILURES = 'import-failure';

export class ImportJobs {
  readonly #rows: Rows;
  readonly #clock: Clock;

  constructor(rows: Rows, clock: Clock) {
    this.#rows = rows;
    this.#clock = clock;
  }

  /** Stores a new import. Ids are in the order of time. */
  async create(
    job: Pick<ImportJob, 'tenant' | 'keyId' | 'destination' | 'format' | 'url'>,
  ): Promise<ImportJob> {
    const createdAt = this.#clock.now();
    const id = `${createdAt.toString(36).padStart(9, '0')}-${randomUUID()}`;
    const counts = { rows: 0, taken: 0, unchanged: 0, failed: 0 };
    const created: ImportJob = { ...job, id, status: 'CREATED', createdAt, counts };
    await this.#save(created);
    return created;
  }

  /**
   * Runs an import to its end. @returns how it ended. @throws PosternError of the storage group, and `bad_request` or
   * `request_timeout` of the source; the import is FAILED then.
   */
  async run<T>(job: ImportJob, source: AsyncIterable<Uint8Array>, target: RowTarget<T>): Promise<ImportJob> {
    let now: ImportJob = { ...job, status: 'PROCESSING' };
    await this.#save(now);
    let saved = 0;
    try {
      const counts = await importRows({
        source,
        target,
        onFailures: (failures) => this.#keep(job, failures),
        onProgress: async (progress) => {
          now = { ...now, counts: { ...progress } };
          if (progress.rows - saved < PROGRESS) return;
          saved = progress.rows;
          await this.#save(now);
        },
      });
      now = { ...now, counts, status: 'COMPLETED', completedAt: this.#clock.now() };
      await this.#save(now);
      return now;
    } catch (error) {
      const { message } = asPosternError(error);
      const failed: ImportJob = { ...now, status: 'FAILED', completedAt: this.#clock.now(), error: message };
      // The fault of the import is the one to report, whatever comes of this write.
      await this.#save(failed).catch(() => undefined);
      throw error;
    }
  }

  /** @throws `not_found` */
  async get(tenant: string, id: string): Promise<ImportJob> {
    const [row] = await this.#rows.get([{ kind: JOB, partition: tenant, key: id || '-' }]);
    if (row) return row.value as ImportJob;
    throw new PosternError('not_found', `Job with id: ${id.slice(0, 64)} doesn't exist.`);
  }

  /** Newest first. @param after id of the last one of the page before. */
  async list(tenant: string, page: { after?: string; max: number }): Promise<ImportJob[]> {
    const rows = await this.#rows.query({ kind: JOB, partition: tenant, descending: true, ...page });
    return rows.map(({ value }) => value as ImportJob);
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
      rows.push({ kind: FAILURES, partition: `${tenant}/${id}`, key, value, expiresAt: createdAt + KEPT });
    }
    await this.#rows.put(rows);
  }

  async #save(job: ImportJob): Promise<void> {
    const expiresAt = job.createdAt + KEPT;
    await this.#rows.put([{ kind: JOB, partition: job.tenant, key: job.id, value: job, expiresAt }]);
  }
}

function keyOf(line: number): string {
  return line.toString().padStart(10, '0');
}
