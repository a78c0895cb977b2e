/**
 * Lambda entry, every hour: checks the proofs of domains that are due (lib/control/proof-checks.ts). It opens no
 * secret: it reads only the public keys of identities.
 */
import { resolveMx, resolveTxt } from 'node:dns/promises';
import { recheckProofs } from '../lib/control/proof-checks.ts';
import { openAws } from '../lib/engine/aws/open.ts';
import { systemClock } from '../lib/time.ts';
import { readFunctionSettings } from './environment.ts';
import { once } from './once.ts';
import { openOutput } from './output.ts';

const open = await once(async () => {
  const { resources, returnPathDomain } = readFunctionSettings(process.env);
  const { log } = openOutput(systemClock);
  return { engine: await openAws({ resources, clock: systemClock, log }), log, returnPathDomain };
});

export async function handler(): Promise<void> {
  const { engine, log, returnPathDomain } = await open();
  const { lost, regained, turned, checked, unanswered } = await recheckProofs({
    config: engine.config,
    clock: systemClock,
    dns: { resolveTxt, resolveMx, bounces: { domain: returnPathDomain } },
  });
  for (const domain of lost)
    log.warn('the proof of a domain is gone from its DNS: nothing is sent as it', { domain });
  for (const domain of regained) log.info('a domain is proven', { domain });
  for (const domain of turned) log.info('the next DKIM key of a domain signs from now on', { domain });
  log.info('proofs', { checked, unanswered });
}
