/**
 * An event destination: who is sent which events of whose mail. A configuration set has those that SES knows; a tenant,
 * or the whole account, may have webhooks, AMQP exchanges and files.
 */
import type {
  CloudWatchTarget,
  EventBridgeTarget,
  FirehoseTarget,
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

export const EVENT_TYPE_NAMES = Object.keys(EVENT_TYPES) as EventType[];

export interface WebhookTarget {
  kind: 'webhook';
  url: string;
  /** `whsec_` and base64: the secret of the signature. */
  secret: string;
  headers?: Readonly<Record<string, string>>;
}

export interface AmqpTarget {
  kind: 'amqp';
  /** With user and password, so it is a secret. */
  url: string;
  exchange: string;
  routingKey: string;
}

export interface FileTarget {
  kind: 'file';
  /** A file that is appended to, or `-` for standard output. */
  path: string;
}

export type EventTarget =
  | SnsTarget
  | EventBridgeTarget
  | FirehoseTarget
  | CloudWatchTarget
  | WebhookTarget
  | AmqpTarget
  | FileTarget;

export type TargetKind = EventTarget['kind'];

export interface EventDestination {
  /** Unique over all destinations, and never used again for another. */
  id: string;
  /** Unique within its configuration set, or within its tenant's destinations without a set. */
  name: string;
  /** Whose events; absent: every tenant's. */
  tenant?: string;
  /** Only of mail that was sent with this set; absent: of all mail of the tenant. */
  configurationSet?: string;
  enabled: boolean;
  /** Why Postern itself disabled it; absent after it was enabled again. */
  disabledBecause?: string;
  types: readonly EventType[];
  target: EventTarget;
  createdAt: number;
}

/** What a caller gives of one. */
export type NewEventDestination = Omit<EventDestination, 'id' | 'createdAt' | 'disabledBecause'>;

/** Whether events of such mail of any type may go to a destination. */
export function takesMail(
  destination: EventDestination,
  tenant: string,
  configurationSet: string | undefined,
): boolean {
  return (
    destination.enabled &&
    (destination.tenant === undefined || destination.tenant === tenant) &&
    (destination.configurationSet === undefined || destination.configurationSet === configurationSet)
  );
}
