/**
 * An event destination: which events, of which mail, are sent where. A configuration set has those of SES; a tenant,
 * or the whole account, may have webhooks, AMQP exchanges and files.
 */
import type {
  CloudWatchTarget,
  EventBridgeTarget,
  FirehoseTarget,
  SnsTarget,
} from '../engine/destinations.ts';
import type { MessageRecord } from '../engine/items.ts';

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
  /** Secret of the signature: `whsec_` and base64. */
  secret: string;
  headers?: Readonly<Record<string, string>>;
}

export interface AmqpTarget {
  kind: 'amqp';
  /** URL with user and password, so it is a secret. */
  url: string;
  exchange: string;
  routingKey: string;
}

export interface FileTarget {
  kind: 'file';
  /** Path of a file to append to, or `-` for standard output. */
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

/** Notifications of SES v1: bounces, complaints and deliveries of mail from one identity. */
export interface IdentityNotifications {
  /** A domain, which covers its subdomains, or an address. */
  identity: string;
  /** Types whose notifications have the header fields of the message. */
  headers: readonly EventType[];
}

export interface EventDestination {
  /** Id, unique over all destinations and never used again for another. */
  id: string;
  /** Name, unique within its configuration set, or within its tenant's destinations without a set. */
  name: string;
  /** Tenant whose events it receives; absent: every tenant's. */
  tenant?: string;
  /** Configuration set whose mail it covers; absent: all mail of the tenant. */
  configurationSet?: string;
  /** Present: it has the notifications of one identity (SES v1), in their form, and no other events. */
  notifications?: IdentityNotifications;
  enabled: boolean;
  /** Why Postern disabled it; absent after it was enabled again. */
  disabledBecause?: string;
  types: readonly EventType[];
  target: EventTarget;
  createdAt: number;
}

/** The settings that a caller supplies. */
export type NewEventDestination = Omit<EventDestination, 'id' | 'createdAt' | 'disabledBecause'>;

/** Whose mail it is, and by which set. A set may belong to another tenant than the one that sends by it. */
export type EventMail = Pick<MessageRecord, 'tenant' | 'configurationSet' | 'setOwner'>;

/** Whether a destination may receive events of this mail, of any type. */
export function takesMail(destination: EventDestination, mail: EventMail): boolean {
  const { enabled, tenant, configurationSet } = destination;
  if (!enabled) return false;
  const ofSet = configurationSet !== undefined;
  if (ofSet && configurationSet !== mail.configurationSet) return false;
  const owner = ofSet ? (mail.setOwner ?? mail.tenant) : mail.tenant;
  return tenant === undefined || tenant === owner;
}
