/**
 * Runs a process as a service: until a signal stops it, with a reload on SIGHUP, and with a printed reason when it
 * fails.
 */
import { PosternError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';

/** The started service. */
export interface Service {
  stop(): Promise<void>;
  /** Reloads the settings that may change at run time; absent: there are none. */
  reload?(): Promise<void>;
}

export interface ServiceOptions {
  log: Log;
  /** Maximum time from the signal to the end, ms: the process is gone by then even when its storage does not answer. */
  drain: number;
  /** Prints why the process cannot continue, and ends it. */
  fail?: (error: unknown) => never;
}

/**
 * Handles signals from the first moment: a service that is still starting is stopped in good order as soon as all of
 * it has started.
 *
 * | signal | effect |
 * |---|---|
 * | SIGTERM, SIGINT | stops in good order; a second one ends the process at once |
 * | SIGHUP | reloads; from a terminal that closes it stops, as the terminal intends |
 */
export async function runService(start: () => Promise<Service>, options: ServiceOptions): Promise<void> {
  const { log, drain } = options;
  const fail = options.fail ?? ((error: unknown) => report(error, log));
  const started = Promise.withResolvers<Service>();
  const terminal = process.stdin.isTTY;
  let stopping = false;

  function stop(signal: string): void {
    if (stopping) process.exit(1);
    stopping = true;
    log.info('stopping', { signal });
    // This timer keeps the process alive until the stop has ended: the timers of the clock, which the stop may wait
    // for, do not.
    setTimeout(() => fail(new Error('Not drained in time.')), drain);
    started.promise.then((service) => service.stop()).then(() => process.exit(0), fail);
  }

  /** A reload that fails leaves everything as it was. */
  function reload(): void {
    void started.promise.then(async (service) => {
      if (stopping) return;
      try {
        if (service.reload) await service.reload();
        else log.info('nothing to reload: settings are read at the start', { signal: 'SIGHUP' });
      } catch (error) {
        log.error('not reloaded; what ran before goes on', { error });
      }
    });
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal));
  process.on('SIGHUP', () => (terminal ? stop('SIGHUP') : reload()));
  try {
    started.resolve(await start());
  } catch (error) {
    fail(error);
  }
}

function report(error: unknown, log: Log): never {
  log.error('cannot go on', { error });
  const action = error instanceof PosternError ? ` ${error.entry.action}` : '';
  process.stderr.write(`postern: ${(error as Error).message}${action}\n`);
  process.exit(1);
}
