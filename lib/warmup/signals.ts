/**
 * Derives the warm-up signal of a reply for the IP that received it.
 *
 * ```
 *  2xx to the body                                      delivered
 *  5xx, the address or its domain does not exist        bounced
 *  a block list, reputation, spam, a 5xx greeting       blocked
 *  4xx that speaks of rates; any other 4xx but the first   deferred
 *  greylisting, the first 4xx, full mailboxes, content, no reply at all   nothing
 * ```
 * `signalOfReport` reads a later report:
 *
 * ```
 *  a complaint that is not a "not spam"                complained
 *  a bounce of an address that does not exist           bounced
 *  a bounce about reputation, spam or policy            blocked
 * ```
 * The first 4xx of a delivery is no signal unless it is about rates: hosts that greylist defer all mail that they see
 * for the first time, mostly without a reason in the reply, and would hold every new IP back for ever.
 */

import type { Category } from '../outcome/causes.ts';
import type { AttemptResult } from '../outcome/classify.ts';
import { diagnose } from '../outcome/diagnosis.ts';
import type { Feedback } from '../outcome/feedback.ts';
import type { Signal } from './verdict.ts';

const GREYLISTED = /gr[ea]y-?list/i;
const RATES =
  /too (?:many|much|fast|quickly)|\brates?\b|throttl|\blimit|unexpected volume|slow down|complaints|temporarily deferred/i;
const NO_SUCH_ADDRESS: ReadonlySet<Category> = new Set<Category>([
  'bad-mailbox',
  'bad-domain',
  'inactive-mailbox',
]);
const NOT_ABOUT_US: ReadonlySet<Category> = new Set<Category>([
  'quota-issues',
  'content-related',
  'virus-related',
  'protocol-errors',
  'routing-errors',
]);

/**
 * @param attempts earlier attempts of the same delivery.
 * @returns undefined when the result is no signal about the IP. Complaints come by report, not by reply.
 */
export function signalOf(result: AttemptResult, attempts: number): Signal | undefined {
  if (result.kind === 'accepted') return 'delivered';
  const { reply, phase } = result;
  if (result.kind !== 'refused' || reply === undefined) return undefined;
  const text = reply.lines.join(' ');
  const { category } = diagnose({ code: reply.code, enhanced: reply.enhanced, text, phase });
  if (category === 'spam-related') return 'blocked';
  if (NOT_ABOUT_US.has(category)) return undefined;
  if (reply.code >= 500) {
    if (NO_SUCH_ADDRESS.has(category)) return 'bounced';
    return phase === 'greeting' || category === 'policy-related' ? 'blocked' : undefined;
  }
  if (GREYLISTED.test(text)) return undefined;
  return attempts > 0 || RATES.test(text) ? 'deferred' : undefined;
}

/** @returns undefined when the report is no signal about the IP that sent the message. */
export function signalOfReport({ kind, detail }: Feedback): Signal | undefined {
  if (kind === 'complaint') return detail.feedbackType === 'not-spam' ? undefined : 'complained';
  if (detail.hard) return 'bounced';
  return detail.category === 'spam-related' || detail.category === 'policy-related' ? 'blocked' : undefined;
}
