/** Disables a destination that refuses all further events. */
import type { EventDestination } from '../control/event-destination.ts';
import type { EventDestinations } from '../control/event-destinations.ts';
import type { Log } from '../log.ts';
import type { Clock } from '../time.ts';

export interface GoneOptions {
  destinations: Pick<EventDestinations, 'update'>;
  clock: Clock;
  log: Pick<Log, 'warn' | 'error'>;
}

/** Never rejects: a destination that could not be disabled answers 410 again, and is disabled then. */
export async function disableGone(
  { destinations, clock, log }: GoneOptions,
  { id, name }: EventDestination,
  text: string,
): Promise<void> {
  const at = new Date(clock.now()).toISOString();
  const disabledBecause = `It answered 410 (gone) at ${at}: ${text}`.trim();
  log.warn('an event destination wants no more events and was disabled', { destination: name });
  try {
    await destinations.update(id, { enabled: false, disabledBecause });
  } catch (error) {
    log.error('an event destination could not be disabled', { destination: name, error });
  }
}
