/**
 * The port through which events leave: a destination accepts batches, and returns a result for each event.
 * `lib/engine/aws/destinations` implements it over SNS, EventBridge, Firehose and CloudWatch, `lib/events` over the
 * rest.
 */

/** Members of an event that destinations read (SES developer guide, "Contents of event data"). */
export interface PublishedEvent {
  eventType: string;
  mail: { source?: string; tags: Record<string, string[]>; headers: { name: string; value: string }[] };
  click?: { linkTags: Record<string, string[]> | null };
}

/** One event, ready to leave. */
export interface EventMessage {
  /** Stable id: a repeat of the event has the same, and receivers drop known ones. */
  id: string;
  tenant: string;
  configurationSet?: string;
  /** Tenant that the set belongs to; absent: the message's. */
  setOwner?: string;
  messageId: string;
  /** When it happened, ms since the epoch. */
  at: number;
  event: PublishedEvent;
  /** The event as JSON, on one line. */
  json: string;
}

/** The result of one event at one destination. */
export type SendResult =
  | { kind: 'taken' }
  /** Not accepted now. `after`: delay that the destination requested, ms. */
  | { kind: 'retry'; text: string; after?: number }
  /** The destination will never accept this event. */
  | { kind: 'refused'; text: string }
  /** The destination accepts no more events at all. */
  | { kind: 'gone'; text: string };

/** Sends events to destinations of one kind. */
export interface DestinationSender<T> {
  /** Maximum events of one call. */
  readonly batch: number;
  /** @returns one result for each event, in their order. Never rejects. */
  send(target: T, events: readonly EventMessage[]): Promise<SendResult[]>;
  close?(): void | Promise<void>;
}

/** A dimension of CloudWatch's metrics: SES's `CloudWatchDimensionConfiguration`. */
export interface MetricDimension {
  name: string;
  source: 'MESSAGE_TAG' | 'EMAIL_HEADER' | 'LINK_TAG';
  /** The value where the message has none. */
  fallback: string;
}

/** CloudWatch's namespace of events: it keeps `AWS/` for itself. */
export const EVENT_NAMESPACE = 'Postern/SES';

/** Events of one call at most, as each service has it; a Firehose call has 4 MiB at most, and an event 40 KB. */
export const AWS_BATCH = { sns: 10, eventbridge: 10, firehose: 100, cloudwatch: 500 } as const;

export interface SnsTarget {
  kind: 'sns';
  topicArn: string;
}
export interface EventBridgeTarget {
  kind: 'eventbridge';
  busArn: string;
}
export interface FirehoseTarget {
  kind: 'firehose';
  streamArn: string;
  /** SES's member. It is kept and shown; the stream is written to with the role of the service. */
  roleArn: string;
}
export interface CloudWatchTarget {
  kind: 'cloudwatch';
  dimensions: MetricDimension[];
}

/** A message of the queue of events. Those of one group are handed out one after the other. */
export interface EventParcel {
  /** JSON. */
  value: object;
  group: string;
  /** Of two with one id within five minutes, one is taken. */
  id: string;
}

/** Takes events that their destination may be slow to take to the process that sends them. */
export interface EventQueue {
  /** Durable when it resolves. @throws PosternError of the storage group: some may have been taken. */
  send(parcels: readonly EventParcel[]): Promise<void>;
}
