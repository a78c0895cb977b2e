/**
 * Runs the checks of an installation: on demand, at most one run at a time, each check within its time. A report is given
 * again for five minutes, so that a page that is looked at all day costs a run now and then.
 */
import { type Clock, MINUTE, SECOND } from '../time.ts';
import { bySeverity, cut, type HealthFinding } from './finding.ts';

/** One check. `skipped`: why it is not made here. */
export type HealthCheck = { name: string } & ({ run: () => Promise<HealthFinding[]> } | { skipped: string });

/** What became of a check: `failed` says nothing about its subject. */
export interface CheckState {
  name: string;
  state: 'done' | 'skipped' | 'failed';
  /** Why it was skipped or failed. */
  text?: string;
}

export interface HealthReport {
  /** Since the epoch, ms. */
  checkedAt: number;
  /** The worst first. */
  findings: HealthFinding[];
  checks: CheckState[];
}

export interface HealthCheckOptions {
  checks: readonly HealthCheck[];
  clock: Clock;
}

/** Time for which a report is given again, and for which one is that was asked for anew, ms. */
const KEPT = 5 * MINUTE;
const KEPT_ANEW = 10 * SECOND;
/** Maximum time of one check, ms. */
const MAX_TIME = 25_000;

export class HealthChecks {
  readonly #options: HealthCheckOptions;
  #last: HealthReport | undefined;
  #running: Promise<HealthReport> | undefined;

  constructor(options: HealthCheckOptions) {
    this.#options = options;
  }

  /** The last report, without a run; undefined before the first. */
  get last(): HealthReport | undefined {
    return this.#last;
  }

  /** @param anew makes a run even if the last report is younger than five minutes. */
  async report(anew = false): Promise<HealthReport> {
    const age = this.#last ? this.#options.clock.now() - this.#last.checkedAt : Number.POSITIVE_INFINITY;
    if (this.#last && age < (anew ? KEPT_ANEW : KEPT)) return this.#last;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<HealthReport> {
    const { checks, clock } = this.#options;
    const results = await Promise.all(checks.map((check) => this.#made(check)));
    this.#last = {
      checkedAt: clock.now(),
      findings: bySeverity(results.flatMap(({ findings }) => findings)),
      checks: results.map(({ state }) => state),
    };
    return this.#last;
  }

  /** Never rejects: one check that fails hides none of the others. */
  async #made(check: HealthCheck): Promise<{ state: CheckState; findings: HealthFinding[] }> {
    const { name } = check;
    if ('skipped' in check) return { state: { name, state: 'skipped', text: check.skipped }, findings: [] };
    try {
      return { state: { name, state: 'done' }, findings: await this.#within(check.run()) };
    } catch (error) {
      return { state: { name, state: 'failed', text: cut((error as Error).message, 500) }, findings: [] };
    }
  }

  #within<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = this.#options.clock.after(MAX_TIME, () =>
        reject(new Error(`not done within ${MAX_TIME / 1000} s`)),
      );
      work.then(resolve, reject).finally(cancel);
    });
  }
}
