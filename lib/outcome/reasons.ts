/**
 * The table of reasons: why a delivery has its state, whether it ended or waits. Attempts, deliveries and outcomes
 * carry the code. `npm run errors` writes the table to `lib/errors.md`.
 */
import { CANCELLED, SCHEDULED } from '../engine/states.ts';
import { ERRORS } from '../errors.ts';

export interface ReasonEntry {
  /** SMTP reply code and enhanced code (RFC 3463) that events show where no peer replied. */
  smtp: number;
  enhanced: string;
  /** Whether the delivery is tried again. */
  temporary: boolean;
  fault: 'caller' | 'recipient' | 'peer' | 'operator' | 'postern';
  /** What the operator does about it, one sentence. */
  action: string;
}

function entry(smtp: number, enhanced: string, fault: ReasonEntry['fault'], action: string): ReasonEntry {
  return { smtp, enhanced, temporary: smtp < 500, fault, action };
}

export const REASONS = {
  dns_failure: entry(451, '4.4.3', 'peer', 'Wait: the name servers of the destination do not answer.'),
  dns_no_domain: entry(550, '5.1.2', 'recipient', 'Correct the address; its domain does not exist.'),
  dns_unconfirmed: entry(
    451,
    '4.1.2',
    'recipient',
    'Wait, or correct the address: DNS says that its domain does not exist, and is asked once more.',
  ),
  dns_no_mx_host: entry(
    550,
    '5.4.4',
    'recipient',
    'Correct the address, or tell its owner: the mail hosts of its domain have no address.',
  ),
  dns_null_mx: entry(
    556,
    '5.1.10',
    'recipient',
    'Remove the address; its domain accepts no mail (RFC 7505).',
  ),
  mx_prohibited: entry(
    550,
    '5.4.4',
    'recipient',
    'Remove the address; its domain points to a private address.',
  ),
  connect_failed: entry(451, '4.4.1', 'peer', 'Wait: no host of the destination can be reached.'),
  connection_lost: entry(451, '4.4.2', 'peer', 'Wait: the peer closed the connection.'),
  peer_timeout: entry(451, '4.4.2', 'peer', 'Wait: the peer did not answer in time.'),
  peer_protocol: entry(451, '4.5.0', 'peer', 'Wait: the peer does not speak SMTP as it should.'),
  tls_failed: entry(451, '4.7.5', 'peer', 'Wait, or relax the TLS policy of the configuration set.'),
  tls_required: entry(451, '4.7.4', 'peer', 'The peer offers no TLS; relax the TLS policy or wait.'),
  needs_smtputf8: entry(
    550,
    '5.6.7',
    'recipient',
    "Use an ASCII address; the recipient's server does not take this one.",
  ),
  needs_8bitmime: entry(550, '5.6.3', 'recipient', 'Send the content in a 7-bit transfer encoding.'),
  over_peer_size: entry(552, '5.3.4', 'recipient', "Make the message smaller than the peer's SIZE limit."),
  peer_temporary: entry(451, '4.0.0', 'peer', 'Wait: the peer asked to try again.'),
  peer_permanent: entry(550, '5.0.0', 'recipient', "Read the peer's reply; do not send this again."),
  uncertain: entry(
    451,
    '4.4.2',
    'peer',
    'The peer took the message but its reply was lost; it may arrive twice.',
  ),
  site_limit: entry(451, '4.4.5', 'postern', 'Wait: the destination is at the limit set for it.'),
  warmup_limit: entry(
    451,
    '4.4.5',
    'postern',
    'Wait: the source IPs are warming up; let the pool use warmed IPs, or another pool, to send more.',
  ),
  sender_limit: entry(
    451,
    '4.7.1',
    'postern',
    'Wait: mail of this tenant, campaign, class or domain is at the limit set for it.',
  ),
  suspended: entry(451, '4.3.2', 'operator', 'Wait, or remove the directive that suspends this mail.'),
  stopped_by_directive: entry(
    550,
    '5.7.1',
    'operator',
    'A directive ended this mail. Remove the directive before it is sent again.',
  ),
  deferred_by_policy: entry(
    451,
    '4.7.1',
    'operator',
    'Wait: the policy of this installation has it tried again after this reply.',
  ),
  bounced_by_policy: entry(
    550,
    '5.7.1',
    'operator',
    'The policy of this installation ended it after this reply; change it before this is sent again.',
  ),
  no_source_ip: entry(451, '4.3.5', 'operator', 'Give the pool an IP that this node may send from.'),
  expired: entry(554, '5.4.7', 'peer', 'The destination did not take it within its time.'),
  suppressed: entry(550, '5.1.1', 'recipient', 'Remove the address, or delete it from the suppression list.'),
  unsubscribed: entry(
    550,
    '5.7.1',
    'recipient',
    'Send nothing of this list or topic to the address; its reader has not chosen it.',
  ),
  cancelled: entry(554, '5.0.0', 'caller', CANCELLED),
  scheduled: entry(450, '4.0.0', 'caller', SCHEDULED),
  rendering_failed: entry(554, '5.6.0', 'caller', ERRORS.rendering_failed.action),
  invalid_address: entry(501, '5.1.3', 'caller', ERRORS.invalid_address.action),
  shutting_down: entry(
    421,
    '4.3.2',
    'operator',
    'Wait: the node was stopped; another one, or its next start, goes on.',
  ),
} as const satisfies Record<string, ReasonEntry>;

export type ReasonCode = keyof typeof REASONS;

/** Whether this table has a stored code: records of other versions may hold others. */
export function isReason(code: string): code is ReasonCode {
  return Object.hasOwn(REASONS, code);
}
