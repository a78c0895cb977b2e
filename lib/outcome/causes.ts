/**
 * The table of causes: the subject of a refusal, in any wording. Each cause has the bounce category of PowerMTA, the
 * bounce type that SES shows, and whether the address is suppressed. `npm run errors` writes it to `lib/errors.md`.
 *
 * Only three causes suppress, and only when the reply is permanent: our own faults never punish a recipient.
 */

/** Bounce categories, under PowerMTA's names. */
export type Category =
  | 'bad-mailbox'
  | 'bad-domain'
  | 'inactive-mailbox'
  | 'quota-issues'
  | 'no-answer-from-host'
  | 'relaying-issues'
  | 'routing-errors'
  | 'bad-connection'
  | 'content-related'
  | 'invalid-sender'
  | 'message-expired'
  | 'policy-related'
  | 'protocol-errors'
  | 'spam-related'
  | 'virus-related'
  | 'other';

/** `bounceType` and `bounceSubType` of an SES Bounce event. */
export interface BounceType {
  type: 'Undetermined' | 'Permanent' | 'Transient';
  subType:
    | 'Undetermined'
    | 'General'
    | 'Suppressed'
    | 'OnAccountSuppressionList'
    | 'OnTenantSuppressionList'
    | 'UnsubscribedRecipient'
    | 'MailboxFull'
    | 'MessageTooLarge'
    | 'ContentRejected'
    | 'AttachmentRejected';
}

export interface CauseEntry {
  category: Category;
  fault: 'recipient' | 'sender' | 'content' | 'infrastructure' | 'unknown';
  /** Whether the same mail may be accepted later, or over another source address. */
  temporary: boolean;
  /** Whether a permanent reply suppresses the address. */
  suppresses: boolean;
  bounce: BounceType;
  /** What the operator does about it, one sentence. */
  action: string;
}

type SubType = BounceType['subType'];

function entry(
  category: Category,
  fault: CauseEntry['fault'],
  duration: 'temporary' | 'permanent',
  action: string,
  subType: SubType = 'General',
): CauseEntry {
  const temporary = duration === 'temporary';
  const suppresses = fault === 'recipient' && !temporary;
  const type = suppresses ? 'Permanent' : subType === 'Undetermined' ? 'Undetermined' : 'Transient';
  return { category, fault, temporary, suppresses, bounce: { type, subType }, action };
}

export const CAUSES = {
  unknown_user: entry('bad-mailbox', 'recipient', 'permanent', 'Remove the address; it does not exist.'),
  inactive_user: entry('inactive-mailbox', 'recipient', 'permanent', 'Remove the address; it is closed.'),
  bad_domain: entry('bad-domain', 'recipient', 'permanent', 'Remove the address; its domain takes no mail.'),
  mailbox_full: entry(
    'quota-issues',
    'recipient',
    'temporary',
    'Wait; send less to an address that stays full for weeks.',
    'MailboxFull',
  ),
  dns: entry(
    'routing-errors',
    'infrastructure',
    'temporary',
    'Wait: names of the destination do not resolve.',
  ),
  connection: entry(
    'no-answer-from-host',
    'infrastructure',
    'temporary',
    'Wait: a host of the destination does not answer.',
  ),
  timeout: entry('bad-connection', 'infrastructure', 'temporary', 'Wait: the connection broke.'),
  tls: entry(
    'policy-related',
    'infrastructure',
    'temporary',
    'Check that TLS is offered and not switched off.',
  ),
  routing: entry(
    'routing-errors',
    'infrastructure',
    'permanent',
    'Look for a loop between the hosts of the destination.',
  ),
  protocol: entry('protocol-errors', 'infrastructure', 'temporary', 'Look at the transcript of the attempt.'),
  relay_denied: entry(
    'relaying-issues',
    'infrastructure',
    'permanent',
    'The host is not one for this domain: check its MX records, or the route.',
  ),
  expired: entry('message-expired', 'infrastructure', 'permanent', 'Look at why the mail waited.'),
  busy: entry('policy-related', 'infrastructure', 'temporary', 'Wait: the peer asks to try again later.'),
  rate_limited: entry('policy-related', 'sender', 'temporary', 'Send more slowly to this destination.'),
  greylisted: entry('policy-related', 'sender', 'temporary', 'Wait: the peer takes it from a known sender.'),
  ip_blocked: entry(
    'spam-related',
    'sender',
    'permanent',
    'Find what the IP is listed for, end it, and ask for its removal.',
  ),
  domain_blocked: entry(
    'spam-related',
    'sender',
    'permanent',
    'Find what the domain is listed for, end it, and ask for its removal.',
  ),
  spam_content: entry(
    'spam-related',
    'content',
    'permanent',
    'Change the content, and send to those who asked.',
  ),
  authentication: entry(
    'policy-related',
    'sender',
    'permanent',
    'Publish SPF, DKIM and DMARC for the From domain, aligned with it.',
  ),
  ptr_required: entry(
    'policy-related',
    'sender',
    'permanent',
    'Give the IP a PTR record whose name resolves to the IP.',
  ),
  sender_rejected: entry(
    'invalid-sender',
    'sender',
    'permanent',
    'Use a sender whose domain exists and takes mail.',
  ),
  policy: entry('policy-related', 'sender', 'permanent', "Read the peer's reply; ask its operator."),
  too_large: entry('content-related', 'content', 'permanent', 'Make the message smaller.', 'MessageTooLarge'),
  attachment: entry(
    'content-related',
    'content',
    'permanent',
    'Send a link in place of the attachment.',
    'AttachmentRejected',
  ),
  virus: entry('virus-related', 'content', 'permanent', 'Scan what is attached.', 'AttachmentRejected'),
  content: entry('content-related', 'content', 'permanent', 'Correct the message.', 'ContentRejected'),
  other: entry('other', 'unknown', 'temporary', "Read the peer's reply.", 'Undetermined'),
} as const satisfies Record<string, CauseEntry>;

export type Cause = keyof typeof CAUSES;
