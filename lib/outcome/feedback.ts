/** Converts a report about one delivery to its outcome for the feed. */
import type { MessageRecord } from '../engine/items.ts';
import { messageIdIn } from '../mail/message-id.ts';
import type { BounceDetail, ComplaintDetail } from './details.ts';
import { diagnose } from './diagnosis.ts';
import { readReply } from './reply.ts';
import type { DsnRecipient, Report } from './report-types.ts';
import { sameAddress } from './suppression.ts';

export type Feedback =
  | { kind: 'bounce'; detail: BounceDetail }
  | { kind: 'complaint'; detail: ComplaintDetail };

/**
 * @param n index of the recipient whose signed return path the report came to (or carries).
 * @returns undefined when there is nothing to record: a notice of delay or success, an automatic reply, an unreadable
 * report, or one that returns another message than the one its return path belongs to.
 */
export function feedbackOf(report: Report, record: MessageRecord, n: number): Feedback | undefined {
  if (report.kind !== 'dsn' && report.kind !== 'complaint') return undefined;
  const { messageId } = report.original;
  if (messageId !== undefined && messageIdIn(messageId) !== record.id) return undefined;
  if (report.kind === 'complaint') {
    const { feedbackType, userAgent, arrivalDate, recipients } = report;
    return { kind: 'complaint', detail: { recipient: recipients[0], feedbackType, userAgent, arrivalDate } };
  }
  const address = record.recipients[n] ?? '';
  const failed = report.recipients.filter(({ action }) => action === 'failed');
  const about = failed.find((recipient) => names(recipient, address)) ?? failed[0];
  return about && { kind: 'bounce', detail: bounceDetail(about, address, report.reportingMta) };
}

function bounceDetail(about: DsnRecipient, address: string, reportingMta: string | undefined): BounceDetail {
  const { action, status, diagnosticCode } = about;
  const said = diagnosticCode?.replace(/^[a-z0-9-]{1,20}; */i, '') ?? '';
  const reply = readReply(said);
  const diagnosis = diagnose({
    code: reply?.code,
    // The relay's own status may hold less than the reply that it quotes, and it may be "expired" (4.4.7) where the
    // reply was a passing one: a class 4 in either is no hard bounce.
    enhanced: status.startsWith('4.') ? status : (reply?.enhanced ?? status),
    text: reply?.lines[0] ?? said,
  });
  return {
    recipient: names(about, address) ? address : (about.recipient ?? about.originalRecipient),
    action,
    status,
    diagnosticCode,
    reportingMta,
    text: `A later report says that it was not delivered: ${diagnosticCode ?? status}`,
    ...diagnosis,
  };
}

function names(about: DsnRecipient, address: string): boolean {
  const { recipient, originalRecipient } = about;
  if (recipient === undefined && originalRecipient === undefined) return false;
  return (
    (recipient !== undefined && sameAddress(recipient, address)) ||
    // RFC 3464 §2.3.1: the address as the sender wrote it, kept by relays that rewrite. A forwarder that reports the
    // failure of its target names the address that received the mail; that address does exist.
    (recipient === undefined && sameAddress(originalRecipient, address))
  );
}
