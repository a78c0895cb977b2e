/**
 * Lambda entry of tracking, behind a Function URL of its own: reports opens, clicks and who unsubscribes, and
 * redirects. Its role may read its key and which links are switched off, and write to the outcome queue, and nothing
 * else: it can read no message and no other queue.
 */
import type { LambdaFunctionURLEvent, LambdaFunctionURLResult } from 'aws-lambda';
import { createTracking } from '../lib/api/tracking.ts';
import { openReporter } from '../lib/engine/aws/reporter.ts';
import { readSecret } from '../lib/engine/aws/secrets.ts';
import { answer, type Fetch } from '../lib/http/function-url.ts';
import { systemClock } from '../lib/time.ts';
import { createTrackingLinks } from '../lib/tracking/links.ts';
import { createUnsubscribeLinks } from '../lib/tracking/unsubscribe-links.ts';
import { blockedLinks } from './blocked-links.ts';
import { readTrackSettings } from './environment.ts';
import { once } from './once.ts';
import { openOutput } from './output.ts';

const tracking = await once(async () => {
  const { queueUrlPrefix, configTable, secrets, frontSecret } = readTrackSettings(process.env);
  const clock = systemClock;
  const { log, emf } = openOutput(clock);
  const reporter = openReporter({ queueUrlPrefix, configTable, clock, log });
  const key = await readSecret('tracking.key', { bucket: secrets });
  const app = createTracking({
    links: createTrackingLinks(key),
    unsubscribeLinks: createUnsubscribeLinks(key),
    blocked: blockedLinks(reporter, clock, log),
    report: (outcome) => reporter.report([outcome]),
    clock,
    log,
    onUnreported: () => emf.put({}, { Unreported: 1 }),
  });
  const fetch: Fetch = (request, env) => app.fetch(request, env);
  return { fetch, frontSecret };
});

export async function handler(event: LambdaFunctionURLEvent): Promise<LambdaFunctionURLResult> {
  const { fetch, frontSecret } = await tracking();
  return answer(fetch, event, frontSecret);
}
