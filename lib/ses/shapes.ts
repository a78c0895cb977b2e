/** Shapes that several operations share, with the limits of the SES v2 service model. */
import { SUPPRESSION_REASONS } from '../engine/suppression.ts';
import { blob, flag, integer, list, oneOf, required, structure, text, type Value } from './validation.ts';

/** Member of a name that SES limits to 64 letters, digits, `-` and `_`. */
export const setName = text({ min: 1, max: 64, pattern: /^[A-Za-z0-9_-]+$/ });
export const templateName = text({ min: 1, max: 64, pattern: /^[A-Za-z0-9_-]+$/ });
export const identityName = text({ min: 1, max: 320 });
export const pageToken = text({ max: 1024 });

export const tags = list(
  structure({
    Key: required(text({ min: 1, max: 128 })),
    Value: required(text({ max: 256 })),
  }),
  { max: 50 },
);

const address = text({ max: 2048 });
const addresses = list(address);

export const destination = structure({
  ToAddresses: addresses,
  CcAddresses: addresses,
  BccAddresses: addresses,
});

const content = structure({ Data: required(text()), Charset: text() });

export const messageHeaders = list(
  structure({
    Name: required(text({ min: 1, max: 126, pattern: /^[!-9;-@A-~]+$/ })),
    Value: required(text({ min: 1, max: 995, pattern: /^[ -~]*$/ })),
  }),
  { max: 15 },
);

/** SES also takes `.` and `@` in values; of names with a colon only its own two. */
export const messageTags = list(
  structure({
    Name: required(text({ min: 1, max: 256, pattern: /^(?:[A-Za-z0-9_-]+|ses:feedback-id-[ab])$/ })),
    Value: required(text({ min: 1, max: 256, pattern: /^[A-Za-z0-9_.@-]+$/ })),
  }),
  { max: 50 },
);

/** SES: parts of one message. */
const MAX_PARTS = 500;

const attachments = list(
  structure({
    RawContent: required(blob),
    FileName: required(text({ max: 255 })),
    ContentType: text({ min: 1, max: 78 }),
    ContentId: text({ min: 1, max: 78 }),
    ContentDescription: text({ max: 1000 }),
    ContentDisposition: oneOf('ATTACHMENT', 'INLINE'),
    ContentTransferEncoding: oneOf('BASE64', 'QUOTED_PRINTABLE', 'SEVEN_BIT'),
  }),
  { max: MAX_PARTS },
);

/** SES takes templates of up to 500 KB, all parts together; the sum is checked where they are used. */
export const templateContent = structure({ Subject: text(), Text: text(), Html: text() });
export const templateData = text({ max: 262_144 });

export const template = structure({
  TemplateName: text({ min: 1 }),
  TemplateArn: text({ min: 1 }),
  TemplateContent: templateContent,
  TemplateData: templateData,
  Headers: messageHeaders,
  Attachments: attachments,
});

export const emailContent = structure({
  Simple: structure({
    Subject: required(content),
    Body: required(structure({ Text: content, Html: content })),
    Headers: messageHeaders,
    Attachments: attachments,
  }),
  Raw: structure({ Data: required(blob) }),
  Template: template,
});

/** Members that `SendEmail` and `SendBulkEmail` have in common. */
export const sendMembers = {
  FromEmailAddress: address,
  ReplyToAddresses: addresses,
  FeedbackForwardingEmailAddress: address,
  ConfigurationSetName: text({ min: 1 }),
  TenantName: text({ min: 1, max: 256 }),
  EndpointId: text(),
  ConfigurationOverrides: structure({
    Tracking: structure({
      OpenTrackingEnabled: oneOf('ENABLED', 'DISABLED'),
      ClickTrackingEnabled: oneOf('ENABLED', 'DISABLED'),
    }),
  }),
};

export const deliveryMembers = {
  TlsPolicy: oneOf('REQUIRE', 'OPTIONAL'),
  SendingPoolName: text({ min: 1, max: 64 }),
  MaxDeliverySeconds: integer(300, 50_400),
};

export const sendingMembers = { SendingEnabled: flag };

export const suppressionReason = oneOf(...SUPPRESSION_REASONS);
export const suppressedReasons = list(suppressionReason, { max: SUPPRESSION_REASONS.length });

export type SendMembers = { [K in keyof typeof sendMembers]?: Value<(typeof sendMembers)[K]> };
export type SesDestination = Value<typeof destination>;
export type Template = Value<typeof template>;
export type MessageHeaders = Value<typeof messageHeaders>;
export type MessageTags = Value<typeof messageTags>;
export type Attachments = Value<typeof attachments>;
