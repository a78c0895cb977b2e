/** Why an attempt did not deliver, read from its record: the same rules for live replies and stored ones. */
import type { Attempt } from '../engine/items.ts';
import type { BounceType, Category, Diagnosis } from './diagnosis.ts';
import { diagnose } from './diagnosis.ts';
import { isReason, REASONS, type ReasonCode } from './reasons.ts';
import { readReply } from './reply.ts';

export interface AttemptDiagnosis extends Diagnosis {
  /** Enhanced status code, as `5.1.1`. */
  status: string;
  /** `smtp; 550 5.1.1 user unknown`: a Diagnostic-Code as of RFC 3464 §2.3.6. */
  diagnosticCode: string;
}

const GENERAL: BounceType = { type: 'Transient', subType: 'General' };
const HARD_BOUNCE: BounceType = { type: 'Permanent', subType: 'General' };

/** Reasons that were decided here, without (or in spite of) a peer's reply. */
const BY_REASON: Partial<Record<ReasonCode, Diagnosis>> = {
  dns_no_domain: { category: 'bad-domain', bounce: HARD_BOUNCE, hard: true },
  dns_null_mx: { category: 'bad-domain', bounce: HARD_BOUNCE, hard: true },
  dns_failure: soft('routing-errors'),
  dns_unconfirmed: soft('routing-errors'),
  // Not hard: the domain exists, and its owner may mend its records tomorrow.
  dns_no_mx_host: soft('routing-errors'),
  mx_prohibited: soft('routing-errors'),
  connect_failed: soft('no-answer-from-host'),
  connection_lost: soft('bad-connection'),
  peer_timeout: soft('bad-connection'),
  uncertain: soft('bad-connection'),
  tls_failed: soft('policy-related'),
  tls_required: soft('policy-related'),
  needs_smtputf8: soft('content-related', { type: 'Transient', subType: 'ContentRejected' }),
  needs_8bitmime: soft('content-related', { type: 'Transient', subType: 'ContentRejected' }),
  over_peer_size: soft('content-related', { type: 'Transient', subType: 'MessageTooLarge' }),
  expired: soft('message-expired'),
  // Not hard: the address is on the list already, and what put it there was counted then.
  suppressed: {
    category: 'other',
    bounce: { type: 'Permanent', subType: 'OnAccountSuppressionList' },
    hard: false,
  },
};

function soft(category: Category, bounce = GENERAL): Diagnosis {
  return { category, bounce, hard: false };
}

/** Diagnosis of an attempt that was not delivered. Pure; never throws. */
export function diagnoseAttempt(attempt: Attempt): AttemptDiagnosis {
  const reason = isReason(attempt.reason) ? attempt.reason : 'peer_protocol';
  const known = REASONS[reason];
  const reply = readReply(attempt.text);
  const diagnosis =
    BY_REASON[reason] ??
    diagnose({
      code: reply?.code ?? known.smtp,
      enhanced: reply ? reply.enhanced : known.enhanced,
      text: reply?.lines[0] ?? attempt.text,
      phase: attempt.replies.at(-1)?.phase,
    });
  const status = reply ? (reply.enhanced ?? `${String(reply.code)[0]}.0.0`) : known.enhanced;
  const text = reply ? attempt.text : `${known.smtp} ${known.enhanced} ${attempt.text}`;
  return { ...diagnosis, status, diagnosticCode: `smtp; ${text.trimEnd()}` };
}
