/**
 * What Postfix's parameters are here (postconf(5), Postfix 3.7), those aside that `postfix.ts` translates. A row is a
 * state, a text for the report, and the names.
 */
import type { FindingState } from '../finding.ts';

export interface Meaning {
  readonly state: FindingState;
  readonly text: string;
}

const ROWS: readonly (readonly [FindingState, string, string])[] = [
  [
    'already',
    'A delivery has one recipient here; several in one transaction are not sent.',
    'default_destination_recipient_limit smtp_destination_recipient_limit relay_destination_recipient_limit default_recipient_limit default_extra_recipient_limit default_recipient_refill_delay default_recipient_refill_limit qmgr_message_recipient_limit qmgr_message_recipient_minimum transport_destination_recipient_limit transport_recipient_limit transport_extra_recipient_limit transport_recipient_refill_delay transport_recipient_refill_limit',
  ],
  [
    'already',
    'Concurrency follows the replies of each site by itself (lib/shaping/feedback).',
    'initial_destination_concurrency default_destination_concurrency_negative_feedback default_destination_concurrency_positive_feedback destination_concurrency_feedback_debug transport_initial_destination_concurrency transport_destination_concurrency_negative_feedback transport_destination_concurrency_positive_feedback',
  ],
  [
    'already',
    'Tenants and classes share a site by turns, so no mail waits behind a large mailing.',
    'default_delivery_slot_cost default_delivery_slot_discount default_delivery_slot_loan default_minimum_delivery_slots transport_delivery_slot_cost transport_delivery_slot_discount transport_delivery_slot_loan transport_minimum_delivery_slots qmgr_fudge_factor',
  ],
  [
    'already',
    'What is held in memory is bounded by itself.',
    'qmgr_message_active_limit in_flow_delay qmgr_clog_warn_time',
  ],
  ['already', 'What is due is found by its time, without a scan of the queue.', 'queue_run_delay'],
  [
    'already',
    'Signed bounces by mail are not sent; what becomes of mail is told by events (lib/events/README.md).',
    'bounce_queue_lifetime bounce_size_limit bounce_template_file bounce_notice_recipient 2bounce_notice_recipient delay_notice_recipient error_notice_recipient double_bounce_sender notify_classes enable_threaded_bounces delay_warning_time confirm_delay_cleared backwards_bounce_logfile_compatibility soft_bounce',
  ],
  [
    'already',
    'Connections are reused by themselves, up to messagesPerConnection and idle.',
    'smtp_connection_cache_on_demand smtp_connection_cache_destinations smtp_cache_connection connection_cache_protocol_timeout connection_cache_ttl_limit connection_cache_status_update_time smtp_tls_connection_reuse',
  ],
  [
    'already',
    'EHLO is always sent, and HELO where it is refused.',
    'smtp_always_send_ehlo smtp_never_send_ehlo',
  ],
  [
    'already',
    'Answers are read in time by a deadline for each command (limit `deadlines`).',
    'smtp_per_record_deadline smtp_per_request_deadline smtp_min_data_rate smtp_rset_timeout smtp_xforward_timeout',
  ],
  [
    'already',
    'The addresses of a destination are tried in the order of their preference, each in its turn.',
    'smtp_mx_address_limit smtp_mx_session_limit smtp_randomize_addresses smtp_balance_inet_protocols smtp_defer_if_no_mx_address_found ignore_mx_lookup_error',
  ],
  [
    'already',
    'DNS is asked for with DNSSEC where the resolver validates.',
    'smtp_host_lookup smtp_dns_support_level smtp_dns_resolver_options smtp_dns_reply_filter disable_dns_lookups lmtp_dns_support_level dnssec_probe dns_ncache_ttl_fix_enable smtp_cname_overrides_servername',
  ],
  [
    'already',
    'A 4xx or 5xx greeting makes it go to another host, and is temporary until proven permanent.',
    'smtp_skip_4xx_greeting smtp_skip_5xx_greeting smtp_skip_quit_response',
  ],
  ['already', 'Addresses in the envelope are quoted by RFC 5321.', 'smtp_quote_rfc821_envelope'],
  [
    'already',
    '8-bit and long lines are encoded before the message is signed.',
    'smtp_line_length_limit disable_mime_output_conversion smtputf8_enable smtputf8_autodetect_classes strict_smtputf8 enable_idna2003_compatibility',
  ],
  [
    'already',
    "Protocols and ciphers of TLS are Node.js' own, current ones (TLS 1.2 and later).",
    'smtp_tls_ciphers smtp_tls_mandatory_ciphers smtp_tls_exclude_ciphers smtp_tls_mandatory_exclude_ciphers smtp_tls_protocols smtp_tls_mandatory_protocols smtp_tls_cipherlist smtp_tls_CAfile smtp_tls_CApath smtp_tls_session_cache_database smtp_tls_session_cache_timeout smtp_tls_loglevel smtp_tls_note_starttls_offer smtp_tls_scert_verifydepth smtp_tls_servername smtp_tls_block_early_mail_reply tls_high_cipherlist tls_medium_cipherlist tls_low_cipherlist tls_export_cipherlist tls_null_cipherlist tls_eecdh_auto_curves tls_eecdh_strong_curve tls_eecdh_ultra_curve tls_preempt_cipherlist tls_ssl_options tls_disable_workarounds tls_append_default_CA tls_random_source tls_random_bytes tls_random_exchange_name tls_random_prng_update_period tls_random_reseed_period tls_daemon_random_bytes tls_fast_shutdown_enable tls_session_ticket_cipher tls_wildcard_matches_multiple_labels tls_legacy_public_key_fingerprints tls_config_file tls_config_name',
  ],
  [
    'already',
    'DANE is followed wherever DNSSEC proves TLSA records (RFC 7672).',
    'smtp_tls_dane_insecure_mx_policy smtp_tls_force_insecure_host_tlsa_lookup tls_dane_digest_agility tls_dane_digests tls_dane_trust_anchor_digest_enable',
  ],
  [
    'already',
    'Each attempt and its replies are in the record of the message; the log has its own settings.',
    'delay_logging_resolution_limit debug_peer_list debug_peer_level syslog_name syslog_facility maillog_file maillog_file_compressor maillog_file_prefixes maillog_file_rotate_suffix',
  ],
  ['already', 'A dead site is left alone and probed; mail to it waits in the queue.', 'transport_retry_time'],
  [
    'already',
    "VERP is always used: every return path is the delivery's own.",
    'default_verp_delimiters verp_delimiter_filter disable_verp_bounces smtpd_authorized_verp_clients authorized_verp_clients',
  ],
  ['already', 'Mail loops are cut by the count of Received fields.', 'hopcount_limit'],
  [
    'already',
    'Missing header fields are added, and the rest is sanitised, when a message is accepted.',
    'always_add_missing_headers message_drop_headers message_strip_characters cleanup_replace_stray_cr_lf undisclosed_recipients_header',
  ],
  [
    'impossible',
    'A second relay after a failure is not offered. Use a split or a reroute directive to another pool (lib/routing/README.md).',
    'smtp_fallback_relay fallback_relay best_mx_transport',
  ],
  [
    'impossible',
    "Postern does not log in to a relay. Let the relay take mail from Postern's addresses, as its own mynetworks does.",
    'smtp_sasl_auth_enable smtp_sasl_password_maps smtp_sasl_mechanism_filter smtp_sasl_security_options smtp_sasl_tls_security_options smtp_sasl_tls_verified_security_options smtp_sasl_path smtp_sasl_type smtp_sasl_auth_cache_name smtp_sasl_auth_cache_time smtp_sasl_auth_soft_bounce smtp_send_dummy_mail_auth smtp_sender_dependent_authentication send_cyrus_sasl_authzid smtp_send_xforward_command',
  ],
  [
    'impossible',
    'TLS from the first byte to another server is not offered. Use the port with STARTTLS, and tls: required.',
    'smtp_tls_wrappermode',
  ],
  [
    'impossible',
    "A certificate of one's own towards receivers is not sent. Let the relay trust Postern's addresses.",
    'smtp_tls_cert_file smtp_tls_key_file smtp_tls_chain_files smtp_tls_dcert_file smtp_tls_dkey_file smtp_tls_eccert_file smtp_tls_eckey_file',
  ],
  [
    'impossible',
    "Names and fingerprints of receivers' certificates are not pinned. MTA-STS and DANE prove them; for a partner set tls: required for its domain.",
    'smtp_tls_fingerprint_cert_match smtp_tls_fingerprint_digest smtp_tls_secure_cert_match smtp_tls_verify_cert_match smtp_tls_trust_anchor_file smtp_tls_enforce_peername smtp_tls_per_site',
  ],
  [
    'impossible',
    'Replies are not rewritten. Write a rule (lib/automation/README.md) or onReply in postern.policy.ts.',
    'smtp_reply_filter smtp_delivery_status_filter default_delivery_status_filter',
  ],
  [
    'impossible',
    'Messages are not rewritten by patterns. Use onAccept of postern.policy.ts (lib/policy/README.md).',
    'header_checks body_checks mime_header_checks nested_header_checks smtp_header_checks smtp_body_checks smtp_mime_header_checks smtp_nested_header_checks milter_header_checks body_checks_size_limit',
  ],
  [
    'impossible',
    'Addresses are not rewritten. Send with the right ones, or change them in the program that sends.',
    'smtp_generic_maps canonical_maps sender_canonical_maps recipient_canonical_maps masquerade_domains masquerade_classes masquerade_exceptions canonical_classes sender_canonical_classes recipient_canonical_classes relocated_maps propagate_unmatched_extensions remote_header_rewrite_domain append_at_myorigin append_dot_mydomain swap_bangpath allow_percent_hack',
  ],
  [
    'impossible',
    'No copy is sent to anyone else. Add a Bcc when you send, or an event destination.',
    'always_bcc sender_bcc_maps recipient_bcc_maps',
  ],
  [
    'impossible',
    'Mail is not passed through a filter. Signing is built in; other checks go into onAccept of postern.policy.ts.',
    'content_filter default_filter_nexthop non_smtpd_milters smtpd_milters smtpd_milter_maps milter_default_action milter_protocol milter_command_timeout milter_connect_timeout milter_content_timeout milter_macro_daemon_name milter_macro_defaults milter_macro_v milter_connect_macros milter_helo_macros milter_mail_macros milter_rcpt_macros milter_data_macros milter_end_of_header_macros milter_end_of_data_macros milter_unknown_command_macros internal_mail_filter_classes receive_override_options',
  ],
  [
    'impossible',
    'EHLO keywords are not left out by host. Tell it as a fault if a host needs it.',
    'smtp_discard_ehlo_keywords smtp_discard_ehlo_keyword_address_maps smtp_pix_workarounds smtp_pix_workaround_maps smtp_pix_workaround_delay_time smtp_pix_workaround_threshold_time',
  ],
  [
    'impossible',
    'A transport is not put off as a whole. Suspend its domains or its pool with a directive.',
    'defer_transports fast_flush_domains',
  ],
  [
    'impossible',
    'Lifetime of one connection by time is not limited; messagesPerConnection and idle are.',
    'smtp_connection_reuse_time_limit',
  ],
  [
    'impossible',
    'A bind failure always keeps mail back here: no other address sends in place of the right one.',
    'smtp_bind_address_enforce',
  ],
];

/** By name. */
export const MEANINGS: ReadonlyMap<string, Meaning> = new Map(
  ROWS.flatMap(([state, text, names]) => names.split(' ').map((name) => [name, { state, text }] as const)),
);

/** Parameters about other things than sending: they receive, store, deliver locally, or run Postfix's processes. */
const ASIDE =
  /^(smtp_address_verify|smtpd_|postscreen_|lmtp_|local_|virtual_|mailbox_|mail_|alias_|address_verify_|anvil_|tlsproxy_|dnsblog_|postlog|postmulti_|multi_instance_|qmqpd_|proxy|cyrus_|hash_queue_|ipc_|daemon_|process_|command_|config_|data_|default_(database|privs|process|rbl)|deliver_lock|dont_remove|duplicate_filter|empty_address_|enable_(errors|long|original)|execution_|expand_|export_|extract_|fallback_transport|fast_flush|fault_|fork_|forward_|frozen_|header_(address|from|size)|helpful_|home_|html_|import_|info_log|invalid_|known_tcp|lmdb_|luser|manpage|maps_rbl|max_(idle|use)|message_reject|meta_dir|mime_(boundary|nesting)|multi_recipient|mydestination|myorigin|mynetworks_style|newaliases|non_fqdn|openssl_path|owner_|parent_domain|permit_mx|pickup|pipe_|plaintext|prepend_|qmgr_(daemon|ipc)|queue_(directory|file|minfree|service)|rbl_|readme|recipient_delimiter|reject_|relay_(clientcerts|domains|recipient|transport)|require_home|reset_|resolve_|respectful|rewrite_|sample_|sender_based|sendmail_|service_|setgid|shlib|show_|showq|stale_|stress|strict_|sun_|tcp_windowsize|tls_server_sni|tlsmgr|trace_|trigger_|unknown_|unverified_|access_map|allow_(mail|min|untrusted)|alternate_config|application_event|authorized_(flush|mailq|submit)|backwards|berkeley|biff|bounce_service|broken_|cleanup_service|compatibility|connection_cache_service|debugger|defer_(code|service)|delay_|detect_8bit|disable_(mime_input|vrfy)|error_service|flush_service|line_length|master_service|transport_time_limit|virtual_|undisclosed)|_(directory|path|owner)$/;

/** What a parameter is that `postfix.ts` does not translate; undefined: not one of Postfix. */
export function meaningOf(name: string): Meaning | undefined {
  const known = MEANINGS.get(name);
  if (known) return known;
  return ASIDE.test(name) ? { state: 'aside', text: 'It does not concern sending.' } : undefined;
}
