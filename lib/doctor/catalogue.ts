/** The table of findings: how bad each is, and why it matters. The rules add what was found and what to do. */

/**
 * `error`: mail is refused, lost or does not leave. `warning`: some providers refuse it or trust it less, or it will
 * become an error. `notice`: it works, and could be better.
 */
export type FindingSeverity = 'error' | 'warning' | 'notice';

interface CatalogueEntry {
  severity: FindingSeverity;
  /** Why it matters, one sentence. */
  why: string;
}

function entry(severity: FindingSeverity, why: string): CatalogueEntry {
  return { severity, why };
}

const BULK = 'Gmail, Yahoo and Microsoft refuse bulk mail without it.';

export const CATALOGUE = {
  'dns.unanswered': entry('warning', 'What cannot be looked up here may be missing for receivers, too.'),

  'spf.missing': entry(
    'error',
    `SPF of the return path cannot pass; Gmail, Yahoo and Microsoft require it of bulk senders.`,
  ),
  'spf.multiple': entry(
    'error',
    'With two SPF records the result is a permanent error (RFC 7208 §4.5): SPF passes for no address.',
  ),
  'spf.syntax': entry(
    'error',
    'A record with an error is a permanent error (RFC 7208 §4.6): SPF passes for no address.',
  ),
  'spf.lookups': entry(
    'warning',
    'More than 10 look-ups are a permanent error (RFC 7208 §4.6.4): SPF fails for what stands behind the tenth.',
  ),
  'spf.lookups-near': entry(
    'notice',
    'One more include, also inside the record of a provider, and SPF becomes a permanent error (RFC 7208 §4.6.4).',
  ),
  'spf.voids': entry(
    'warning',
    'More than 2 look-ups of names that have no such record are a permanent error (RFC 7208 §4.6.4).',
  ),
  'spf.uncovered': entry('error', 'Mail from this address does not pass SPF.'),
  'spf.permits-all': entry('warning', 'Anyone may send as this domain and pass SPF and DMARC.'),
  'spf.no-sources': entry(
    'notice',
    'Without the public source addresses, SPF can only be read, not checked.',
  ),

  'dkim.missing': entry('error', `A signature without its key in DNS does not verify. ${BULK}`),
  'dkim.wrong': entry('error', 'Signatures do not verify against another key.'),
  'dkim.revoked': entry(
    'error',
    'A record with an empty key says that the key is revoked (RFC 6376 §3.6.1).',
  ),
  'dkim.unfit': entry(
    'error',
    'The record forbids what its key is needed for, so that signatures do not verify.',
  ),
  'dkim.weak': entry(
    'warning',
    'Keys under 1024 bits must not be trusted, and 2048 bits are what signers should use (RFC 8301 §3.2).',
  ),
  'dkim.testing': entry('notice', 'With t=y a receiver may treat signed mail as unsigned (RFC 6376 §3.6.1).'),
  'dkim.off': entry('error', `Mail is not signed. ${BULK}`),

  'dmarc.missing': entry('error', `There is no DMARC policy. ${BULK}`),
  'dmarc.multiple': entry('error', 'More than one DMARC record count as none (RFC 9989 §4.10).'),
  'dmarc.syntax': entry('error', 'A record that cannot be read counts as none (RFC 9989 §4.7).'),
  'dmarc.removed-tags': entry(
    'notice',
    'The tags pct, rf and ri were removed by RFC 9989: receivers ignore them.',
  ),
  'dmarc.none': entry('notice', 'With p=none receivers let forged mail of this domain through.'),
  'dmarc.testing': entry(
    'notice',
    'With t=y receivers apply one policy milder than the one published (RFC 9989 §4.7).',
  ),
  'dmarc.no-reports': entry(
    'notice',
    'Without aggregate reports nobody learns who sends as this domain, or what fails (RFC 9990).',
  ),
  'dmarc.reports-refused': entry(
    'warning',
    'Reports to another domain are sent only when that domain agrees in its DNS (RFC 9990 §4).',
  ),
  'dmarc.unaligned': entry('error', `Neither DKIM nor SPF is of the domain in From, so DMARC fails. ${BULK}`),
  'dmarc.dkim-only': entry(
    'notice',
    'DMARC rests on DKIM alone: where a forwarder breaks the signature, nothing else passes.',
  ),
  'dmarc.spf-only': entry('warning', 'DMARC rests on SPF alone, which fails wherever mail is forwarded.'),

  'return-path.no-mx': entry(
    'error',
    'Bounces cannot come back: dead addresses are sent to again, and some receivers refuse such mail.',
  ),
  'return-path.elsewhere': entry(
    'warning',
    'Bounces go to another server: dead addresses are not suppressed here.',
  ),

  'mta-sts.missing': entry(
    'notice',
    'Mail to this domain can be read or redirected on its way by who is between the servers (RFC 8461).',
  ),
  'mta-sts.broken': entry(
    'warning',
    'A policy that cannot be read protects nothing; senders that hold an older one may stop delivering (RFC 8461 §5).',
  ),
  'mta-sts.mx-uncovered': entry(
    'error',
    'Senders that follow the policy do not deliver to an MX that it does not name (RFC 8461 §4.1).',
  ),
  'mta-sts.testing': entry('notice', 'In mode testing or none nothing is enforced (RFC 8461 §5).'),
  'tls-rpt.missing': entry(
    'notice',
    'Without reports nobody learns that senders failed to deliver over TLS (RFC 8460).',
  ),
  'tls-rpt.syntax': entry('warning', 'Nobody sends reports by a record that cannot be read (RFC 8460 §3).'),

  'bimi.missing': entry('notice', 'Gmail, Yahoo and Apple show the logo of a domain that publishes one.'),
  'bimi.syntax': entry('warning', 'A record that cannot be read shows no logo.'),
  'bimi.no-enforcement': entry(
    'warning',
    'A logo is shown only under a DMARC policy of quarantine or reject that holds for all mail.',
  ),
  'bimi.no-certificate': entry(
    'notice',
    'Gmail and Apple show a logo with a mark certificate (VMC; Gmail also CMC) only.',
  ),

  'dnssec.unsigned': entry(
    'notice',
    'Answers without DNSSEC can be forged; DANE cannot protect mail to this domain.',
  ),

  'outward.blocked': entry('error', 'No mail leaves: other servers are reached over port 25 only.'),
  'outward.delivery-down': entry('error', 'Mail is taken in and waits.'),

  'address.private': entry('notice', 'Receivers see another address, whose PTR, SPF and listings decide.'),
  'address.not-here': entry('error', 'No mail leaves from an address that this host does not have.'),
  'ptr.missing': entry(
    'error',
    'Gmail, Microsoft and many others refuse mail from an address without a PTR record.',
  ),
  'ptr.unconfirmed': entry('error', 'A PTR name that does not lead back to the address counts as none.'),
  'ptr.generic': entry(
    'warning',
    'Names as providers give to homes and clouds are refused by many receivers.',
  ),
  'ehlo.unresolved': entry(
    'warning',
    'Receivers look the name of EHLO up; one that leads elsewhere looks forged.',
  ),
  'ehlo.mismatch': entry('notice', 'Some receivers expect the name of EHLO and the PTR name to be one.'),

  'resolver.down': entry('error', 'Without DNS no mail leaves.'),
  'resolver.public': entry(
    'warning',
    'Public resolvers are slow for mail, are limited in rate, and get no answers from blocklists.',
  ),
  'resolver.not-validating': entry(
    'notice',
    'Without a validating resolver on this host, DNSSEC and DANE protect nothing.',
  ),

  'blocklist.listed': entry('error', 'Receivers that use the list refuse mail from this address.'),
  'blocklist.refused': entry(
    'warning',
    'The list does not answer this resolver: whether an address is listed is unknown.',
  ),
  'blocklist.unusable': entry('warning', 'A list without its test entry is dead, or answers for anything.'),

  'certificate.expired': entry(
    'error',
    'Clients that verify refuse to submit, and senders with MTA-STS to deliver here.',
  ),
  'certificate.expiring': entry('warning', 'After that clients that verify refuse to submit.'),
  'certificate.name': entry('warning', 'Clients that verify refuse a certificate of another name.'),
  'certificate.self-signed': entry('notice', 'Clients that verify refuse it.'),

  'clock.off': entry(
    'error',
    'Signatures, certificates and SigV4 go by the time: with a wrong one they are refused.',
  ),
  'clock.unknown': entry('notice', 'Whether the clock is right could not be seen.'),

  'disk.full': entry('error', 'New mail is refused, so that what is queued stays safe.'),
  'disk.low': entry('warning', 'When it is full, new mail is refused.'),
  'limits.files': entry('warning', 'Each connection is an open file: at the limit, connections are refused.'),
  'limits.ports': entry('warning', 'Each outgoing connection takes a local port.'),
  'limits.backlog': entry('notice', 'Bursts of new connections beyond it are dropped by the kernel.'),
  'limits.conntrack': entry(
    'error',
    'When the table of the firewall is full, the kernel drops connections without a word.',
  ),

  'queue.old': entry(
    'warning',
    'Mail waits longer than it should; readers of codes and receipts wait with it.',
  ),
  'bounces.infrastructure': entry(
    'warning',
    'Mail is refused or put off for a fault of this side, not of its recipients.',
  ),

  'bulk.one-click': entry(
    'warning',
    'Gmail and Yahoo require one-click unsubscribe (RFC 8058) of bulk mail.',
  ),
  'bulk.domain': entry(
    'error',
    'Gmail, Yahoo and Microsoft refuse bulk mail that is not authenticated as its From domain.',
  ),
} as const satisfies Record<string, CatalogueEntry>;

export type FindingId = keyof typeof CATALOGUE;
