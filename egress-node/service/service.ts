/** A process as a service: it runs until a signal stops it, and says why when it cannot go on. */
import { PosternError } from '../../lib/errors.ts';
import type { Log } from '../../lib/observe/log.ts';

/**
 * @param start starts everything; what it returns stops it again. @param drain ms for that: whatever the storage
 * does, the process is gone by then.
 */
export async function runService(
  start: () => Promise<() => Promise<void>>,
  log: Log,
  drain: number,
): Promise<void> {
  const fail = (error: unknown): never => {
    log.error('cannot go on', { error });
    const action = error instanceof PosternError ? ` ${error.entry.action}` : '';
    process.stderr.write(`postern: ${(error as Error).message}${action}\n`);
    process.exit(1);
  };
  try {
    const stop = await start();
    let stopping = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (stopping) process.exit(1);
        stopping = true;
        log.info('stopping', { signal });
        setTimeout(() => fail(new Error('Not drained in time.')), drain).unref();
        stop().then(() => process.exit(0), fail);
      });
    }
  } catch (error) {
    fail(error);
  }
}
