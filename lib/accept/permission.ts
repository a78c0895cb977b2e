/** A message as sending authorisation policies see it: what is done, and the facts that conditions are about. */
import type { SendingContext } from '../control/sending-conditions.ts';
import type { SendingAction } from '../control/sending-policy.ts';
import { parseAddress } from '../mail/address.ts';
import type { Address } from '../mail/types.ts';
import { SECOND } from '../time.ts';
import type { RawContent } from './content.ts';
import type { Submission, SubmitOptions } from './types.ts';

/**
 * The actions that a message counts as. A template has one name in SES v1 and another in v2; raw mail has its own in both,
 * and so has all mail by SMTP.
 */
export function actionsOf(
  { content }: Submission,
  { door, bulk = false }: Pick<SubmitOptions, 'door' | 'bulk'>,
): SendingAction[] {
  if (bulk) return ['ses:SendBulkEmail', 'ses:SendBulkTemplatedEmail'];
  if (door === 'smtp' || content.kind === 'raw') return ['ses:SendRawEmail'];
  return content.kind === 'template' ? ['ses:SendEmail', 'ses:SendTemplatedEmail'] : ['ses:SendEmail'];
}

interface SentMail {
  submission: Submission;
  raw: RawContent | undefined;
  from: Address;
  recipients: readonly Address[];
  tenant: string;
  now: number;
  options: SubmitOptions;
}

const API_VERSION: Partial<Record<SubmitOptions['door'], string>> = { 'ses-v1': '1', 'ses-v2': '2' };

/** The facts of a message by the keys of conditions. */
export function contextOf(mail: SentMail): SendingContext {
  const { submission, raw, from, recipients, tenant, now, options } = mail;
  const feedback = submission.feedbackTo ? parseAddress(submission.feedbackTo) : (raw?.returnPath ?? from);
  const version = API_VERSION[options.door];
  return {
    'ses:FromAddress': [from.address],
    ...(from.name !== '' && { 'ses:FromDisplayName': [from.name] }),
    'ses:FeedbackAddress': [feedback.address],
    'ses:Recipients': recipients.map(({ address }) => address),
    ...(version && { 'ses:ApiVersion': [version] }),
    'ses:TenantName': [tenant],
    'aws:SourceIp': [options.caller.sourceIp],
    'aws:CurrentTime': [String(now)],
    'aws:EpochTime': [String(Math.floor(now / SECOND))],
  };
}
