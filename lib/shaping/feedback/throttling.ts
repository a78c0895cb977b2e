/**
 * Whether a temporary refusal requests less mail, and of what kind. It covers words that all providers share: the
 * rules of `automation/` cover each provider's own words and their effects.
 */
import type { Reply } from '../../outcome/reply.ts';

/** Maximum length of the text that is examined, characters. */
const MAX_TEXT = 500;

/** Greylisting requires patience and not less mail; mailboxes have limits of their own. */
const NOT_OURS = /gr[ea]y-?list|mailbox|quota exceeded|over ?quota|user you are trying|this user|recipient/;
const CONNECTIONS =
  /(?:too many|concurrent|simultaneous|maximum|number of|limit of) (?:[a-z]{1,20} ){0,2}(?:connection|session)s?|connection (?:limit|rate|frequency)|trop de connexions/;
const RATE =
  /rate[ -]?limit|unusual rate|throttl|too (?:fast|quickly)|too (?:many|much) (?:[a-z]{1,20} ){0,2}(?:messages?|mails?|e-?mails?)|slow down|slower|temporarily deferred due to|frequency limited|sending (?:limit|rate|quota)|(?:message|mail) rate|(?:messages|mails|emails) per (?:second|minute|hour|day)|unexpected volume|excessive volume|\[tss?04\]|server busy/;
/** Codes with one meaning: Gmail's unusual rate, Outlook's and Yahoo's limits of an IP. */
const ENHANCED: ReadonlySet<string> = new Set(['4.7.28', '4.7.650', '4.7.651', '4.7.652', '4.7.655']);

/** @returns what the reply requests less of; undefined when it requests nothing of the kind. */
export function throttles({ code, enhanced, lines }: Reply): 'connections' | 'rate' | undefined {
  if (code < 400 || code > 499) return undefined;
  if (enhanced !== undefined && ENHANCED.has(enhanced)) return 'rate';
  // RFC 3463 §3.3: x.2.z is about the mailbox, x.1.z about an address; x.1.0 gives no detail.
  if (enhanced !== undefined && /^4\.(?:2\.|1\.[1-9])/.test(enhanced)) return undefined;
  const text = lines.join(' ').slice(0, MAX_TEXT).toLowerCase();
  if (CONNECTIONS.test(text)) return 'connections';
  return RATE.test(text) && !NOT_OURS.test(text) ? 'rate' : undefined;
}
