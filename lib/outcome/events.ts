/**
 * Converts outcomes to the events that SES publishes (SES developer guide, "Contents of event data"), so that
 * consumers of SES's events work with Postern.
 *
 * | outcome           | event                                                         |
 * |-------------------|---------------------------------------------------------------|
 * | accepted          | Send                                                          |
 * | attempt           | Delivery, DeliveryDelay, or Bounce (bounced, expired, suppressed) |
 * | bounce            | Bounce                                                        |
 * | complaint         | Complaint                                                     |
 * | subscription      | Subscription                                                  |
 * | open, click       | Open, Click                                                   |
 * | rendering-failure | Rendering Failure (where the outcome has a detail: one a message) |
 * | reject            | Reject                                                        |
 * | cancelled         | none: SES has no such event                                   |
 */
import { createHash } from 'node:crypto';
import type { Attempt, MessageRecord, Outcome } from '../engine/items.ts';
import { ACCOUNT_TENANT } from '../engine/suppression.ts';
import type { AttemptDiagnosis } from './attempt.ts';
import { diagnoseAttempt, phaseOf } from './attempt.ts';
import { botLikelihood } from './bots.ts';
import type { BounceType } from './causes.ts';
import type {
  BounceDetail,
  ClickDetail,
  ComplaintDetail,
  OpenDetail,
  RejectDetail,
  RenderingFailureDetail,
  SubscriptionDetail,
} from './details.ts';
import { FEEDBACK_SENDER } from './feedback-mail.ts';
import type { EventContext } from './mail-object.ts';
import { mailObject } from './mail-object.ts';
import type { DelayType, SesEvent } from './ses-event.ts';
import { isSimulatorAddress } from './simulator.ts';

/** Converts one outcome to its event, or to none. Pure: the same outcome gives the same events, ids included. */
export function sesEvents(record: MessageRecord, outcome: Outcome, context: EventContext): SesEvent[] {
  // A report of ours to a sender is no mail of the sender's.
  if (record.keyId === FEEDBACK_SENDER) return [];
  switch (outcome.kind) {
    case 'accepted':
      return [{ eventType: 'Send', mail: mailObject(record, context), send: {} }];
    case 'attempt':
      return outcome.attempt ? attemptEvents(record, outcome, outcome.attempt, context) : [];
    case 'bounce':
      return [reportedBounce(record, outcome, outcome.detail as BounceDetail, context)];
    case 'complaint':
      return [complaint(record, outcome, outcome.detail as ComplaintDetail, context)];
    case 'subscription':
      return [subscription(record, outcome, outcome.detail as SubscriptionDetail, context)];
    case 'open': {
      const { ipAddress, userAgent } = outcome.detail as OpenDetail;
      const isBotEvent = botLikelihood({
        kind: 'open',
        userAgent,
        ipAddress,
        age: outcome.at - record.acceptedAt,
      });
      const open = { ipAddress, timestamp: iso(outcome.at), userAgent, isBotEvent };
      return [{ eventType: 'Open', mail: mailObject(record, context), open }];
    }
    case 'click': {
      const { ipAddress, userAgent, link, linkTags } = outcome.detail as ClickDetail;
      const isBotEvent = botLikelihood({
        kind: 'click',
        userAgent,
        ipAddress,
        age: outcome.at - record.acceptedAt,
      });
      const click = { ipAddress, timestamp: iso(outcome.at), userAgent, link, linkTags, isBotEvent };
      return [{ eventType: 'Click', mail: mailObject(record, context), click }];
    }
    case 'rendering-failure': {
      if (!outcome.detail) return [];
      const { templateName = '', errorMessage } = outcome.detail as RenderingFailureDetail;
      return [
        {
          eventType: 'Rendering Failure',
          mail: mailObject(record, context),
          failure: { templateName, errorMessage },
        },
      ];
    }
    case 'reject':
      return [
        {
          eventType: 'Reject',
          mail: mailObject(record, context),
          reject: { reason: (outcome.detail as RejectDetail).reason },
        },
      ];
    case 'cancelled':
      return [];
  }
}

function attemptEvents(
  record: MessageRecord,
  outcome: Outcome,
  attempt: Attempt,
  context: EventContext,
): SesEvent[] {
  const mail = mailObject(record, context, attempt.ip ? { 'ses:outgoing-ip': [attempt.ip] } : undefined);
  const emailAddress = recipientOf(record, outcome);
  const timestamp = iso(outcome.at);
  const reportingMTA = context.hostname;
  const remoteMtaIp = attempt.mx?.address;
  switch (attempt.state) {
    case 'delivered':
      return [
        {
          eventType: 'Delivery',
          mail,
          delivery: {
            timestamp,
            processingTimeMillis: Math.max(0, attempt.at + attempt.duration - record.acceptedAt),
            recipients: [emailAddress],
            smtpResponse: attempt.text,
            reportingMTA,
            remoteMtaIp,
          },
        },
      ];
    case 'deferred': {
      const diagnosis = diagnoseAttempt(attempt);
      const { status, diagnosticCode } = diagnosis;
      return [
        {
          eventType: 'DeliveryDelay',
          mail,
          deliveryDelay: {
            timestamp,
            delayType: delayType(attempt, diagnosis),
            expirationTime: iso(record.expiresAt),
            reportingMTA,
            delayedRecipients: [{ emailAddress, status, diagnosticCode }],
          },
        },
      ];
    }
    case 'bounced':
    case 'expired':
    case 'suppressed': {
      const { bounce, status, diagnosticCode } = bounceOf(record, attempt, emailAddress);
      return [
        {
          eventType: 'Bounce',
          mail,
          bounce: {
            bounceType: bounce.type,
            bounceSubType: bounce.subType,
            bouncedRecipients: [{ emailAddress, action: 'failed', status, diagnosticCode }],
            timestamp,
            feedbackId: feedbackId(outcome),
            reportingMTA: `dns; ${reportingMTA}`,
            remoteMtaIp,
          },
        },
      ];
    }
    default:
      return [];
  }
}

/** The bounce of an event, in SES's own words where SES would have decided itself. */
function bounceOf(
  record: MessageRecord,
  attempt: Attempt,
  recipient: string,
): Pick<AttemptDiagnosis, 'bounce' | 'status' | 'diagnosticCode'> {
  const diagnosis = diagnoseAttempt(attempt);
  if (attempt.reason === 'suppressed') {
    const subType = isSimulatorAddress(recipient) ? 'Suppressed' : listSubType(record);
    return { bounce: { type: 'Permanent', subType }, status: diagnosis.status, diagnosticCode: attempt.text };
  }
  if (attempt.reason === 'unsubscribed') return { ...diagnosis, diagnosticCode: attempt.text };
  if (attempt.reason === 'expired') {
    const minutes = Math.round((record.expiresAt - record.acceptedAt) / 60_000);
    const text = `Message expired: unable to deliver in ${minutes} minutes.<${attempt.text}>`;
    return { bounce: diagnosis.bounce, status: '4.4.7', diagnosticCode: `smtp; 554 4.4.7 ${text}` };
  }
  return diagnosis;
}

/** Which suppression list kept a message from its recipient, as SES names it. */
function listSubType({ tenant, suppressionList = tenant }: MessageRecord): BounceType['subType'] {
  return suppressionList === ACCOUNT_TENANT ? 'OnAccountSuppressionList' : 'OnTenantSuppressionList';
}

function reportedBounce(
  record: MessageRecord,
  outcome: Outcome,
  detail: BounceDetail,
  context: EventContext,
): SesEvent {
  const { action, status, diagnosticCode, bounce, reportingMta } = detail;
  return {
    eventType: 'Bounce',
    mail: mailObject(record, context),
    bounce: {
      bounceType: bounce.type,
      bounceSubType: bounce.subType,
      bouncedRecipients: [{ emailAddress: recipientOf(record, outcome), action, status, diagnosticCode }],
      timestamp: iso(outcome.at),
      feedbackId: feedbackId(outcome),
      reportingMTA: reportingMta ?? `dns; ${context.hostname}`,
    },
  };
}

function complaint(
  record: MessageRecord,
  outcome: Outcome,
  detail: ComplaintDetail,
  context: EventContext,
): SesEvent {
  return {
    eventType: 'Complaint',
    mail: mailObject(record, context),
    complaint: {
      complainedRecipients: [{ emailAddress: recipientOf(record, outcome) }],
      timestamp: iso(outcome.at),
      feedbackId: feedbackId(outcome),
      complaintSubType: null,
      userAgent: detail.userAgent,
      complaintFeedbackType: detail.feedbackType,
      arrivalDate: detail.arrivalDate === undefined ? undefined : iso(detail.arrivalDate),
    },
  };
}

/** Without a list of this service, the reader leaves whatever list the sender keeps. */
function subscription(
  record: MessageRecord,
  outcome: Outcome,
  { contactList = '', before, after }: SubscriptionDetail,
  context: EventContext,
): SesEvent {
  return {
    eventType: 'Subscription',
    mail: mailObject(record, context),
    subscription: {
      contactList,
      timestamp: iso(outcome.at),
      source: record.source,
      newTopicPreferences: after ?? { unsubscribeAll: true, topicSubscriptionStatus: [] },
      oldTopicPreferences: before ?? { unsubscribeAll: false, topicSubscriptionStatus: [] },
    },
  };
}

/** `delayType`, by the definitions in SES's guide. */
function delayType(attempt: Attempt, diagnosis: AttemptDiagnosis): DelayType {
  switch (diagnosis.category) {
    case 'quota-issues':
      return 'MailboxFull';
    case 'spam-related':
      return 'SpamDetected';
    case 'no-answer-from-host':
    case 'bad-connection':
    case 'routing-errors':
      return attempt.reason === 'uncertain' ? 'Undetermined' : 'TransientCommunicationFailure';
    case 'policy-related':
      // A host that refuses in its greeting, before the message, refuses our address.
      return phaseOf(attempt) === 'greeting' ? 'IPFailure' : 'General';
    default:
      if (attempt.reason === 'site_limit' || attempt.reason === 'no_source_ip') return 'InternalFailure';
      return attempt.reason.startsWith('peer_') ? 'RecipientServerError' : 'General';
  }
}

function recipientOf(record: MessageRecord, outcome: Outcome): string {
  return record.recipients[outcome.n ?? 0] ?? '';
}

function iso(time: number): string {
  return new Date(time).toISOString();
}

/**
 * Derives a feedback id in the form of a MessageId. It is derived, not drawn: the outcome feed is read at least once,
 * and a consumer that drops repeated feedback ids (as SES's guide advises) must see the same id when an outcome is
 * read again.
 */
export function feedbackId(outcome: Outcome): string {
  const { messageId, n, kind, at } = outcome;
  const hex = createHash('sha256').update(`${messageId} ${n} ${kind} ${at}`).digest('hex');
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
  return `0100${Math.max(0, at).toString(16).padStart(12, '0')}-${uuid}-000000`;
}
