/**
 * Lambda entry, every day: makes the keys of Easy DKIM that take their turn next (lib/control/dkim-rotation.ts), and
 * collects what is published for nobody. It seals what it makes; the function of proofs, which opens no secret, decides
 * when a key signs.
 */
import { turnDkimKeys } from '../lib/control/easy-dkim.ts';
import { openAws } from '../lib/engine/aws/open.ts';
import { readSecret } from '../lib/engine/aws/secrets.ts';
import { MINUTE, systemClock } from '../lib/time.ts';
import { readKeySettings } from './environment.ts';
import { once } from './once.ts';
import { openOutput } from './output.ts';

/** How long keys are made, ms: some two thousand, and time is left to collect. */
const WORK = 7 * MINUTE;

const open = await once(async () => {
  const { resources, dkimZone, secrets } = readKeySettings(process.env);
  const output = openOutput(systemClock);
  const [engine, masterKey] = await Promise.all([
    openAws({ resources, clock: systemClock, log: output.log }),
    readSecret('master.key', { bucket: secrets }),
  ]);
  return { engine, masterKey, dkimZone, ...output };
});

export async function handler(): Promise<void> {
  const { engine, masterKey, dkimZone, log, emf } = await open();
  const { prepared, overdue, collected } = await turnDkimKeys({
    config: engine.config,
    masterKey,
    clock: systemClock,
    dkimZone: { name: dkimZone, elsewhere: true },
    until: systemClock.now() + WORK,
  });
  for (const domain of overdue)
    log.warn(
      'the next DKIM key of a domain is not found through its CNAME: its present key goes on signing',
      {
        domain,
      },
    );
  // Written when there is none, too: the alarm ends by it.
  emf.put({}, { DkimKeysOverdue: overdue.length });
  log.info('keys of Easy DKIM', { prepared: prepared.length, overdue: overdue.length, collected });
}
