/** Orders jobs, and lists those that wait for a worker. */
import { EXPORT_JOB, type HeldJob, JobRows, type StoredJob } from '../contacts/transfer/job-rows.ts';
import { IMPORT_JOB, type ImportJob, ImportJobs } from '../contacts/transfer/jobs.ts';
import type { Rows } from '../engine/ports.ts';
import { ROW_CALL } from '../engine/rows.ts';
import { PosternError } from '../errors.ts';
import type { Clock } from '../time.ts';
import type { ExportJob } from './export-jobs.ts';

/** Jobs of a tenant that are not done, at most. */
export const MAX_UNFINISHED = 10;

const DUE = 'job-due';
const PARTITION = 'all';

/** A job that waits for a worker, or has one. */
export interface DueJob {
  id: string;
  kind: typeof IMPORT_JOB | typeof EXPORT_JOB;
  tenant: string;
  at: number;
}

export class Jobs {
  readonly imports: ImportJobs;
  readonly exports: JobRows<ExportJob>;
  readonly #rows: Rows;
  readonly #clock: Clock;

  constructor(rows: Rows, clock: Clock) {
    this.#rows = rows;
    this.#clock = clock;
    this.imports = new ImportJobs(rows, clock);
    this.exports = new JobRows(rows, clock, EXPORT_JOB);
  }

  /** @throws `limit_exceeded` */
  orderImport(
    job: Pick<ImportJob, 'tenant' | 'keyId' | 'destination' | 'format'> & { url: string },
  ): Promise<ImportJob> {
    const id = this.imports.newId();
    return this.#order({ id, kind: IMPORT_JOB, tenant: job.tenant }, () => this.imports.create(job, id));
  }

  /** @throws `limit_exceeded` */
  orderExport(job: Pick<ExportJob, 'tenant' | 'keyId' | 'source' | 'format' | 'url'>): Promise<ExportJob> {
    const id = this.exports.newId();
    return this.#order({ id, kind: EXPORT_JOB, tenant: job.tenant }, () =>
      this.exports.create({ ...job, id, processed: 0, exported: 0, begun: 0 }),
    );
  }

  /** Jobs that are not done, the oldest first. */
  async due(): Promise<DueJob[]> {
    const found: DueJob[] = [];
    for (let after: string | undefined; ; ) {
      const rows = await this.#rows.query({ kind: DUE, partition: PARTITION, after, max: ROW_CALL });
      found.push(...rows.map(({ value }) => value as DueJob));
      if (rows.length < ROW_CALL) return found;
      after = rows.at(-1)!.key;
    }
  }

  /** Notes that a job waits for nobody any more. */
  done({ id }: Pick<DueJob, 'id'>): Promise<void> {
    return this.#rows.delete([{ kind: DUE, partition: PARTITION, key: id }]);
  }

  /** The due note is written first: a job without one would wait for ever. */
  async #order<J extends StoredJob>(due: Omit<DueJob, 'at'>, create: () => Promise<HeldJob<J>>): Promise<J> {
    const at = this.#clock.now();
    await this.#rows.put([{ kind: DUE, partition: PARTITION, key: due.id, value: { ...due, at } }]);
    // Calls at one time see each other's notes: of those that are too many, the later ones are refused.
    const before = (await this.due()).filter((one) => one.tenant === due.tenant && one.id < due.id);
    if (before.length >= MAX_UNFINISHED) {
      await this.done(due);
      throw new PosternError(
        'limit_exceeded',
        `${MAX_UNFINISHED} jobs of this tenant are not done yet. Wait for one, or cancel an export.`,
      );
    }
    return (await create()).job;
  }
}
