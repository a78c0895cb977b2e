/**
 * References: a signed name of a message in its own header, by which a complaint is matched whose reporter passes on
 * the header alone, without the return path (Microsoft since June 2026, Yahoo). It stands in `X-Postern-Ref`, and in
 * front of the four parts of the Feedback-ID that Gmail reads, for reporters that drop unknown fields.
 *
 * The bytes of a message are the same for all of its recipients, so a reference names the message and no recipient.
 */
import { createSignedTokens } from './signed-token.ts';
import type { HeaderField } from './types.ts';

const REFERENCE = /^m([a-z2-7]{56})$/i;

export interface MessageReferences {
  /** @param expiresAt until when it is read, rounded up to a day, ms. */
  make(messageId: string, expiresAt: number): string;
  /** The message; undefined for a reference that was not made here, was altered, or has expired. @param now ms. */
  read(reference: string, now: number): string | undefined;
}

/** Makes references that are signed with a secret, which all nodes share. */
export function createReferences(secret: Buffer): MessageReferences {
  const tokens = createSignedTokens(secret, 'reference');
  return {
    make: (messageId, expiresAt) => `m${tokens.make(messageId, 0, expiresAt)}`,
    read(reference, now) {
      const match = REFERENCE.exec(reference);
      return match ? tokens.read(match[1]!, now)?.messageId : undefined;
    },
  };
}

/** Fields in which a message names itself to whoever reports about it: a sender's own are replaced. */
export const FEEDBACK_FIELDS: ReadonlySet<string> = new Set(['x-postern-ref', 'feedback-id']);

/** The parts of a Feedback-ID by which Gmail groups complaints; none may be unique to a message. */
export interface FeedbackGroups {
  /** SES's tag `ses:feedback-id-a`, else the campaign. */
  a: string;
  /** SES's tag `ses:feedback-id-b`. */
  b: string;
  /** Sender as a customer of this service, as `1.us-east-1.4f3c…`. */
  customer: string;
}

/** Name of this service in every Feedback-ID (Gmail: 5 to 15 characters, the same for all mail). */
const SENDER_ID = 'Postern';

/**
 * The fields of a message. Gmail reads the last four parts of a Feedback-ID (Gmail help, "Feedback Loop"), which are
 * those of SES: two of the sender's choice, the customer, the service.
 */
export function feedbackFields(reference: string, { a, b, customer }: FeedbackGroups): HeaderField[] {
  const id = [reference, clean(a), clean(b), clean(customer), SENDER_ID].join(':');
  return [
    { name: 'x-postern-ref', raw: `X-Postern-Ref: ${reference}` },
    { name: 'feedback-id', raw: `Feedback-ID: ${id}` },
  ];
}

/** The reference in the value of a Feedback-ID, if it has one. */
export function referenceIn(feedbackId: string): string | undefined {
  const first = feedbackId.slice(0, Math.max(0, feedbackId.indexOf(':'))).trim();
  return REFERENCE.test(first) ? first : undefined;
}

/** A part holds no colon, no blank and no line break, and fits with the others on one line (RFC 5322 §2.1.1). */
function clean(part: string): string {
  return part === '' ? part : part.slice(0, 256).replace(/[^\w.@-]/g, '_');
}
