/** Events as a process has them that follows the feed, with a sender for each kind of destination. */
import type { EventTarget, TargetKind } from '../control/event-destination.ts';
import type { EventDestinations } from '../control/event-destinations.ts';
import type { DestinationSender } from '../engine/destinations.ts';
import type { Leases, Records } from '../engine/ports.ts';
import type { Log } from '../log.ts';
import type { EventContext } from '../outcome/mail-object.ts';
import type { EventAccess } from './access.ts';
import { startFollower } from './follower.ts';
import { disableGone } from './gone.ts';
import { sampleEvent } from './sample.ts';
import { openSenders, type SendersOptions } from './senders.ts';

export interface EventsOptions extends Omit<SendersOptions, 'region'> {
  engine: {
    records: Pick<Records, 'feed' | 'message'>;
    leases: Pick<Leases, 'checkpoint' | 'saveCheckpoint'>;
  };
  destinations: EventDestinations;
  context: EventContext;
  log: Log;
}

export interface Events extends EventAccess {
  close(): Promise<void>;
}

export async function openEvents(options: EventsOptions): Promise<Events> {
  const { engine, destinations, context, clock, log } = options;
  const { senders, close } = openSenders({ ...options, region: context.region });
  const followed = await destinations.follow();
  const follower = await startFollower({
    ...engine,
    destinations: () => followed.all(),
    senders,
    context,
    clock,
    log,
    onGone: (destination, text) => void disableGone({ destinations, clock, log }, destination, text),
  });
  return {
    kinds: new Set(Object.keys(senders) as TargetKind[]),
    health: async () => new Map(follower.health().map((one) => [one.id, one])),
    attempts: async (id) => follower.attempts(id) ?? [],
    replay: async ({ id }, from, to) => follower.replay(id, from, to),
    async test(destination) {
      const { target } = destination;
      const message = sampleEvent(destination, clock.now(), context);
      const [result] = await (senders[target.kind] as DestinationSender<EventTarget>).send(target, [message]);
      return result!;
    },
    async close() {
      await follower.stop();
      followed.close();
      await close();
    },
  };
}
