/** A process as a service: it runs until a signal stops it, and says why when it cannot go on. */
import { PosternError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';

/**
 * A signal is heard from the first moment: what starts is stopped in good order as soon as all of it has started. A
 * second one ends the process at once.
 * @param start starts everything; what it returns stops it again.
 * @param drain ms from the signal to the end: whatever the storage does, the process is gone by then.
 * @param fail says why it cannot go on, and ends the process.
 */
export async function runService(
  start: () => Promise<() => Promise<void>>,
  log: Log,
  drain: number,
  fail: (error: unknown) => never = (error) => report(error, log),
): Promise<void> {
  const started = Promise.withResolvers<() => Promise<void>>();
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(1);
      stopping = true;
      log.info('stopping', { signal });
      // Keeps the process until it has stopped: the clock's timers, on which that may wait, do not.
      setTimeout(() => fail(new Error('Not drained in time.')), drain);
      started.promise.then((stop) => stop()).then(() => process.exit(0), fail);
    });
  }
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
