/** The shapes of the events that SES publishes (SES developer guide, "Contents of event data"). */
import type { BotLikelihood } from './bots.ts';
import type { BounceType } from './causes.ts';
import type { TopicPreferences } from './details.ts';
import type { MailObject } from './mail-object.ts';

export interface BouncedRecipient {
  emailAddress: string;
  action: string;
  status: string;
  diagnosticCode?: string;
}

export type DelayType =
  | 'InternalFailure'
  | 'General'
  | 'MailboxFull'
  | 'SpamDetected'
  | 'RecipientServerError'
  | 'IPFailure'
  | 'TransientCommunicationFailure'
  | 'Undetermined';

/** One event, as it goes to SNS, EventBridge, Firehose or a webhook. Times are ISO 8601. */
export type SesEvent = { mail: MailObject } & (
  | { eventType: 'Send'; send: Record<string, never> }
  | {
      eventType: 'Delivery';
      delivery: {
        timestamp: string;
        processingTimeMillis: number;
        recipients: string[];
        smtpResponse: string;
        reportingMTA: string;
        remoteMtaIp?: string;
      };
    }
  | {
      eventType: 'Bounce';
      bounce: {
        bounceType: BounceType['type'];
        bounceSubType: BounceType['subType'];
        bouncedRecipients: BouncedRecipient[];
        timestamp: string;
        feedbackId: string;
        reportingMTA: string;
        remoteMtaIp?: string;
      };
    }
  | {
      eventType: 'Complaint';
      complaint: {
        complainedRecipients: { emailAddress: string }[];
        timestamp: string;
        feedbackId: string;
        complaintSubType: null;
        userAgent?: string;
        complaintFeedbackType: string;
        arrivalDate?: string;
      };
    }
  | {
      eventType: 'Open';
      open: { ipAddress: string; timestamp: string; userAgent: string; isBotEvent: BotLikelihood };
    }
  | {
      eventType: 'Click';
      click: {
        ipAddress: string;
        timestamp: string;
        userAgent: string;
        link: string;
        linkTags: Record<string, string[]> | null;
        isBotEvent: BotLikelihood;
      };
    }
  | {
      eventType: 'Subscription';
      subscription: {
        contactList: string;
        timestamp: string;
        source: string;
        newTopicPreferences: TopicPreferences;
        oldTopicPreferences: TopicPreferences;
      };
    }
  | { eventType: 'Reject'; reject: { reason: string } }
  | { eventType: 'Rendering Failure'; failure: { templateName: string; errorMessage: string } }
  | {
      eventType: 'DeliveryDelay';
      deliveryDelay: {
        timestamp: string;
        delayType: DelayType;
        expirationTime: string;
        reportingMTA: string;
        delayedRecipients: { emailAddress: string; status: string; diagnosticCode: string }[];
      };
    }
);
