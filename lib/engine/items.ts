/**
 * The items that pass between accept, egress and outcomes: the queue item and the records. Each carries the version
 * of its schema; a reader refuses a version newer than its own.
 */
import type { DeliveryState } from './states.ts';
import type { SuppressionReason } from './suppression.ts';

/** Version of every schema in this file. */
export const SCHEMA_VERSION = 1;

export type MessageClass = 'transactional' | 'bulk';

/** One queue: `pool:class:group`, where group is a provider group (`google`, `microsoft`, …, `other`). */
export type LaneName = string;

/** One message as accepted: content, sender, recipients. Written once. */
export interface MessageRecord {
  v: number;
  /** The MessageId. */
  id: string;
  tenant: string;
  /** Access key that sent it, or `relay` for a network that needs none. */
  keyId: string;
  door: 'ses-v2' | 'ses-v1' | 'smtp' | 'postern';
  sourceIp: string;
  acceptedAt: number;
  /** Time from which deliveries that have not ended are `expired`. */
  expiresAt: number;
  /** Header From as text, as SES's events show it (`mail.source`). */
  source: string;
  /** Domain of the header From, lower case A-label. */
  fromDomain: string;
  configurationSet?: string;
  /** Tenant that the configuration set belongs to; absent: the message's. */
  setOwner?: string;
  /** Message tags: name to values, SES's automatic tags included. */
  tags: Record<string, string[]>;
  class: MessageClass;
  pool: string;
  campaign?: string;
  /** Bytes of the message as it travels. */
  size: number;
  /** Reasons that put its recipients on the suppression list; absent: either. */
  suppressedReasons?: readonly SuppressionReason[];
  /** Tenant whose suppression list they are put on; absent: the message's. */
  suppressionList?: string;
  /** Envelope recipients; a delivery is addressed as `(id, n)` with n its index in this list. */
  recipients: string[];
  /** By index of a recipient: the group of its lane, where it is not `laneGroup()` of its domain. */
  groups?: Readonly<Record<number, string>>;
  /**
   * All header fields as [name, value], 10 KB at most: kept where an event destination receives events of the
   * message.
   */
  headers?: { fields: [name: string, value: string][]; truncated: boolean };
  /** Where bounces and complaints are forwarded by mail, if not to its From. */
  feedbackTo?: string;
  /** What its reader leaves by unsubscribing; absent: the message has no such link. */
  unsubscribe?: { contactList?: string; topic?: string };
  /** Name of the stored template that could not be rendered. */
  template?: string;
  commonHeaders: {
    from: string[];
    to?: string[];
    cc?: string[];
    replyTo?: string[];
    subject?: string;
    date?: string;
    messageId: string;
  };
}

/** One waiting delivery: the facts that egress needs to send it, and nothing else. */
export interface QueueItem {
  v: number;
  messageId: string;
  /** Index of the recipient in `MessageRecord.recipients`. */
  n: number;
  tenant: string;
  lane: LaneName;
  campaign?: string;
  configurationSet?: string;
  /** Envelope sender with this delivery's return path; empty for the null sender. */
  mailFrom: string;
  /** Envelope recipient, as it goes into RCPT TO. */
  recipient: string;
  /** Destination domain, lower case A-label. */
  domain: string;
  /** The bytes need 8BITMIME (RFC 6152). */
  eightBit: boolean;
  /** Envelope or header need SMTPUTF8 (RFC 6531). */
  smtpUtf8: boolean;
  /** TlsPolicy REQUIRE of the configuration set: never in clear. */
  requireTls: boolean;
  acceptedAt: number;
  expiresAt: number;
  /** Attempts already made (a put-back without an attempt does not count). */
  attempts: number;
  /** Earliest time of the next attempt. `acceptedAt` or earlier means at once. */
  due: number;
  /** A directive sent it to this lane from that of another pool; none sends it on. */
  moved?: true;
  /** Name of the site that it waits for: a process that reaches the site brings it back before its time. */
  site?: string;
  /** When it was brought back so, since the epoch, ms. */
  recalled?: number;
  /** Why it waits, for a person: a code of `lib/outcome/reasons.ts` and free text. */
  reason?: WaitReason;
}

/** Why a delivery that was put back unsent waits. */
export interface WaitReason {
  code: string;
  text: string;
  /** When the limit lets it go, where that is after `due`: it is rechecked sooner, because the limit may be raised. */
  until?: number;
}

/** One attempt of one delivery. */
export interface Attempt {
  at: number;
  /** Time from the first byte of the envelope (or the connect) to the result, ms. */
  duration: number;
  /** Source address of the connection. */
  ip?: string;
  /** Name of the MX host, its address and port. */
  mx?: { host: string; address: string; port: number };
  /** Provider as which it was shaped, where that is not the one of the MX host. */
  provider?: string;
  tls?: { protocol: string; cipher: string; verified: boolean };
  /** SMTP dialogue of this delivery: the command (`phase`) and its reply, capped. */
  replies: { phase: string; code: number; text: string }[];
  /** Command that the deciding reply answered, where a peer refused. */
  phase?: string;
  state: DeliveryState;
  /** Code of `lib/outcome/reasons.ts`, or `delivered`. */
  reason: string;
  /** Text for a person. */
  text: string;
  /** The final dot was sent and no reply was read (RFC 1047). */
  uncertain?: boolean;
  /** When it is rechecked, for `deferred`. */
  until?: number;
}

/** The state of one delivery and every attempt. */
export interface DeliveryRecord {
  messageId: string;
  n: number;
  recipient: string;
  state: DeliveryState;
  reason: string;
  text: string;
  /** When it is rechecked, while it waits. */
  until?: number;
  attempts: Attempt[];
}

/**
 * A line of the outcome feed: an event in the life of a delivery (or, without `n`, of a whole message).
 * `functions/outcomes` turns it into events, suppression and statistics.
 */
export interface Outcome {
  v: number;
  messageId: string;
  n?: number;
  at: number;
  kind:
    | 'accepted'
    | 'attempt'
    | 'bounce'
    | 'complaint'
    | 'subscription'
    | 'open'
    | 'click'
    | 'rendering-failure'
    | 'reject'
    | 'cancelled';
  /** Empty for opens and clicks, whose reporter has only the message's id. */
  tenant: string;
  /** `attempt`: the attempt. */
  attempt?: Attempt;
  /**
   * `bounce`, `complaint`: content of a later report; `subscription`: who left what; `open`, `click`: the reader's client and the link;
   * `rendering-failure`: template and message; `reject`: reason.
   */
  detail?: Record<string, unknown>;
}

/** Whether an outcome is missing in the records of the message's deliveries. */
export function isReport({ kind }: Pick<Outcome, 'kind'>): boolean {
  return kind === 'bounce' || kind === 'complaint' || kind === 'subscription' || isEngagement(kind);
}

/** Whether a reader caused the outcome. Anyone who has the message can, so their number is bounded. */
export function isEngagement(kind: Outcome['kind']): boolean {
  return kind === 'open' || kind === 'click';
}

/** Maximum reports returned per message, oldest first. */
export const REPORTS_SHOWN = 1000;
