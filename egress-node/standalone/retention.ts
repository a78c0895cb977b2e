/** Retention: removes the records of messages that ended long ago, and bodies and results that expired, a little at a time. */
import { RESULT_AGE } from '../../lib/engine/files.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import type { Log } from '../../lib/log.ts';
import type { Clock } from '../../lib/time.ts';

export interface RetentionOptions {
  engine: Pick<Engine, 'records' | 'bodies' | 'files'>;
  clock: Clock;
  log: Log;
  /** How long the record of an ended message is kept, ms. */
  recordAge: () => number;
}

/** Maximum number of records removed in one transaction: mail does not wait long behind it. */
const BATCH = 500;
/** Time to the next sweep, ms: short while there is more to remove. */
const SOON = 200;
const LATER = 60_000;

export function startRetention({ engine, clock, log, recordAge }: RetentionOptions): { stop(): void } {
  let cancel = (): void => {};
  let stopped = false;

  async function sweep(): Promise<void> {
    let removed = 0;
    try {
      const now = clock.now();
      removed = Math.max(
        await engine.records.prune(now - recordAge(), BATCH),
        await engine.bodies.prune(now, BATCH),
        await engine.files.prune(now - RESULT_AGE, BATCH),
      );
    } catch (error) {
      log.warn('retention could not remove old records; it tries again', { error });
    }
    if (!stopped) cancel = clock.after(removed === BATCH ? SOON : LATER, () => void sweep());
  }

  cancel = clock.after(LATER, () => void sweep());
  return {
    stop() {
      stopped = true;
      cancel();
    },
  };
}
