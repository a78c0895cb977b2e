/**
 * Decides what follows the result of one attempt: delivered, ended, or tried again.
 *
 * Errors are temporary until proven permanent: only a clear 5xx reply ends a delivery. A reply is clear when it
 * answers a command that named the recipient or carried the content, and its words are about one of these.
 *
 * ```
 *  reply                         greeting  EHLO/STARTTLS   MAIL            RCPT   DATA/body
 *  2xx to the body                  —          —            —               —     delivered
 *  4xx, 421 anywhere             deferred   deferred     deferred       deferred  deferred   RFC 5321 §4.2.1
 *  5xx with enhanced 4.y.z       deferred   deferred     deferred       deferred  deferred   contradiction
 *  552                           deferred   deferred     by concern     deferred  bounced    RFC 5321 §4.5.3.1.10
 *  521, 530, 534, 535, 538       deferred   deferred     deferred       deferred  deferred   RFC 7504, RFC 4954
 *  500, 502–504, enhanced 5.5.z  deferred   deferred     by concern  by concern   by concern the dialogue, not the mail
 *  other 5xx                     deferred   deferred     by concern     bounced   bounced
 *  anything else                 deferred   deferred     deferred       deferred  deferred   garbled
 * ```
 * By concern: bounced when the diagnosis is the recipient or the content, else deferred. A refusal before RCPT is
 * mostly about our host (RFC 7504 §3: a 554 or 521 greeting refuses the connection; other hosts and other source
 * addresses may fare better), and must not end mail that another IP could deliver.
 */
import { CAUSES, type Cause } from './causes.ts';
import { diagnose } from './diagnosis.ts';
import { REASONS, type ReasonCode } from './reasons.ts';
import type { Reply } from './reply.ts';
import { replyText } from './reply.ts';

/** The result of one attempt for one recipient, from the SMTP client or the simulator. */
export interface AttemptResult {
  /**
   * `accepted`: 2xx to the body. `refused`: `reply` decides. `unsent`: nothing was decided, `code` gives the reason.
   * `uncertain`: the body was complete on the wire and no reply was read (RFC 1047).
   */
  kind: 'accepted' | 'refused' | 'unsent' | 'uncertain';
  /** Command (or moment) at which the attempt ended. */
  phase: string;
  reply?: Reply;
  code?: ReasonCode;
  text?: string;
}

export interface Verdict {
  state: 'delivered' | 'bounced' | 'deferred';
  /** Code of the error table. */
  reason: ReasonCode | 'delivered';
  /** Text for a person: the peer's reply where there is one. */
  text: string;
  /** Whether the peer may have the message, so that another attempt may duplicate it. */
  uncertain?: boolean;
}

const BEFORE_ENVELOPE: ReadonlySet<string> = new Set(['connect', 'greeting', 'ehlo', 'starttls', 'tls']);
/** Codes about the host or the session in every phase: RFC 7504 §3 (521), RFC 4954 §6 (530, 534, 535, 538). */
const SESSION_CODES: ReadonlySet<number> = new Set([521, 530, 534, 535, 538]);
/** Codes about the dialogue, not the mail: RFC 5321 §4.2.4 and §4.3.2. */
const DIALOGUE_CODES: ReadonlySet<number> = new Set([500, 502, 503, 504]);

/** Classifies the result of an attempt. Pure; every input gives a verdict. */
export function classify(result: AttemptResult): Verdict {
  const { kind, reply } = result;
  const text = reply ? replyText(reply) : (result.text ?? '');
  if (kind === 'accepted') return { state: 'delivered', reason: 'delivered', text };
  if (kind === 'uncertain') {
    return {
      state: 'deferred',
      reason: 'uncertain',
      text: text || REASONS.uncertain.action,
      uncertain: true,
    };
  }
  if (kind === 'unsent' || !reply) return unsent(result.code ?? 'peer_protocol', text);
  return refused(result.phase, reply, text);
}

function unsent(code: ReasonCode, text: string): Verdict {
  const { temporary, action } = REASONS[code];
  return { state: temporary ? 'deferred' : 'bounced', reason: code, text: text || action };
}

function refused(phase: string, reply: Reply, text: string): Verdict {
  const { code, enhanced } = reply;
  if (!(code >= 400 && code <= 599)) return { state: 'deferred', reason: 'peer_protocol', text };
  if (code < 500 || enhanced?.startsWith('4.')) return { state: 'deferred', reason: 'peer_temporary', text };
  if (BEFORE_ENVELOPE.has(phase) || SESSION_CODES.has(code) || (code === 552 && phase === 'rcpt')) {
    return { state: 'deferred', reason: 'peer_temporary', text };
  }
  const { cause } = diagnose({ code, enhanced, text: reply.lines.join(' '), phase });
  const clear = isAboutMessage(cause, phase);
  if (!clear && (DIALOGUE_CODES.has(code) || cause === 'protocol')) {
    return { state: 'deferred', reason: 'peer_protocol', text };
  }
  if (!clear && phase === 'mail') return { state: 'deferred', reason: 'peer_temporary', text };
  return { state: 'bounced', reason: cause === 'too_large' ? 'over_peer_size' : 'peer_permanent', text };
}

/** Whether a cause is the recipient, which no peer has seen at MAIL, or the content. */
function isAboutMessage(cause: Cause, phase: string): boolean {
  const { category, fault } = CAUSES[cause];
  if (category === 'content-related' || category === 'virus-related') return true;
  return fault === 'recipient' && phase !== 'mail';
}
