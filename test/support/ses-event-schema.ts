/**
 * The JSON of every event as Amazon SES documents it (SES developer guide, "Contents of event data that Amazon SES
 * publishes"): every member, and no other. Optional are those that the guide calls so.
 */
import * as z from 'zod/mini';

const time = z.string().check(z.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/));
const texts = z.array(z.string());
const tags = z.record(z.string(), texts);

const mail = z.strictObject({
  timestamp: time,
  messageId: z.string(),
  source: z.string(),
  sourceArn: z.string().check(z.regex(/^arn:aws[a-z-]*:ses:[a-z0-9-]+:\d{12}:identity\/.+$/)),
  sendingAccountId: z.string().check(z.regex(/^\d{12}$/)),
  destination: texts,
  headersTruncated: z.boolean(),
  headers: z.array(z.strictObject({ name: z.string(), value: z.string() })),
  commonHeaders: z.strictObject({
    from: texts,
    date: z.optional(z.string()),
    to: z.optional(texts),
    cc: z.optional(texts),
    replyTo: z.optional(texts),
    messageId: z.string(),
    subject: z.optional(z.string()),
  }),
  tags,
});

const BOUNCE_SUBTYPES: Readonly<Record<string, readonly string[]>> = {
  Undetermined: ['Undetermined'],
  Permanent: [
    'General',
    'NoEmail',
    'Suppressed',
    'OnAccountSuppressionList',
    'OnTenantSuppressionList',
    'EmailValidationSuppressed',
    'UnsubscribedRecipient',
  ],
  Transient: [
    'General',
    'MailboxFull',
    'MessageTooLarge',
    'ContentRejected',
    'AttachmentRejected',
    'CustomTimeoutExceeded',
  ],
};

const bounce = z
  .strictObject({
    bounceType: z.enum(['Undetermined', 'Permanent', 'Transient']),
    bounceSubType: z.string(),
    bouncedRecipients: z.array(
      z.strictObject({
        emailAddress: z.string(),
        action: z.optional(z.string()),
        status: z.optional(z.string()),
        diagnosticCode: z.optional(z.string()),
      }),
    ),
    timestamp: time,
    feedbackId: z.string(),
    reportingMTA: z.optional(z.string()),
    remoteMtaIp: z.optional(z.string()),
  })
  .check(z.refine(({ bounceType, bounceSubType }) => BOUNCE_SUBTYPES[bounceType]!.includes(bounceSubType)));

const complaint = z.strictObject({
  complainedRecipients: z.array(z.strictObject({ emailAddress: z.string() })),
  timestamp: time,
  feedbackId: z.string(),
  complaintSubType: z.nullable(z.string()),
  userAgent: z.optional(z.string()),
  complaintFeedbackType: z.optional(z.string()),
  arrivalDate: z.optional(time),
});

const delivery = z.strictObject({
  timestamp: time,
  processingTimeMillis: z.int(),
  recipients: texts,
  smtpResponse: z.string(),
  reportingMTA: z.string(),
  remoteMtaIp: z.optional(z.string()),
});

const deliveryDelay = z.strictObject({
  delayType: z.enum([
    'InternalFailure',
    'General',
    'MailboxFull',
    'SpamDetected',
    'RecipientServerError',
    'IPFailure',
    'TransientCommunicationFailure',
    'BYOIPHostNameLookupUnavailable',
    'Undetermined',
    'SendingDeferral',
  ]),
  delayedRecipients: z.array(
    z.strictObject({ emailAddress: z.string(), status: z.string(), diagnosticCode: z.string() }),
  ),
  expirationTime: time,
  reportingMTA: z.optional(z.string()),
  timestamp: time,
});

const reader = {
  ipAddress: z.string(),
  timestamp: time,
  userAgent: z.string(),
  isBotEvent: z.optional(z.enum(['Likely', 'Unlikely'])),
};
const open = z.strictObject(reader);
const click = z.strictObject({ ...reader, link: z.string(), linkTags: z.nullable(tags) });

const preferences = z.strictObject({
  unsubscribeAll: z.boolean(),
  topicSubscriptionStatus: z.array(
    z.strictObject({ topicName: z.string(), subscriptionStatus: z.enum(['OptIn', 'OptOut']) }),
  ),
});
const subscription = z.strictObject({
  contactList: z.string(),
  timestamp: time,
  source: z.string(),
  newTopicPreferences: preferences,
  oldTopicPreferences: preferences,
});

/** By `eventType`. */
export const SES_EVENTS = {
  Send: z.strictObject({ eventType: z.literal('Send'), mail, send: z.strictObject({}) }),
  Delivery: z.strictObject({ eventType: z.literal('Delivery'), mail, delivery }),
  Bounce: z.strictObject({ eventType: z.literal('Bounce'), mail, bounce }),
  Complaint: z.strictObject({ eventType: z.literal('Complaint'), mail, complaint }),
  DeliveryDelay: z.strictObject({ eventType: z.literal('DeliveryDelay'), mail, deliveryDelay }),
  Reject: z.strictObject({
    eventType: z.literal('Reject'),
    mail,
    reject: z.strictObject({ reason: z.literal('Bad content') }),
  }),
  'Rendering Failure': z.strictObject({
    eventType: z.literal('Rendering Failure'),
    mail,
    failure: z.strictObject({ templateName: z.string(), errorMessage: z.string() }),
  }),
  Open: z.strictObject({ eventType: z.literal('Open'), mail, open }),
  Click: z.strictObject({ eventType: z.literal('Click'), mail, click }),
  Subscription: z.strictObject({ eventType: z.literal('Subscription'), mail, subscription }),
} as const;
