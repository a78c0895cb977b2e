/**
 * Event destinations: who is sent which events. A configuration set holds those that SES knows (SNS, EventBridge,
 * Firehose, CloudWatch), in SES's words; a tenant or the whole account may have webhooks, AMQP exchanges and files.
 */
import type {
  CloudWatchTarget,
  EventBridgeTarget,
  EventMessage,
  FirehoseTarget,
  PublishedEvent,
  SnsTarget,
} from '../engine/destinations.ts';

/** SES's names of event types in its API (`MatchingEventTypes`), with their name in an event. */
export const EVENT_TYPES = {
  SEND: 'Send',
  REJECT: 'Reject',
  BOUNCE: 'Bounce',
  COMPLAINT: 'Complaint',
  DELIVERY: 'Delivery',
  OPEN: 'Open',
  CLICK: 'Click',
  RENDERING_FAILURE: 'Rendering Failure',
  DELIVERY_DELAY: 'DeliveryDelay',
  SUBSCRIPTION: 'Subscription',
} as const;

export type EventType = keyof typeof EVENT_TYPES;

const TYPE_OF = new Map(
  Object.entries(EVENT_TYPES).map(([type, name]) => [name as string, type as EventType]),
);

/** The API's name of an event's type. */
export function eventTypeOf(event: Pick<PublishedEvent, 'eventType'>): EventType {
  const type = TYPE_OF.get(event.eventType);
  if (!type) throw new Error(`${event.eventType} is not a type of event`);
  return type;
}

export interface WebhookTarget {
  kind: 'webhook';
  url: string;
  /** `whsec_…`, the secret of the signature. */
  secret: string;
  headers?: Readonly<Record<string, string>>;
}

export interface AmqpTarget {
  kind: 'amqp';
  url: string;
  exchange: string;
  routingKey: string;
}

export interface FileTarget {
  kind: 'file';
  /** A file that is appended to, or `-` for standard output. */
  path: string;
}

export type Target =
  | SnsTarget
  | EventBridgeTarget
  | FirehoseTarget
  | CloudWatchTarget
  | WebhookTarget
  | AmqpTarget
  | FileTarget;

export type TargetKind = Target['kind'];

export interface Destination {
  /** Unique over all destinations, and never used again for another. */
  id: string;
  name: string;
  /** Whose events; absent: every tenant's. */
  tenant?: string;
  /** Only of mail that was sent with this set; absent: of all mail of the tenant. */
  configurationSet?: string;
  enabled: boolean;
  types: readonly EventType[];
  target: Target;
}

/** Whether a destination takes an event. */
export function takes(destination: Destination, message: EventMessage): boolean {
  const { enabled, tenant, configurationSet, types } = destination;
  return (
    enabled &&
    (tenant === undefined || tenant === message.tenant) &&
    (configurationSet === undefined || configurationSet === message.configurationSet) &&
    types.includes(eventTypeOf(message.event))
  );
}
