/** Works on import and export jobs while standalone runs: when one is ordered, and every minute. */
import { JobWorker, type WorkerDeps } from '../../lib/jobs/worker.ts';
import { MINUTE } from '../../lib/time.ts';

export interface JobTimer {
  /** A job was ordered. */
  wake(): void;
  /** Resolves when the work under way was given back. */
  stop(): Promise<void>;
}

export function startJobs(deps: WorkerDeps): JobTimer {
  const { clock, log } = deps;
  const worker = new JobWorker(deps);
  const stopping = new AbortController();
  let cancel = (): void => {};
  let running: Promise<void> | undefined;
  let again = false;

  async function look(): Promise<void> {
    do {
      again = false;
      try {
        await worker.work(Number.POSITIVE_INFINITY, stopping.signal);
      } catch (error) {
        log.warn('jobs could not be looked for; the next look is in a minute', { error });
      }
    } while (again && !stopping.signal.aborted);
  }

  function wake(): void {
    if (stopping.signal.aborted) return;
    // One that was ordered while the worker looks may have been missed.
    again = true;
    if (running) return;
    cancel();
    running = look().finally(() => {
      running = undefined;
      if (!stopping.signal.aborted) cancel = clock.after(MINUTE, wake);
    });
  }

  // What the process before has left undone.
  wake();
  return {
    wake,
    async stop() {
      stopping.abort();
      cancel();
      await running;
    },
  };
}
