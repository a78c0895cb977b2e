/** The record of a message and one queue item for each of its recipients. */
import {
  type MessageClass,
  type MessageRecord,
  type Outcome,
  type QueueItem,
  SCHEMA_VERSION,
} from '../engine/items.ts';
import type { Admission } from '../engine/ports.ts';
import { SUPPRESSION_REASONS, type SuppressionReason } from '../engine/suppression.ts';
import type { Address } from '../mail/types.ts';
import type { ReasonCode } from '../outcome/reasons.ts';
import { laneGroup } from '../shaping/providers.ts';
import type { UnsubscribeOptions } from './unsubscribe.ts';

/** A message that may be sent, before it is composed. */
export interface Prepared {
  /** The MessageId. */
  id: string;
  tenant: string;
  from: Address;
  source: string;
  /** Domain of its return paths: the MAIL FROM domain of the identity, or the service's own. */
  returnPathDomain: string;
  recipients: Address[];
  commonHeaders: MessageRecord['commonHeaders'];
  /** Header fields, kept where an event destination receives events of the message. */
  headers?: MessageRecord['headers'];
  configurationSet?: string;
  /** Tenant that the configuration set belongs to. */
  setOwner?: string;
  tags: Record<string, string[]>;
  class: MessageClass;
  pool: string;
  campaign?: string;
  requireTls: boolean;
  /** Where feedback is forwarded, if not to the From. */
  feedbackTo?: string;
  nullReturnPath?: boolean;
  /** What its reader leaves by unsubscribing. */
  unsubscribe?: UnsubscribeOptions;
  /** Reasons for which addresses are suppressed, and the tenant whose list has them. */
  suppressedReasons: readonly SuppressionReason[];
  suppressionList: string;
  acceptedAt: number;
  /** When the first attempt may be made. */
  due: number;
  expiresAt: number;
}

/** By index of a recipient, why the message is not sent to it. */
export type Withheld = Map<number, { reason: ReasonCode; text: string }>;

/** The caller that a record names: protocol, key and address. */
export interface Origin {
  door: MessageRecord['door'];
  keyId: string;
  sourceIp: string;
}

function makeRecord(
  prepared: Prepared,
  origin: Origin,
  size: number,
  groups?: MessageRecord['groups'],
): MessageRecord {
  return {
    v: SCHEMA_VERSION,
    id: prepared.id,
    tenant: prepared.tenant,
    keyId: origin.keyId,
    door: origin.door,
    sourceIp: origin.sourceIp,
    acceptedAt: prepared.acceptedAt,
    expiresAt: prepared.expiresAt,
    source: prepared.source,
    fromDomain: prepared.from.domain,
    configurationSet: prepared.configurationSet,
    setOwner: prepared.setOwner === prepared.tenant ? undefined : prepared.setOwner,
    tags: prepared.tags,
    class: prepared.class,
    pool: prepared.pool,
    campaign: prepared.campaign,
    size,
    // Most messages have both, and every byte of a record costs money on AWS.
    suppressedReasons: SUPPRESSION_REASONS.every((reason) => prepared.suppressedReasons.includes(reason))
      ? undefined
      : prepared.suppressedReasons,
    suppressionList: prepared.suppressionList === prepared.tenant ? undefined : prepared.suppressionList,
    recipients: prepared.recipients.map((recipient) => recipient.address),
    groups,
    commonHeaders: prepared.commonHeaders,
    headers: prepared.headers,
    unsubscribe: prepared.unsubscribe,
    feedbackTo: prepared.feedbackTo,
  };
}

/** Rules for the queue items of a message. */
export interface ItemRules {
  /** Provider group of a destination domain. */
  group(domain: string): string;
  /** Whether an event destination receives the message's Send event. */
  announced: boolean;
  /** Return path of one delivery. */
  returnPath(messageId: string, n: number, expiresAt: number): string;
}

/**
 * Builds the admission of a message whose bytes are final.
 * @param withheld recipients to whom it is not sent.
 */
export function admission(
  prepared: Prepared,
  origin: Origin,
  bytes: Buffer,
  eightBit: boolean,
  rules: ItemRules,
  withheld: Withheld,
): Admission {
  const { id, due, acceptedAt } = prepared;
  const waits = due > acceptedAt;
  const deliveries: QueueItem[] = [];
  // A campaign is counted from its acceptance on: how much of it is still to come is asked for.
  const told = rules.announced || prepared.campaign !== undefined;
  const settled: Outcome[] = told ? [acceptance(prepared)] : [];
  const learnt: [n: number, group: string][] = [];
  for (const [n, recipient] of prepared.recipients.entries()) {
    const why = withheld.get(n);
    if (why) {
      settled.push(withheldDelivery(prepared, n, why));
      continue;
    }
    const group = rules.group(recipient.domain);
    if (group !== laneGroup(recipient.domain)) learnt.push([n, group]);
    deliveries.push({
      v: SCHEMA_VERSION,
      messageId: id,
      n,
      tenant: prepared.tenant,
      lane: `${prepared.pool}:${prepared.class}:${group}`,
      campaign: prepared.campaign,
      configurationSet: prepared.configurationSet,
      mailFrom: prepared.nullReturnPath ? '' : rules.returnPath(id, n, prepared.expiresAt),
      recipient: recipient.address,
      domain: recipient.domain,
      eightBit,
      smtpUtf8: recipient.utf8 || prepared.from.utf8,
      requireTls: prepared.requireTls,
      acceptedAt,
      expiresAt: prepared.expiresAt,
      attempts: 0,
      due,
      reason: waits
        ? { code: 'scheduled', text: `Scheduled by the sender for ${new Date(due).toISOString()}.` }
        : undefined,
    });
  }
  const groups = learnt.length > 0 ? Object.fromEntries(learnt) : undefined;
  const record = makeRecord(prepared, origin, bytes.length, groups);
  // No delivery reads the bytes of a message that is sent to nobody.
  const body = deliveries.length > 0 ? bytes : Buffer.alloc(0);
  return { record, body, deliveries, settled };
}

/** The outcome that becomes SES's Send event, and by which mail of a campaign is counted as accepted. */
function acceptance({ id: messageId, acceptedAt: at, tenant }: Prepared): Outcome {
  return { v: SCHEMA_VERSION, messageId, at, kind: 'accepted', tenant };
}

/**
 * The outcome of a recipient who gets nothing: SES accepts the message, sends nothing, and reports a bounce
 * (`OnAccountSuppressionList`, `UnsubscribedRecipient`).
 */
function withheldDelivery(
  { id, tenant, acceptedAt }: Prepared,
  n: number,
  why: { reason: ReasonCode; text: string },
): Outcome {
  return {
    v: SCHEMA_VERSION,
    messageId: id,
    n,
    at: acceptedAt,
    kind: 'attempt',
    tenant,
    attempt: { at: acceptedAt, duration: 0, replies: [], state: 'suppressed', ...why },
  };
}

/**
 * Builds the admission of a message whose template could not be rendered: SES accepts it, returns a MessageId and
 * reports the failure as an event. There is nothing to send, so there are no bytes.
 */
export function renderingFailure(
  prepared: Prepared,
  origin: Origin,
  template: string,
  message: string,
): Admission {
  const settled: Outcome[] = prepared.recipients.map((_, n) => ({
    v: SCHEMA_VERSION,
    messageId: prepared.id,
    n,
    at: prepared.acceptedAt,
    kind: 'rendering-failure',
    tenant: prepared.tenant,
    attempt: {
      at: prepared.acceptedAt,
      duration: 0,
      replies: [],
      state: 'cancelled',
      reason: 'rendering_failed',
      text: message,
    },
    // One event for the whole message, for any number of recipients.
    detail: n === 0 ? { templateName: template, errorMessage: message } : undefined,
  }));
  const record = { ...makeRecord(prepared, origin, 0), template };
  return { record, body: Buffer.alloc(0), deliveries: [], settled };
}
