/** An address on the suppression list of a tenant, and which addresses are the same. */

/** Why an address is on the list, in SES's words: a message to it bounced hard, or its reader complained. */
export const SUPPRESSION_REASONS = ['BOUNCE', 'COMPLAINT'] as const;
export type SuppressionReason = (typeof SUPPRESSION_REASONS)[number];

export interface Suppression {
  tenant: string;
  /** As it was given, the domain in lower case as A-label. */
  address: string;
  reason: SuppressionReason;
  /** When it came onto the list, or was last put there, ms since the epoch. */
  at: number;
  /** The message that shows why, as its sender knows it; absent when somebody put the address there. */
  messageId?: string;
  /** Of the event that told of it (SES's `FeedbackId`). */
  feedbackId?: string;
}

/**
 * What two spellings of one mailbox have in common. Local parts may differ by case (RFC 5321 §2.4), but hardly any
 * host tells them apart, and who complained as `Ann@` must not get mail as `ann@`. Beyond ASCII one letter may be
 * written as one character or as two (Unicode's NFC and NFD), which look alike to everybody.
 */
export function suppressionKey(address: string): string {
  const folded = address.toLowerCase();
  return /[^\x00-\x7f]/.test(folded) ? folded.normalize('NFC') : folded;
}

/**
 * For so long the list knows of an address that it was taken off, ms: longer than an outcome can wait in a queue
 * (SQS: 14 days), so that one that comes again puts nobody back.
 */
export const REMOVAL_MEMORY = 15 * 86_400_000;
