/**
 * Lambda entry of the ledger: moves deliveries that become due to their lanes, a little ahead of their time. A schedule
 * calls it every minute to plan: each shard of the ledger with due rows becomes a message of a queue. The queue calls it,
 * many times at once, to work: each call moves the rows of one shard. Calls that come twice, or crash half-way, do no
 * harm: each row is claimed before it is handed out.
 */
import type { ScheduledEvent, SQSEvent } from 'aws-lambda';
import { SHIFT, type ShardedLedger } from '../lib/engine/aws/ledger.ts';
import { openAws } from '../lib/engine/aws/open.ts';
import { type Clock, systemClock } from '../lib/time.ts';
import { readFunctionSettings } from './environment.ts';
import { once } from './once.ts';
import { type Output, openOutput } from './output.ts';

export type DueEvent = ScheduledEvent | Pick<SQSEvent, 'Records'>;

/** @returns a handler of both events. It fails when a lane took nothing, after all others did. */
export function createDue(
  ledger: Pick<ShardedLedger, 'plan' | 'work'>,
  output: Output,
  clock: Clock,
): (event: DueEvent) => Promise<void> {
  return async (event) => {
    if (!('Records' in event)) {
      const { next } = await ledger.plan();
      // Written when nothing is late, too: an alarm must distinguish "nothing late" from "no run".
      const late = next === undefined ? 0 : Math.max(0, clock.now() - next) / 1_000;
      output.emf.put({}, { OldestDueAgeSeconds: late });
      return;
    }
    for (const { body: shard } of event.Records) {
      const { moved, more } = await ledger.work(shard, clock.now() + SHIFT);
      if (moved > 0) output.log.info('due', { shard, moved, more });
    }
  };
}

const due = await once(async () => {
  const { resources } = readFunctionSettings(process.env);
  const output = openOutput(systemClock);
  const { ledger } = await openAws({ resources, clock: systemClock, log: output.log });
  return createDue(ledger, output, systemClock);
});

export async function handler(event: DueEvent): Promise<void> {
  await (await due())(event);
}
