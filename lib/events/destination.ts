/** Which destinations an event goes to, and in which form. */
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

/**
 * An event as a destination takes it; undefined when the destination does not. Those of an identity get a notification.
 */
export function takenBy(destination: EventDestination, message: EventMessage): EventMessage | undefined {
  const { event } = message;
  const type = eventTypeOf(event);
  if (!takesMail(destination, message) || !destination.types.includes(type)) return undefined;
  const { notifications } = destination;
  if (notifications === undefined) return message;
  if (!isOf(notifications.identity, event.mail.source)) return undefined;
  return { ...message, json: notification(event, notifications.headers.includes(type)) };
}

/** Whether mail of a sender is of an identity: of the address, or of the domain or one below it. */
function isOf(identity: string, source = ''): boolean {
  const address = /<([^<>]*)>$/.exec(source)?.[1] ?? source;
  if (identity.includes('@')) return address === identity;
  const domain = address.slice(address.lastIndexOf('@') + 1);
  return domain === identity || domain.endsWith(`.${identity}`);
}

/**
 * SES developer guide, "Amazon SNS notification contents": `notificationType` in place of `eventType`, no tags, and
 * header fields only where they are asked for.
 */
function notification(event: PublishedEvent, withHeaders: boolean): string {
  const { eventType: notificationType, mail, ...rest } = event;
  const { tags, headers, ...more } = mail;
  const { headersTruncated, commonHeaders, ...bare } = more as typeof more & {
    headersTruncated?: boolean;
    commonHeaders?: unknown;
  };
  const shown = {
    ...bare,
    sourceIp: tags['ses:source-ip']?.[0],
    callerIdentity: tags['ses:caller-identity']?.[0],
    ...(withHeaders && { headersTruncated, headers, commonHeaders }),
  };
  return JSON.stringify({ notificationType, mail: shown, ...rest });
}
