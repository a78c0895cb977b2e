/** Lambda entry of the HTTP API, behind a Function URL: signatures are verified here, on the raw event. */
import type { LambdaFunctionURLEvent, LambdaFunctionURLResult } from 'aws-lambda';
import { openAws } from '../lib/engine/aws/open.ts';
import { readSecret } from '../lib/engine/aws/secrets.ts';
import { answer } from '../lib/http/function-url.ts';
import { PolicyMetrics } from '../lib/observe/policy-metrics.ts';
import { openDeployedPolicy } from '../lib/policy/deployed.ts';
import { systemClock } from '../lib/time.ts';
import { openService } from './api-service.ts';
import { readApiSettings } from './environment.ts';
import { once } from './once.ts';
import { openOutput } from './output.ts';

const service = await once(async () => {
  const settings = readApiSettings(process.env);
  const clock = systemClock;
  const output = openOutput(clock);
  const secret = { bucket: settings.secrets };
  const policyMetrics = new PolicyMetrics();
  const [engine, masterKey, returnPathKey, trackingKey, policy] = await Promise.all([
    openAws({ resources: settings.resources, clock, log: output.log }),
    readSecret('master.key', secret),
    readSecret('return-path.key', secret),
    readSecret('tracking.key', secret),
    openDeployedPolicy({ clock, log: output.log, meter: policyMetrics }),
  ]);
  const fetch = await openService({
    engine,
    settings,
    masterKey,
    returnPathKey,
    trackingKey,
    clock,
    random: Math.random,
    policy,
    policyMetrics,
    output,
  });
  return { fetch, frontSecret: settings.frontSecret };
});

export async function handler(event: LambdaFunctionURLEvent): Promise<LambdaFunctionURLResult> {
  const { fetch, frontSecret } = await service();
  return answer(fetch, event, frontSecret);
}
