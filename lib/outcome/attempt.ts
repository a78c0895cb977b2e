/** Why an attempt did not deliver, read from its record: the same rules for live replies and stored ones. */
import type { Attempt } from '../engine/items.ts';
import { CAUSES, type Cause } from './causes.ts';
import { type Diagnosis, diagnose } from './diagnosis.ts';
import { isReason, REASONS, type ReasonCode } from './reasons.ts';
import { readReply } from './reply.ts';

export interface AttemptDiagnosis extends Diagnosis {
  /** Enhanced status code, as `5.1.1`. */
  status: string;
  /** `smtp; 550 5.1.1 user unknown`: a Diagnostic-Code as of RFC 3464 §2.3.6. */
  diagnosticCode: string;
}

/** Causes of the reasons that Postern decides itself, without (or in spite of) a peer's reply. */
const BY_REASON: Partial<Record<ReasonCode, Cause>> = {
  dns_no_domain: 'bad_domain',
  dns_null_mx: 'bad_domain',
  dns_failure: 'dns',
  mx_prohibited: 'dns',
  connect_failed: 'connection',
  connection_lost: 'timeout',
  peer_timeout: 'timeout',
  uncertain: 'timeout',
  tls_failed: 'tls',
  tls_required: 'tls',
  needs_smtputf8: 'content',
  needs_8bitmime: 'content',
  over_peer_size: 'too_large',
  expired: 'expired',
};

/** Not hard: the address is on the list already, and the bounce that put it there was counted then. */
const SUPPRESSED: Diagnosis = {
  cause: 'other',
  category: 'other',
  bounce: { type: 'Permanent', subType: 'OnAccountSuppressionList' },
  hard: false,
};

/** As SES reports mail to who left its list: not hard, since the address is good. */
const UNSUBSCRIBED: Diagnosis = {
  cause: 'other',
  category: 'other',
  bounce: { type: 'Permanent', subType: 'UnsubscribedRecipient' },
  hard: false,
};

function decidedHere(reason: ReasonCode): Diagnosis | undefined {
  if (reason === 'suppressed') return SUPPRESSED;
  if (reason === 'unsubscribed') return UNSUBSCRIBED;
  const cause = BY_REASON[reason];
  if (cause === undefined) return undefined;
  const { category, bounce, suppresses } = CAUSES[cause];
  return { cause, category, bounce, hard: suppresses };
}

/** The phase that decided. Attempts of older versions lack it: then it is that of the reply that became the text. */
export function phaseOf({ phase, replies, text }: Attempt): string | undefined {
  if (phase !== undefined) return phase;
  const decided = replies.findLast((reply) =>
    text.startsWith(`${reply.code} ${reply.text}`.slice(0, 200).trimEnd()),
  );
  return (decided ?? replies.at(-1))?.phase;
}

/** Diagnosis of an attempt that was not delivered. Pure; never throws. */
export function diagnoseAttempt(attempt: Attempt): AttemptDiagnosis {
  const reason = isReason(attempt.reason) ? attempt.reason : 'peer_protocol';
  const known = REASONS[reason];
  const reply = readReply(attempt.text);
  const diagnosis =
    decidedHere(reason) ??
    diagnose({
      code: reply?.code ?? known.smtp,
      enhanced: reply ? reply.enhanced : known.enhanced,
      text: reply?.lines[0] ?? attempt.text,
      phase: phaseOf(attempt),
    });
  const status = reply ? (reply.enhanced ?? `${String(reply.code)[0]}.0.0`) : known.enhanced;
  const text = reply ? attempt.text : `${known.smtp} ${known.enhanced} ${attempt.text}`;
  return { ...diagnosis, status, diagnosticCode: `smtp; ${text.trimEnd()}` };
}
