/** A process as a service: it runs until a signal stops it, reloads on SIGHUP, and prints why it cannot go on. */
import { PosternError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';

/** What a start gives back. */
export interface Service {
  stop(): Promise<void>;
  /** Reads again what may change while it runs; absent: nothing may. */
  reload?(): Promise<void>;
}

export interface ServiceOptions {
  log: Log;
  /** Deadline from the signal to the end, ms: the process is gone by then, whatever its storage does. */
  drain: number;
  /** Reports why the process cannot go on, and ends it. */
  fail?: (error: unknown) => never;
}

/**
 * Signals have their effect from the first moment: what starts is stopped in good order as soon as all of it has
 * started.
 *
 * | signal | effect |
 * |---|---|
 * | SIGTERM, SIGINT | stops in good order; a second one ends the process at once |
 * | SIGHUP | reloads; from a terminal that closes it stops, as a terminal means it |
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
    // It keeps the process until the stop has ended: the timers of the clock, which the stop may wait for, do not.
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
