/**
 * Lambda entry, every minute: works on import and export jobs (lib/jobs). One call works for most of its time limit; the
 * next ones find the jobs that it has claimed, and take others.
 */
import type { Context, ScheduledEvent } from 'aws-lambda';
import { openAws } from '../lib/engine/aws/open.ts';
import { JobWorker } from '../lib/jobs/worker.ts';
import { MINUTE, systemClock } from '../lib/time.ts';
import { readFunctionSettings } from './environment.ts';
import { once } from './once.ts';
import { openOutput } from './output.ts';

/** Time that is left for the window of rows under way when work ends, ms. */
const END = MINUTE;

const open = await once(async () => {
  const { resources, region, accountId, hostname } = readFunctionSettings(process.env);
  const { log } = openOutput(systemClock);
  const engine = await openAws({ resources, clock: systemClock, log });
  return new JobWorker({ engine, context: { region, accountId, hostname }, clock: systemClock, log });
});

export async function handler(_event: ScheduledEvent, context: Context): Promise<void> {
  const worker = await open();
  await worker.work(systemClock.now() + Math.max(0, context.getRemainingTimeInMillis() - END));
}
