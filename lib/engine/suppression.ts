/** An address on a suppression list, which list that is, and which addresses are the same. */
import { DAY } from '../time.ts';

/** Why an address is on the list, in SES's words: a message to it bounced hard, or its reader complained. */
export const SUPPRESSION_REASONS = ['BOUNCE', 'COMPLAINT'] as const;
export type SuppressionReason = (typeof SUPPRESSION_REASONS)[number];

/** Whose list applies to a message, in SES's words. */
export const SUPPRESSION_SCOPES = ['ACCOUNT', 'TENANT'] as const;
export type SuppressionScope = (typeof SUPPRESSION_SCOPES)[number];

/** The tenant of the first key. Its list is the account's, which tenants may share. */
export const ACCOUNT_TENANT = 'default';

export interface Suppression {
  /** Whose list it is on; `ACCOUNT_TENANT` for the account's. */
  tenant: string;
  /** The address as given, the domain in lower case as A-label. */
  address: string;
  reason: SuppressionReason;
  /** When it was listed, or last listed again, since the epoch, ms. */
  at: number;
  /** When it was listed first, without a removal since then. The list keeps it: `put` ignores it. */
  since?: number;
  /** For a person: the reply, the report or the order that put it there, at most `MAX_WHY` characters. */
  why?: string;
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

/** Maximum length of `Suppression.why`. */
export const MAX_WHY = 300;

/**
 * How long the list remembers a removal, ms: longer than an outcome can wait in a queue (SQS: 14 days), so that a
 * repeated outcome does not list the address again.
 */
export const REMOVAL_MEMORY = 15 * DAY;
