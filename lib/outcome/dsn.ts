/** Delivery status notifications (RFC 3464). */

import { reasonFor } from './dsn-prose.ts';
import { addressOf, type Fields, field, readGroups } from './fields.ts';
import type { DsnRecipient, Original, Report, ReportMail } from './report-types.ts';

const STATUS_TYPES = new Set(['message/delivery-status', 'message/global-delivery-status']);

/** Reads a delivery status. @returns undefined when no part of the message names an action or a recipient. */
export function readDsn(mail: ReportMail, original: Original): Report | undefined {
  const status = mail.part(STATUS_TYPES);
  return status === undefined ? undefined : readStatus(readGroups(status), mail.text, original);
}

/**
 * Reads the groups of RFC 3464 §2.1: one about the message, then one for each recipient.
 * @param text of the report. Exim and OpenSMTPD write the reason there, without a Diagnostic-Code.
 */
export function readStatus(groups: Fields[], text: string, original: Original): Report | undefined {
  const recipients = groups
    .filter((group) => group.has('final-recipient') || group.has('action'))
    .map((group): DsnRecipient => {
      const recipient = addressOf(field(group, 'final-recipient'));
      const action = field(group, 'action')?.toLowerCase().split(/[\s(]/)[0] || 'failed';
      const diagnosticCode =
        field(group, 'diagnostic-code') ??
        (action === 'failed' && recipient !== undefined ? reasonFor(recipient, text) : undefined);
      return {
        recipient,
        originalRecipient: addressOf(field(group, 'original-recipient')),
        action,
        status:
          /[245]\.[0-9]{1,3}\.[0-9]{1,3}/.exec(field(group, 'status') ?? diagnosticCode ?? '')?.[0] ??
          '5.0.0',
        diagnosticCode,
      };
    });
  if (recipients.length === 0) return undefined;
  return { kind: 'dsn', reportingMta: field(groups[0], 'reporting-mta'), recipients, original };
}
