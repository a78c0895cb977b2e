/** What Exim's options are here, those aside that the other files of this folder translate (OptionLists, Exim 4.95). */
import type { FindingState } from '../finding.ts';
import type { Meaning } from '../postfix/meanings.ts';

const ROWS: readonly (readonly [FindingState, string, string])[] = [
  [
    'already',
    'A delivery has one recipient here; several in one transaction are not sent.',
    'max_rcpt remote_max_parallel multi_domain remote_sort_domains address_retry_include_sender hosts_try_prdr prdr_enable',
  ],
  [
    'already',
    'The addresses of a destination are tried in the order of their preference, each in its turn.',
    'hosts_max_try hosts_max_try_hardlimit hosts_randomize retry_include_ip_address check_secondary_mx same_domain_copy_routing mx_domains mx_fail_domains host_find_failed host_all_ignored widen_domains qualify_single search_parents rewrite_headers dns_qualify_single dns_search_parents gethostbyname hosts_override allow_localhost self check_srv srv_fail_domains ipv4_only ipv4_prefer fail_defer_domains',
  ],
  [
    'already',
    'DNS is asked for with DNSSEC where the resolver validates.',
    'dns_dnssec_ok dnssec_require_domains dnssec_request_domains dns_dane_ok dns_use_edns0 dns_retrans dns_retry dns_cname_loops dns_again_means_nonexist dns_check_names_pattern dns_ipv4_lookup dns_trust_aa',
  ],
  [
    'already',
    'DANE is followed wherever DNSSEC proves TLSA records (RFC 7672).',
    'hosts_try_dane dane_require_tls_ciphers',
  ],
  [
    'already',
    "Protocols and ciphers of TLS are Node.js' own, current ones (TLS 1.2 and later).",
    'tls_require_ciphers gnutls_compat_mode gnutls_require_kx gnutls_require_mac gnutls_require_protocols tls_dh_min_bits tls_dh_max_bits openssl_options tls_sni tls_alpn host_name_extract tls_resumption_hosts hosts_nopass_tls hosts_noproxy_tls',
  ],
  [
    'already',
    'A host whose TLS fails is spoken to in clear unless TLS is required.',
    'tls_tempfail_tryclear',
  ],
  [
    'already',
    'Extensions that a host offers are used, and remembered when they fail.',
    'hosts_require_helo hosts_require_helo hosts_avoid_esmtp hosts_avoid_pipelining hosts_pipe_connect hosts_try_fastopen hosts_try_chunking keepalive dscp size_addition utf8_downconvert',
  ],
  [
    'already',
    '8-bit and long lines are encoded before the message is signed.',
    'message_linelength_limit accept_8bitmime allow_utf8_domains',
  ],
  [
    'already',
    'Signed are the headers of RFC 6376, From twice, with relaxed canonicalization and SHA-256.',
    'dkim_canon dkim_sign_headers dkim_hash dkim_identity',
  ],
  ['already', 'Mail of an identity is always signed.', 'dkim_strict'],
  [
    'already',
    'No bounce is sent by mail; what becomes of mail is told by events (lib/events/README.md).',
    'bounce_message_file bounce_message_text bounce_return_body bounce_return_message bounce_return_size_limit bounce_sender_authentication delay_warning delay_warning_condition warn_message_file errors_copy errors_reply_to dsn_from dsn_advertise_hosts freeze_tell auto_thaw ignore_bounce_errors_after move_frozen_messages return_size_limit errors_to bounce_return_linesize_limit',
  ],
  ['already', 'Return paths are made for each delivery.', 'return_path'],
  [
    'already',
    'What is due is found by its time, without queue runners.',
    'queue_run_max queue_run_in_order queue_only queue_only_file queue_only_load queue_only_load_latch queue_only_override deliver_queue_load_max queue_smtp_domains queue_domains queue_fast_ramp hold_domains queue_list_requires_admin retry_data_expire retry_use_local_part delay_after_cutoff',
  ],
  [
    'already',
    'The transport belongs to its routers; it sends by SMTP.',
    'driver transport more unseen address_data address_test caseful_local_part check_local_user cannot_route_message condition debug_print expn fail_verify fail_verify_recipient fail_verify_sender fallback_hosts_randomize initgroups log_as_local pass_on_timeout pass_router redirect_router require_files router_home_directory set translate_ip_address user group verify verify_only verify_recipient verify_sender disable_logging dns_lookup protocol',
  ],
  [
    'impossible',
    'A second host after a failure is not offered. Use a split or a reroute directive to another pool (lib/routing/README.md).',
    'fallback_hosts',
  ],
  [
    'impossible',
    "Postern does not log in to a relay. Let the relay take mail from Postern's addresses.",
    'hosts_require_auth hosts_try_auth authenticate_hosts authenticated_sender authenticated_sender_force',
  ],
  [
    'impossible',
    "A certificate of one's own towards receivers is not sent.",
    'tls_certificate tls_privatekey',
  ],
  [
    'impossible',
    'Certificates of receivers are proven by MTA-STS and DANE alone.',
    'tls_verify_certificates tls_verify_hosts tls_try_verify_hosts tls_verify_cert_hostnames hosts_require_ocsp hosts_request_ocsp hosts_require_alpn tls_crl tls_ocsp_file',
  ],
  [
    'impossible',
    'Header fields are not added or removed by transport. Use onAccept of postern.policy.ts, or send them so.',
    'headers_add headers_remove headers_rewrite headers_only body_only envelope_to_add envelope_to_remove delivery_date_add delivery_date_remove return_path_add return_path_remove rcpt_include_affixes',
  ],
  [
    'impossible',
    'Mail is not passed through a filter. Use onAccept of postern.policy.ts.',
    'transport_filter transport_filter_timeout system_filter system_filter_user system_filter_group system_filter_directory_transport system_filter_file_transport system_filter_pipe_transport system_filter_reply_transport local_scan_timeout',
  ],
  [
    'impossible',
    'No copy is sent to another transport. Add a Bcc when you send, or an event destination.',
    'shadow_transport shadow_condition',
  ],
  ['impossible', 'Signatures have no time limits. Rotate the key instead.', 'dkim_timestamps'],
  ['impossible', "ARC is for mail that is forwarded; Postern sends its own users' mail.", 'arc_sign'],
  [
    'impossible',
    'A proxy is not used. Run an egress node where the address is (egress-node/README.md).',
    'socks_proxy',
  ],
  ['impossible', 'Events of a transport are not run as expansions. Follow /v1/events.', 'event_action'],
];

export const MEANINGS: ReadonlyMap<string, Meaning> = new Map(
  ROWS.flatMap(([state, text, names]) => names.split(' ').map((name) => [name, { state, text }] as const)),
);

/** Options about other things than sending. */
const ASIDE =
  /^(acl_|add_environment|admin_|allow_(domain|insecure|mx)|auth_|av_|bi_command|callout_|check_(log|rfc|spool)|chunking_|commandline|daemon_|dkim_verify|dmarc_|dns_csa|drop_cr|envelope|exim_|extract_|extra_local|finduser|gecos|gnutls_allow|hosts?_(lookup|reject)|header(s_charset|_line|_max)|helo_(accept|allow|lookup|try|verify)|home_directory|current_directory|transport_(current|home)|ibase|ignore_from|keep_(env|malformed)|ldap|local_(from|interfaces|sender)|localhost_number|log_|lookup|max_user|message_(body|id|logs)|mysql|never_users|notifier|oracle|percent|perl|pgsql|pid_file|pipelining|preserve|print|process_log|prod_|proxy|qualify_(domain|recipient)|receive|received_|recipient|redis|rfc1413|sender_unqualified|server|slow_lookup|smtp_(accept|active|backlog|banner|check|connect_backlog|enforce|etrn|load|max|ratelimit|receive|reserve|return)|smtputf8|spamd|split_spool|spool|spf_|sqlite|strict_acl|strip|syslog|tcp_|timezone|timeout_frozen|tls_(advertise|dhparam|eccurve|on_connect|remember)|trusted|unknown_|untrusted|uucp|write_reject|debug_store|debug_transport|domainlist|hostlist|addresslist|localpartlist|deliver_drop|disable_fsync|limits_advertise|hosts_connection_nolog|hosts_proxy|hosts_treat_as_local|event_|local_part|localpart|macro|panic|sqlite|xclient|wellknown)/;

/** What an option is; undefined: not one of Exim as far as is known. */
export function meaningOf(name: string): Meaning | undefined {
  const known = MEANINGS.get(name);
  if (known) return known;
  return ASIDE.test(name) ? { state: 'aside', text: 'It does not concern sending.' } : undefined;
}
