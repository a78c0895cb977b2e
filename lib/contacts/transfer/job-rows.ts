/**
 * Jobs in rows: work that is ordered by one call and done later. A process that works on a job claims it for a while; a
 * change fails when another process has changed the job since, so that of two workers one stops.
 */
import { randomUUID } from 'node:crypto';
import type { Rows } from '../../engine/ports.ts';
import { PosternError } from '../../errors.ts';
import { type Clock, DAY } from '../../time.ts';

export type JobStatus = 'CREATED' | 'PROCESSING' | 'COMPLETED' | 'FAILED' | 'CANCELLED';

export interface StoredJob {
  id: string;
  /** Whose key ordered it. */
  tenant: string;
  keyId: string;
  status: JobStatus;
  createdAt: number;
  completedAt?: number;
  /** Why it failed. */
  error?: string;
  /** Until when the process that works on it has it, ms. */
  claimedUntil?: number;
  /** Name of its file among the results; absent: it has none. */
  result?: string;
}

/** Kind of the rows of export jobs (lib/jobs). */
export const EXPORT_JOB = 'export-job';
/** How long a job is kept, ms. */
export const JOB_KEPT = 30 * DAY;

/** A job as it was read, for one who changes it. */
export interface HeldJob<J extends StoredJob> {
  readonly job: J;
  /** @throws `config_conflict` when another process has changed it since. */
  change(change: Partial<J>): Promise<void>;
}

export class JobRows<J extends StoredJob> {
  readonly #rows: Rows;
  readonly #clock: Clock;
  readonly #kind: string;

  /** @param kind of rows, as `import-job`. */
  constructor(rows: Rows, clock: Clock, kind: string) {
    this.#rows = rows;
    this.#clock = clock;
    this.#kind = kind;
  }

  /** A new id. Ids are in the order of time. */
  newId(): string {
    return `${this.#clock.now().toString(36).padStart(9, '0')}-${randomUUID()}`;
  }

  async create(job: Omit<J, 'status' | 'createdAt'>): Promise<HeldJob<J>> {
    const created = { ...job, status: 'CREATED', createdAt: this.#clock.now() } as J;
    return this.#held(created, await this.#write(created, 0));
  }

  /** @throws `not_found` */
  async get(tenant: string, id: string): Promise<J> {
    const found = await this.hold(tenant, id);
    if (found) return found.job;
    throw new PosternError('not_found', `Job with id: ${id.slice(0, 64)} doesn't exist.`);
  }

  async hold(tenant: string, id: string): Promise<HeldJob<J> | undefined> {
    const isKey = id !== '' && id.length <= 128 && id.isWellFormed();
    const [row] = isKey ? await this.#rows.get([{ kind: this.#kind, partition: tenant, key: id }]) : [];
    return row && this.#held(row.value as J, row.version);
  }

  /** Newest first. @param after id of the last one of the page before. */
  async list(tenant: string, page: { after?: string; max: number }): Promise<J[]> {
    const rows = await this.#rows.query({ kind: this.#kind, partition: tenant, descending: true, ...page });
    return rows.map(({ value }) => value as J);
  }

  async remove({ tenant, id }: Pick<J, 'tenant' | 'id'>): Promise<void> {
    await this.#rows.delete([{ kind: this.#kind, partition: tenant, key: id }]);
  }

  #held(job: J, version: number): HeldJob<J> {
    let [now, at] = [job, version];
    return {
      get job() {
        return now;
      },
      change: async (change) => {
        const changed = { ...now, ...change };
        at = await this.#write(changed, at);
        now = changed;
      },
    };
  }

  #write(job: J, expect: number): Promise<number> {
    const { tenant: partition, id: key, createdAt } = job;
    return this.#rows.change(
      { kind: this.#kind, partition, key, value: job, expiresAt: createdAt + JOB_KEPT },
      expect,
    );
  }
}
