/**
 * Which outcomes put an address on the suppression list, and which take it off.
 *
 * | outcome                                                          | list                |
 * |------------------------------------------------------------------|---------------------|
 * | attempt refused as bad mailbox, bad domain, inactive mailbox     | add, BOUNCE         |
 * | bounce report of that kind that names this delivery's recipient  | add, BOUNCE         |
 * | bounce report about another address (the recipient forwards)     | nothing             |
 * | complaint                                                        | add, COMPLAINT      |
 * | complaint found by Message-ID alone, of one of several recipients | nothing            |
 * | feedback `not-spam`                                              | remove COMPLAINT    |
 * | feedback `auth-failure` (a report about signatures, RFC 6591)    | nothing             |
 * | anything at the mailbox simulator                                | nothing             |
 *
 * An address is added only for a reason that its message suppresses for, and to the list that applied to the message
 * when it was accepted, as its record has them.
 *
 * A report reaches this rule only if its signed return path, or the message's own id with this recipient, led to this
 * delivery: without the message no report can be forged, and with it only one for the address that received it.
 */
import type { MessageRecord, Outcome } from '../engine/items.ts';
import { MAX_WHY, type Suppression, type SuppressionReason } from '../engine/suppression.ts';
import { diagnoseAttempt } from './attempt.ts';
import type { BounceDetail, ComplaintDetail } from './details.ts';
import { feedbackId } from './events.ts';
import { isSimulatorAddress } from './simulator.ts';

/** The change to the list for the recipient of a delivery, under the address of its envelope. */
export interface SuppressionChange {
  /** `none`: the message suppresses for other reasons only. Events are sent all the same. */
  action: 'add' | 'remove' | 'none';
  entry: Suppression;
}

/** Whether an outcome may lead to a change; needs no record of its message. */
export function mayChangeSuppression({ kind, attempt }: Outcome): boolean {
  return kind === 'bounce' || kind === 'complaint' || attempt?.state === 'bounced';
}

/** The change that an outcome leads to, if any. */
export function suppressionChange(record: MessageRecord, outcome: Outcome): SuppressionChange | undefined {
  const address = outcome.n === undefined ? undefined : record.recipients[outcome.n];
  if (address === undefined || isSimulatorAddress(address)) return undefined;
  const change = decide(outcome, address, record.recipients.length > 1);
  if (!change) return undefined;
  const { reason } = change;
  const action =
    change.action === 'add' && record.suppressedReasons?.includes(reason) === false ? 'none' : change.action;
  const { tenant, suppressionList = tenant } = record;
  const shown = { messageId: record.id, feedbackId: feedbackId(outcome), why: whyOf(outcome) };
  return { action, entry: { tenant: suppressionList, address, reason, at: outcome.at, ...shown } };
}

/** For a person: what the peer or the reader's provider reported. */
function whyOf({ kind, attempt, detail }: Outcome): string {
  if (kind === 'complaint') {
    const { feedbackType, userAgent } = detail as ComplaintDetail;
    return `Complaint (${feedbackType})${userAgent === undefined ? '' : ` reported by ${userAgent}`}.`.slice(
      0,
      MAX_WHY,
    );
  }
  const { diagnosticCode, text } = (detail ?? {}) as Partial<BounceDetail>;
  return (diagnosticCode ?? attempt?.text ?? text ?? '').slice(0, MAX_WHY);
}

function decide(
  outcome: Outcome,
  address: string,
  several: boolean,
): { action: 'add' | 'remove'; reason: SuppressionReason } | undefined {
  switch (outcome.kind) {
    case 'attempt': {
      const { attempt } = outcome;
      const hard = attempt?.state === 'bounced' && diagnoseAttempt(attempt).hard;
      return hard ? { action: 'add', reason: 'BOUNCE' } : undefined;
    }
    case 'bounce': {
      const { hard, recipient } = outcome.detail as BounceDetail;
      return hard && sameAddress(recipient, address) ? { action: 'add', reason: 'BOUNCE' } : undefined;
    }
    case 'complaint': {
      const { feedbackType, unsigned } = outcome.detail as ComplaintDetail;
      if (feedbackType === 'auth-failure') return undefined;
      // Each recipient of a message has its Message-ID and reads the other addresses in it.
      if (unsigned && several) return undefined;
      return { action: feedbackType === 'not-spam' ? 'remove' : 'add', reason: 'COMPLAINT' };
    }
    default:
      return undefined;
  }
}

/** Whether a report is about this recipient: it names the address, or none. */
export function sameAddress(reported: string | undefined, address: string): boolean {
  return reported === undefined || reported.toLowerCase() === address.toLowerCase();
}
