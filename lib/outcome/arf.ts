/** Complaints: feedback reports (RFC 5965), whole or of the header alone, and those of Outlook's JMRP. */
import { addresses, type Fields, field, readGroups, time } from './fields.ts';
import type { Original, Report, ReportMail } from './report-types.ts';

const REPORT_TYPES = new Set(['message/feedback-report']);
/** RFC 5965 §7.3, RFC 6430, RFC 6591. */
const FEEDBACK_TYPES = new Set(['abuse', 'fraud', 'virus', 'other', 'not-spam', 'auth-failure']);

/** Reads a feedback report (RFC 5965 §3). @returns undefined when the message has no such part. */
export function readArf(mail: ReportMail, original: Original): Report | undefined {
  const part = mail.part(REPORT_TYPES);
  if (part === undefined) return undefined;
  const fields = readGroups(part)[0];
  const type = field(fields, 'feedback-type')?.toLowerCase();
  if (!type) return { kind: 'other' };
  return {
    kind: 'complaint',
    // RFC 5965 §3.1: an unknown type is treated as `other`.
    feedbackType: FEEDBACK_TYPES.has(type) ? type : 'other',
    userAgent: field(fields, 'user-agent'),
    arrivalDate: time(field(fields, 'arrival-date') ?? field(fields, 'received-date')),
    recipients: [...addresses(fields, 'original-rcpt-to'), ...addresses(fields, 'removal-recipient')],
    original: {
      ...original,
      returnPaths: [...addresses(fields, 'original-mail-from'), ...original.returnPaths],
    },
  };
}

/**
 * Reads a report of Outlook's Junk Mail Reporting Program: the original message, with the complainer in a field of
 * its own.
 * @param fields of the returned message.
 */
export function readJmrp(
  mail: ReportMail,
  fields: Fields | undefined,
  original: Original,
): Report | undefined {
  const recipients = addresses(fields, 'x-hmxmroriginalrecipient');
  if (recipients.length === 0) return undefined;
  return {
    kind: 'complaint',
    feedbackType: 'abuse',
    userAgent: 'Outlook JMRP',
    arrivalDate: time(mail.date),
    recipients,
    original,
  };
}
