/** An address on the suppression list of a tenant, and which addresses are the same. */
import { DAY } from '../time.ts';

/** Why an address is on the list, in SES's words: a message to it bounced hard, or its reader complained. */
export const SUPPRESSION_REASONS = ['BOUNCE', 'COMPLAINT'] as const;
export type SuppressionReason = (typeof SUPPRESSION_REASONS)[number];

export interface Suppression {
  tenant: string;
  /** The address as given, the domain in lower case as A-label. */
  address: string;
  reason: SuppressionReason;
  /** When it was listed, or last listed again, since the epoch, ms. */
  at: number;
  /** The message that shows why, by its sender's id; absent when an operator listed the address. */
  messageId?: string;
  /** Id of the event that reported it (SES's `FeedbackId`). */
  feedbackId?: string;
}

/**
 * The key that all spellings of one mailbox share. Local parts may differ by case (RFC 5321 §2.4), but hardly any
 * host distinguishes them, and a person who complained as `Ann@` must not get mail as `ann@`. Beyond ASCII one letter
 * may be written as one character or as two (Unicode's NFC and NFD), which look alike.
 */
export function suppressionKey(address: string): string {
  const folded = address.toLowerCase();
  return /[^\x00-\x7f]/.test(folded) ? folded.normalize('NFC') : folded;
}

/**
 * How long the list remembers a removal, ms: longer than an outcome can wait in a queue (SQS: 14 days), so that a
 * repeated outcome does not list the address again.
 */
export const REMOVAL_MEMORY = 15 * DAY;
