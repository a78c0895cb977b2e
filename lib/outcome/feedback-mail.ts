/**
 * The mail by which a sender learns of a bounce or a complaint, as SES forwards feedback: a report in the standard
 * form (RFC 3464, RFC 5965) about one delivery. Pure.
 */
import type { MessageRecord, Outcome } from '../engine/items.ts';
import { makeField } from '../mail/message.ts';
import { printable } from './fields.ts';
import type { SesEvent } from './ses-event.ts';

/** Key id in the record of such a mail. It is no name of a key, and mail that has it is never reported on. */
export const FEEDBACK_SENDER = 'feedback-forwarding';

/** Events that are forwarded. */
export type ForwardedEvent = Extract<SesEvent, { eventType: 'Bounce' | 'Complaint' }>;

/** Whether an outcome is one that senders learn of by mail: a bounce, or a complaint that was not taken back. */
export function isForwarded(event: SesEvent): event is ForwardedEvent {
  if (event.eventType === 'Bounce') return true;
  return event.eventType === 'Complaint' && event.complaint.complaintFeedbackType !== 'not-spam';
}

/**
 * The bytes of the mail, without Message-ID and Date. @param from address of an identity of the sender.
 * @param boundary occurs in no part.
 */
export function feedbackMail(
  event: ForwardedEvent,
  record: MessageRecord,
  { n }: Outcome,
  { from, to, hostname, boundary }: { from: string; to: string; hostname: string; boundary: string },
): Buffer {
  const recipient = record.recipients[n ?? 0] ?? '';
  const subject = record.commonHeaders.subject ?? '';
  const bounce = event.eventType === 'Bounce';
  const [title, type, said, report] = bounce
    ? bounceParts(event, recipient, hostname)
    : complaintParts(event, recipient);
  const about = `Message: ${record.id}\r\nTo: ${recipient}\r\nSubject: ${line(subject)}\r\n`;
  const header = [
    `From: "${bounce ? 'Mail Delivery Subsystem' : 'Complaints'}" <${from}>`,
    `To: ${to}`,
    `Subject: ${title}`,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=${bounce ? 'delivery-status' : 'feedback-report'};\r\n boundary="${boundary}"`,
  ];
  const parts = [
    ['text/plain; charset=utf-8', `${said}\r\n\r\n${about}`],
    [type, report],
    ['text/rfc822-headers', originalHeader(record)],
  ].map(([contentType, text]) => `--${boundary}\r\nContent-Type: ${contentType}\r\n\r\n${text}\r\n`);
  return Buffer.from(`${header.join('\r\n')}\r\n\r\n${parts.join('')}--${boundary}--\r\n`);
}

type Parts = [title: string, type: string, said: string, report: string];

function bounceParts(
  { bounce }: Extract<ForwardedEvent, { eventType: 'Bounce' }>,
  recipient: string,
  hostname: string,
): Parts {
  const { action, status, diagnosticCode } = bounce.bouncedRecipients[0]!;
  const fields = [
    `Reporting-MTA: dns; ${hostname}\r\n`,
    `Final-Recipient: rfc822; ${recipient}`,
    `Action: ${line(action)}`,
    `Status: ${line(status)}`,
    ...(diagnosticCode === undefined ? [] : [`Diagnostic-Code: ${line(diagnosticCode)}`]),
  ];
  const said = `A message of yours could not be delivered to ${recipient}:\r\n\r\n    ${line(diagnosticCode ?? status)}`;
  return ['Delivery Status Notification (Failure)', 'message/delivery-status', said, fields.join('\r\n')];
}

function complaintParts(
  { complaint }: Extract<ForwardedEvent, { eventType: 'Complaint' }>,
  recipient: string,
): Parts {
  const { complaintFeedbackType: kind, userAgent, arrivalDate } = complaint;
  const fields = [
    `Feedback-Type: ${line(kind)}`,
    'User-Agent: Postern',
    'Version: 1',
    `Original-Rcpt-To: ${recipient}`,
    ...(arrivalDate === undefined ? [] : [`Arrival-Date: ${line(arrivalDate)}`]),
  ];
  const by = userAgent === undefined ? '' : ` (${line(userAgent)})`;
  const said = `The reader ${recipient} complained about a message of yours${by}. Do not write to that address again.`;
  return ['Complaint about a message', 'message/feedback-report', said, fields.join('\r\n')];
}

/** The header fields that the record keeps. */
function originalHeader({ commonHeaders }: MessageRecord): string {
  const { from, to, subject, date, messageId } = commonHeaders;
  const fields: [string, string | undefined][] = [
    ['From', from.join(', ')],
    ['To', to?.join(', ')],
    ['Subject', subject],
    ['Date', date],
    ['Message-ID', messageId],
  ];
  return fields
    .filter(([, value]) => value)
    .map(([name, value]) => makeField(name, line(value!)).raw)
    .join('\r\n');
}

/** One line of text that strangers wrote, far shorter than a line may be. */
function line(text: string): string {
  return printable(text).slice(0, 500);
}
