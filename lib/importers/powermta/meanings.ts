/** What PowerMTA's directives are here, those aside that the other files of this folder translate. */
import type { FindingState } from '../finding.ts';
import type { Meaning } from '../postfix/meanings.ts';

const ROWS: readonly (readonly [FindingState, string, string])[] = [
  [
    'already',
    'A delivery has one recipient here; several in one transaction are not sent.',
    'max-rcpt-per-message max-rcpt-per-transaction max-errors-per-connection',
  ],
  [
    'already',
    'Mail of all queues of a site shares its connections by turns, transactional mail first (a class of the configuration set).',
    'queue-priority allow-priority-interruption allow-priority-interruption-during-transfer delivery-priority',
  ],
  [
    'already',
    'What becomes of mail, and each reply, is in its record and in events (lib/events/README.md).',
    'track-recipient-events max-events-recorded log-resolution log-transfer-failures log-disabled-ips log-connections log-commands log-data log-auth log-tls disable-acct-records notify-of-delay-every deliver-local-dsn dsn-format dsn-return-default suppress-local-dsn acct-file spool acct-file-format',
  ],
  [
    'already',
    'Signed are the headers of RFC 6376 with relaxed canonicalization and SHA-256; From is signed twice.',
    'dkim-algorithm dkim-body-canon dkim-headers-canon dkim-headers dkim-query-method dkim-add-timestamp dkim-disallow-adding-headers dkim-add-body-limit dkim-sign-options',
  ],
  [
    'already',
    'Mail of an identity is always signed; the From decides with which key.',
    'dkim-sign dkim-identity dkim-identity-fallback dk-sign',
  ],
  ['already', 'A 421 ends the connection and another one is tried.', 'smtp-421-means-mx-unavailable'],
  [
    'already',
    'Replies are judged by code and words (lib/outcome); addresses in them are cleaned.',
    'smtp-553-means-invalid-mailbox replace-smtp-421-service-response',
  ],
  [
    'already',
    'A 5xx greeting makes it go to another host, and is temporary until proven permanent.',
    'bounce-upon-5xx-greeting',
  ],
  [
    'already',
    'A transfer that breaks before the last byte is repeated; after it, it is uncertain, marked and counted (RFC 1047).',
    'bounce-upon-transfer-failure bounce-upon-pix-transfer-failure allow-cancel-during-transfer pix-bug-workaround',
  ],
  [
    'already',
    'A domain without MX is sent to by its address (RFC 5321 §5.1); one that is not there bounces.',
    'bounce-upon-no-mx',
  ],
  [
    'already',
    'Domains with the same MX hosts share limits and connections, and providers by the suffix of their MX.',
    'disable-mx-rollup mx domain-pattern mx-pattern',
  ],
  [
    'already',
    'New mail waits its turn behind a site that does not answer; the site is probed.',
    'retry-upon-new-mail',
  ],
  [
    'already',
    'Connections are opened by the number of messages that wait, and at the rate of connectionRate.',
    'smtp-out-rampup-interval',
  ],
  ['already', "A retry is the delivery's own: retry-after sets it.", 'retry-recipients-after'],
  ['already', 'TLS is opportunistic unless it is required.', 'use-starttls-if-available'],
  [
    'already',
    'Pauses and what is raised by rules are told by alerts (lib/observe) and directives.',
    'backoff-notify disabled-source-ip-notify',
  ],
  [
    'already',
    'Extensions that a host offers are used, and remembered when they fail.',
    'ignore-8bitmime ignore-chunking ignore-pipelining ignore-dsn',
  ],
  ['already', 'A message is synced to disk before it is accepted.', 'sync-msg-create sync-msg-update'],
  [
    'already',
    'Return paths are made for each delivery, and bounces are read by the inbound listener.',
    'bounce-processor process-x-envid process-x-job',
  ],
  [
    'already',
    'Pools name their addresses; mail names a pool by its configuration set.',
    'process-x-virtual-mta default-virtual-mta allow-unencrypted-plain-auth-smtp',
  ],
  [
    'impossible',
    'A fault of DNS takes the delays of retry. Set retry for the domain.',
    'retry-after-dns-error',
  ],
  [
    'impossible',
    "An SPF check of one's own mail is not made. The doctor shows SPF of each sender.",
    'check-spf-outbound',
  ],
  [
    'impossible',
    'A copy is not sent to anyone else. Add a Bcc when you send, or an event destination.',
    'bcc-upon-delivery',
  ],
  [
    'impossible',
    'The volume of data is not limited. Set messageRate by the usual size of a message.',
    'max-data-volume-rate backoff-max-data-volume-rate source-ip-max-data-volume-rate',
  ],
  [
    'impossible',
    'A delivery is never assumed: without the last reply it is uncertain, marked and counted, and tried again.',
    'assume-delivery-upon-data-termination-timeout',
  ],
  [
    'impossible',
    "Postern does not log in to a relay. Let the relay take mail from Postern's addresses.",
    'auth-username auth-password use-unencrypted-plain-auth',
  ],
  [
    'impossible',
    'TLS certificates of receivers are proven by MTA-STS and DANE alone.',
    'smtp-client-certificate smtp-tls-allow-tlsv1 smtp-tls-ciphers',
  ],
  ['impossible', 'Signatures do not expire. Rotate the key instead.', 'dkim-expire-after'],
  [
    'impossible',
    'Mail is not queued under another domain. Domains with the same MX share limits; set those of the site.',
    'queue-to',
  ],
  [
    'impossible',
    'A proxy is not used. Lease the address to a node that has it (egress-node/README.md).',
    'smtp-proxy-source-host smtp-proxy-host proxy-auth source-proxy',
  ],
  [
    'impossible',
    'A rate of 0 does not stop mail. Order it: postern pause, with the domain and the reason.',
    'queue-mode',
  ],
  [
    'impossible',
    'All sources of a queue at once do not end in a backoff of their own; each address is held back by its rule.',
    'backoff-upon-all-sources-disabled',
  ],
];

export const MEANINGS: ReadonlyMap<string, Meaning> = new Map(
  ROWS.flatMap(([state, text, names]) => names.split(' ').map((name) => [name, { state, text }] as const)),
);

/** Blocks and directives about other things than sending. */
export const ASIDE_BLOCKS: ReadonlySet<string> = new Set([
  'source',
  'smtp-user',
  'acct-file',
  'spool',
  'http-api',
  'http-access',
  'feedback-loop-processor',
  'bounce-processor',
  'smtp-listener',
  'tls',
  'pickup',
  'rewrite-list',
  'pattern-list',
  'email-tracking',
  'tracking-domain',
  'relay-address-list',
  'feed',
  'global-acct',
]);
const ASIDE =
  /^(postmaster|smtp-listener|http-|run-as|log-|pid-file|total-max|spool|acct-|max-msg-size|relay-|snmp|sync-|pickup|edns|dns-|domain-macro|license|archive|backoff-event|smtp-server-|smtp-service|smtp-port|rewrite-|pattern-list|always-allow|add-|remove-|hide-|process-|default-smtp|allow-|api-|reserve|io-|email-tracking|tracking-|pmta-|jobid|auto-|feedback|deliver-|retain-|require-|web-|console-|tls-|cold-|vmta-|delivered-|worker|queue-resume|min-free|ignore-)/;

export function isAside(name: string): boolean {
  return ASIDE.test(name);
}
