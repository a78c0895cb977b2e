/**
 * Works on jobs: any number of workers, each job with one.
 *
 * ```
 *  due ─► claim ─► work, renewing the claim ─► done
 *           │         ├─ another process changed the job (cancelled, taken over): this worker lets go
 *           │         ├─ the time is over, or the process ends: the claim is given back
 *           │         └─ the process dies: the claim ends by itself, and another worker takes the job
 *           └─ not to be had: the next one
 * ```
 * An import goes on behind the last window of rows that was noted; an export begins anew, because its file appears whole or
 * not at all.
 */
import { Contacts } from '../contacts/contacts.ts';
import { contactTarget } from '../contacts/transfer/contact-lines.ts';
import { csvLine, inert } from '../contacts/transfer/csv.ts';
import type { RowTarget } from '../contacts/transfer/import.ts';
import type { HeldJob, StoredJob } from '../contacts/transfer/job-rows.ts';
import { IMPORT_JOB, type ImportJob, JobStopped } from '../contacts/transfer/jobs.ts';
import { suppressionTarget } from '../contacts/transfer/suppression-rows.ts';
import type { Engine } from '../engine/ports.ts';
import { asPosternError, PosternError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { EventContext } from '../outcome/mail-object.ts';
import { type Clock, DAY, MINUTE, SECOND } from '../time.ts';
import { fileOf } from './export-file.ts';
import type { ExportJob } from './export-jobs.ts';
import { type DueJob, Jobs } from './jobs.ts';
import { MESSAGE_COLUMNS, messageRows } from './messages-export.ts';
import { metricRows } from './metrics-export.ts';
import { placeOf } from './s3-url.ts';

export interface WorkerDeps {
  engine: Pick<Engine, 'rows' | 'suppressions' | 'files' | 'records'>;
  context: EventContext;
  clock: Clock;
  log: Pick<Log, 'info' | 'warn'>;
}

/** How long a worker has a job without a sign of life, ms. */
const CLAIM = 5 * MINUTE;
/** Time between two signs of life of an export, ms. */
const SIGN = 10 * SECOND;
/** Times that an export is begun: one that takes every process down must not go on for ever. */
const MAX_BEGUN = 3;
/** After this time a job whose store never answers is given up, ms. */
const PATIENCE = DAY;
/** A note without a job is of a call that failed in between. */
const ORPHANED = 10 * MINUTE;
const FAILURES_PAGE = 1000;

/** Results of jobs, by name. */
export const failedRowsOf = (id: string): string => `imports/${id}-failed.csv`;
export const exportFileOf = ({ id, format }: Pick<ExportJob, 'id' | 'format'>): string =>
  `exports/${id}.${format.toLowerCase()}`;

export class JobWorker {
  readonly #deps: WorkerDeps;
  readonly #jobs: Jobs;

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
    this.#jobs = new Jobs(deps.engine.rows, deps.clock);
  }

  /**
   * Works on the jobs that are due until there are none, or until a time, ms. @param signal ends it sooner.
   * @returns the number of jobs that ended. @throws PosternError of the storage group.
   */
  async work(until: number, signal?: AbortSignal): Promise<number> {
    let ended = 0;
    const isOver = (): boolean => signal?.aborted === true || this.#deps.clock.now() >= until;
    for (const due of await this.#jobs.due()) {
      if (isOver()) break;
      if (await this.#one(due, isOver)) ended += 1;
    }
    return ended;
  }

  /** @returns whether the job ended. */
  async #one(due: DueJob, isOver: () => boolean): Promise<boolean> {
    const { log, clock } = this.#deps;
    const { imports, exports } = this.#jobs;
    const { tenant, id, kind } = due;
    const held = await (kind === IMPORT_JOB ? imports : exports).hold(tenant, id);
    if (!held) {
      if (clock.now() - due.at > ORPHANED) await this.#jobs.done(due);
      return false;
    }
    const { status, claimedUntil = 0 } = held.job;
    if (kind === IMPORT_JOB && status === 'COMPLETED') await this.#keepFailed(held as HeldJob<ImportJob>);
    if (status === 'CREATED' || status === 'PROCESSING') {
      if (claimedUntil > clock.now()) return false;
      try {
        await held.change({ claimedUntil: clock.now() + CLAIM });
        await (kind === IMPORT_JOB
          ? this.#import(held as HeldJob<ImportJob>, isOver)
          : this.#export(held as HeldJob<ExportJob>, isOver));
      } catch (error) {
        if (!(await this.#isEnded(held, error).catch(whenChanged))) return false;
      }
      const { status: now, error } = held.job;
      log.info('a job ended', { job: id, tenant, kind, status: now, error });
    }
    await this.#jobs.done(due);
    return true;
  }

  /** What the end of work by an error means: whether the job ended. */
  async #isEnded(held: HeldJob<StoredJob>, error: unknown): Promise<boolean> {
    const { id, createdAt } = held.job;
    if (error instanceof PosternError && error.code === 'config_conflict') return false;
    if (error instanceof JobStopped) {
      await held.change({ claimedUntil: 0 });
      return false;
    }
    if (held.job.status === 'FAILED') return true;
    const fault = asPosternError(error);
    const isPassing = fault.entry.temporary && fault.code.startsWith('storage_');
    if (isPassing && this.#deps.clock.now() - createdAt < PATIENCE) {
      this.#deps.log.warn('a job waits for the store', { job: id, error });
      return false;
    }
    await held.change({
      status: 'FAILED',
      completedAt: this.#deps.clock.now(),
      // What nobody foresaw is the log's.
      error: fault.code === 'internal' ? 'The job failed by a fault of the service.' : fault.message,
    });
    if (fault.code === 'internal') this.#deps.log.warn('a job failed', { job: id, error });
    return true;
  }

  #claim(): { claimedUntil: number } {
    return { claimedUntil: this.#deps.clock.now() + CLAIM };
  }

  async #import(held: HeldJob<ImportJob>, isOver: () => boolean): Promise<void> {
    const { engine } = this.#deps;
    const { store, name } = placeOf(held.job.url ?? '', engine.files);
    const target = this.#targetOf(held.job);
    let begun = false;
    await this.#jobs.imports.run(held, store.read(name), target, {
      onWindow: () => {
        if (begun && isOver()) throw new JobStopped();
        begun = true;
        return this.#claim();
      },
    });
    await this.#keepFailed(held);
  }

  /** Writes the rows that were not taken, unless that was done. */
  async #keepFailed(held: HeldJob<ImportJob>): Promise<void> {
    const { engine } = this.#deps;
    if (held.job.counts.failed === 0 || held.job.result !== undefined) return;
    const result = failedRowsOf(held.job.id);
    await engine.files.results.write(result, this.#failedRows(held.job));
    await held.change({ result });
  }

  #targetOf({ tenant, keyId, destination, format, line = 0 }: ImportJob): RowTarget<unknown> {
    const { engine, clock } = this.#deps;
    const { list, action } = destination;
    const target =
      destination.kind === 'suppressions'
        ? suppressionTarget(
            { engine, clock },
            { tenant: list, format, action, origin: `Imported with the key ${keyId}` },
          )
        : contactTarget(new Contacts(engine.rows, clock), { tenant, list, format, action });
    const plain = target as RowTarget<unknown>;
    if (line === 0 || action === 'put') return plain;
    // What was removed before the last worker stopped, and was not noted, is not there a second time.
    return {
      ...plain,
      store: (row, at) =>
        plain.store(row, at).catch((error: unknown) => {
          if (error instanceof PosternError && error.code === 'not_found') return false;
          throw error;
        }),
    };
  }

  async *#failedRows(job: ImportJob): AsyncGenerator<string> {
    yield csvLine(['line', 'record', 'error']);
    for (let after = 0; ; ) {
      const some = await this.#jobs.imports.failures(job, { after, max: FAILURES_PAGE });
      yield some.map(({ line, what, why }) => csvLine([String(line), inert(what), inert(why)])).join('');
      if (some.length < FAILURES_PAGE) return;
      after = some.at(-1)!.line;
    }
  }

  async #export(held: HeldJob<ExportJob>, isOver: () => boolean): Promise<void> {
    const { engine, clock, context } = this.#deps;
    const { source, format, tenant, url, begun } = held.job;
    if (begun >= MAX_BEGUN)
      throw new PosternError(
        'bad_request',
        `The export did not end in ${begun} runs. Narrow its range or its filters.`,
      );
    await held.change({ status: 'PROCESSING', begun: begun + 1, processed: 0, exported: 0 });
    let [processed, exported, signed] = [0, 0, clock.now()];
    const sign = async (): Promise<void> => {
      if (isOver()) throw new JobStopped();
      if (clock.now() - signed < SIGN) return;
      signed = clock.now();
      await held.change({ ...this.#claim(), processed, exported });
    };
    const rows =
      source.kind === 'metrics'
        ? metricRows(engine.rows, tenant, source)
        : messageRows(
            { records: engine.records, context },
            source.include?.tenant ?? [tenant],
            source,
            async (looked) => {
              processed += looked;
              await sign();
            },
          );
    const counted = async function* () {
      for await (const row of rows) {
        exported += 1;
        yield row;
      }
    };
    const columns = source.kind === 'messages' ? MESSAGE_COLUMNS : undefined;
    const result = url === undefined ? exportFileOf(held.job) : undefined;
    const { store, name } = result
      ? { store: engine.files.results, name: result }
      : placeOf(url!, engine.files);
    await store.write(name, fileOf(counted(), columns, format));
    const end = { status: 'COMPLETED', completedAt: clock.now(), exported, result } as const;
    try {
      await held.change({ ...end, processed: Math.max(processed, exported) });
    } catch (error) {
      // Cancelled while the last piece was written.
      if (result) await store.remove(name);
      throw error;
    }
  }
}

/** The job was changed by another process: cancelled, or taken over. */
function whenChanged(error: unknown): false {
  if (error instanceof PosternError && error.code === 'config_conflict') return false;
  throw error;
}
