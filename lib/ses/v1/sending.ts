/** Sending: the same messages as those of SES v2, in the members of v1. */
import { sendBulkEmail } from '../send-bulk-email.ts';
import { sendEmail as sendEmailV2 } from '../send-email.ts';
import type { ActionOutput } from '../types.ts';
import { action } from './action.ts';

type BulkStatus = NonNullable<
  NonNullable<ActionOutput<'SendBulkTemplatedEmail'>['Status']>[number]['Status']
>;

/** What v1 has under another name than v2 for one of the same message. */
function common(input: {
  Source?: string;
  ReturnPath?: string;
  SourceArn?: string;
  ReturnPathArn?: string;
  ReplyToAddresses?: string[];
  ConfigurationSetName?: string;
}) {
  return {
    FromEmailAddress: input.Source,
    FeedbackForwardingEmailAddress: input.ReturnPath,
    FromEmailAddressIdentityArn: input.SourceArn,
    FeedbackForwardingEmailAddressIdentityArn: input.ReturnPathArn,
    ReplyToAddresses: input.ReplyToAddresses,
    ConfigurationSetName: input.ConfigurationSetName,
  };
}

export const sendEmail = action('SendEmail', 'use', async (input, call) => {
  const { Subject, Body } = input.Message;
  const request = {
    ...common(input),
    Destination: input.Destination,
    Content: { Simple: { Subject, Body } },
    EmailTags: input.Tags,
  };
  const { MessageId } = await sendEmailV2.handle(request, call);
  return { MessageId };
});

export const sendRawEmail = action('SendRawEmail', 'use', async (input, call) => {
  const request = {
    ...common(input),
    Destination: input.Destinations && { ToAddresses: input.Destinations },
    Content: { Raw: input.RawMessage },
    FromArn: input.FromArn,
    EmailTags: input.Tags,
  };
  const { MessageId } = await sendEmailV2.handle(request, call);
  return { MessageId };
});

export const sendTemplatedEmail = action('SendTemplatedEmail', 'use', async (input, call) => {
  const { Template: TemplateName, TemplateData } = input;
  const request = {
    ...common(input),
    Destination: input.Destination,
    Content: { Template: { TemplateName, TemplateData } },
    EmailTags: input.Tags,
  };
  const { MessageId } = await sendEmailV2.handle(request, call);
  return { MessageId };
});

export const sendBulkTemplatedEmail = action('SendBulkTemplatedEmail', 'use', async (input, call) => {
  const { Template: TemplateName, DefaultTemplateData: TemplateData } = input;
  const { BulkEmailEntryResults: results = [] } = await sendBulkEmail.handle(
    {
      ...common(input),
      DefaultEmailTags: input.DefaultTags,
      DefaultContent: { Template: { TemplateName, TemplateData } },
      BulkEmailEntries: input.Destinations.map((one) => ({
        Destination: one.Destination,
        ReplacementTags: one.ReplacementTags,
        ReplacementEmailContent: {
          ReplacementTemplate: { ReplacementTemplateData: one.ReplacementTemplateData },
        },
      })),
    },
    call,
  );
  return {
    Status: results.map(({ Status, Error: reason, MessageId }) => ({
      Status: STATUS[Status!],
      Error: reason,
      MessageId,
    })),
  };
});

const STATUS = {
  SUCCESS: 'Success',
  MESSAGE_REJECTED: 'MessageRejected',
  MAIL_FROM_DOMAIN_NOT_VERIFIED: 'MailFromDomainNotVerified',
  CONFIGURATION_SET_NOT_FOUND: 'ConfigurationSetDoesNotExist',
  TEMPLATE_NOT_FOUND: 'TemplateDoesNotExist',
  ACCOUNT_SUSPENDED: 'AccountSuspended',
  ACCOUNT_THROTTLED: 'AccountThrottled',
  ACCOUNT_DAILY_QUOTA_EXCEEDED: 'AccountDailyQuotaExceeded',
  INVALID_SENDING_POOL_NAME: 'InvalidSendingPoolName',
  ACCOUNT_SENDING_PAUSED: 'AccountSendingPaused',
  CONFIGURATION_SET_SENDING_PAUSED: 'ConfigurationSetSendingPaused',
  INVALID_PARAMETER: 'InvalidParameterValue',
  TRANSIENT_FAILURE: 'TransientFailure',
  FAILED: 'Failed',
} as const satisfies Record<string, BulkStatus>;
