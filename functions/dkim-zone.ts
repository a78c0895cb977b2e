/**
 * Lambda entry, every minute: writes the keys of Easy DKIM into their zone of Route 53. Its role may change TXT records
 * of that zone, and read what it publishes; no other role may.
 */
import { writeDkimZone } from '../lib/control/dkim-zone-writer.ts';
import { openHostedZone } from '../lib/engine/aws/hosted-zone.ts';
import { openAws } from '../lib/engine/aws/open.ts';
import { SECOND, systemClock } from '../lib/time.ts';
import { readZoneSettings } from './environment.ts';
import { once } from './once.ts';
import { openOutput } from './output.ts';

/** How long a call goes on writing, ms: the function ends before the next call. */
const WORK = 30 * SECOND;

const open = await once(async () => {
  const { resources, dkimZone, zoneId } = readZoneSettings(process.env);
  const { log } = openOutput(systemClock);
  const { config } = await openAws({ resources, clock: systemClock, log });
  return { config, log, name: dkimZone, zone: openHostedZone(zoneId) };
});

export async function handler(): Promise<void> {
  const { log, ...parts } = await open();
  const until = systemClock.now() + WORK;
  const written = await writeDkimZone({ ...parts, clock: systemClock, until });
  if (written > 0) log.info('keys of Easy DKIM in their zone', { written });
}
