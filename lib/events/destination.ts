/** Which destinations an event goes to. */
import {
  EVENT_TYPES,
  type EventDestination,
  type EventType,
  takesMail,
} from '../control/event-destination.ts';
import type { EventMessage, PublishedEvent } from '../engine/destinations.ts';

const TYPE_OF = new Map(
  Object.entries(EVENT_TYPES).map(([type, name]) => [name as string, type as EventType]),
);

/** The API's name of an event's type. */
export function eventTypeOf(event: Pick<PublishedEvent, 'eventType'>): EventType {
  const type = TYPE_OF.get(event.eventType);
  if (!type) throw new Error(`${event.eventType} is not a type of event`);
  return type;
}

/** Whether a destination takes an event. */
export function takes(destination: EventDestination, message: EventMessage): boolean {
  const { tenant, configurationSet, event } = message;
  return takesMail(destination, tenant, configurationSet) && destination.types.includes(eventTypeOf(event));
}
