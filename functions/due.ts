/**
 * Lambda entry, every minute: moves deliveries that become due from the ledger to their lanes, a little ahead of
 * their time. Two runs at once, or one that crashes half-way, do no harm: each row is claimed before it is promoted.
 */
import type { Context, ScheduledEvent } from 'aws-lambda';
import { openAws } from '../lib/engine/aws/open.ts';
import type { Ledger } from '../lib/engine/ports.ts';
import type { Emf } from '../lib/observe/emf.ts';
import { type Clock, systemClock } from '../lib/time.ts';
import { readFunctionSettings } from './environment.ts';
import { once } from './once.ts';
import { openOutput } from './output.ts';

/** Time before the end of the time limit at which no further batch is begun, ms. */
const MARGIN = 10_000;

/**
 * Promotes until nothing is due or the time is up; the next run continues.
 * @param remaining time that is left, ms. @returns the number of moved deliveries.
 */
export async function promoteAll(
  ledger: Ledger,
  emf: Emf,
  clock: Clock,
  remaining: () => number,
): Promise<number> {
  let moved = 0;
  let next: number | undefined;
  while (remaining() > MARGIN) {
    const batch = await ledger.promote();
    moved += batch.moved;
    next = batch.next;
    if (batch.moved === 0) break;
  }
  // Written when nothing is late, too: an alarm must distinguish "nothing late" from "no run".
  const late = next === undefined ? 0 : Math.max(0, clock.now() - next) / 1_000;
  emf.put({}, { OldestDueAgeSeconds: late });
  return moved;
}

const open = await once(async () => {
  const { resources } = readFunctionSettings(process.env);
  const output = openOutput(systemClock);
  return { engine: await openAws({ resources, clock: systemClock, log: output.log }), output };
});

export async function handler(_event: ScheduledEvent, context: Context): Promise<void> {
  const { engine, output } = await open();
  const moved = await promoteAll(engine.ledger, output.emf, systemClock, () =>
    context.getRemainingTimeInMillis(),
  );
  if (moved > 0) output.log.info('due', { moved });
}
