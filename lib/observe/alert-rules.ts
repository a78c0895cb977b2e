/** The alert rules of Prometheus, and the recording rules that they use. Each alert has its entry in RUNBOOK.md. */

export interface AlertRule {
  /** Name of the alert, and heading of its entry. */
  alert: string;
  expr: string;
  /** How long it holds before it rings. */
  for: string;
  /** `page`: a person is woken. `ticket`: it has until tomorrow. */
  severity: 'page' | 'ticket';
  summary: string;
}

export interface RecordingRule {
  record: string;
  expr: string;
}

export const RECORDING_RULES: readonly RecordingRule[] = [
  {
    record: 'postern:attempts:increase1h',
    expr: 'sum by (provider) (increase(postern_provider_attempts_total[1h]))',
  },
  {
    record: 'postern:deferred:share1h',
    expr: 'sum by (provider) (increase(postern_provider_attempts_total{result="deferred"}[1h])) / (postern:attempts:increase1h > 0)',
  },
  {
    record: 'postern:bounced:share1h',
    expr: 'sum(increase(postern_attempts_total{result=~"bounced|expired"}[1h])) / (sum(increase(postern_attempts_total{result=~"delivered|bounced|expired"}[1h])) > 0)',
  },
];

export const ALERT_RULES: readonly AlertRule[] = [
  {
    alert: 'PosternDown',
    expr: 'up{job="postern"} == 0',
    for: '2m',
    severity: 'page',
    summary: '{{ $labels.instance }} does not answer.',
  },
  {
    alert: 'PosternStorageRefuses',
    expr: 'postern_storage_ok == 0',
    for: '1m',
    severity: 'page',
    summary: 'The store of {{ $labels.instance }} takes no new mail.',
  },
  {
    alert: 'PosternDnsDown',
    expr: 'postern_delivery_ok{part="dns"} == 0',
    for: '2m',
    severity: 'page',
    summary: 'No name server answers {{ $labels.instance }}: no mail leaves.',
  },
  {
    alert: 'PosternOutwardBlocked',
    expr: 'postern_delivery_ok{part="smtp"} == 0',
    for: '2m',
    severity: 'page',
    summary: '{{ $labels.instance }} reaches no other mail server.',
  },
  {
    alert: 'PosternNothingDelivered',
    expr: '(sum(increase(postern_attempts_total{result="delivered"}[15m])) or vector(0)) == 0 and sum(increase(postern_attempts_total[15m])) > 20',
    for: '5m',
    severity: 'page',
    summary: 'Attempts are made, and none has delivered for 15 minutes.',
  },
  {
    alert: 'PosternTransactionalWaits',
    expr: 'max(postern_queue_oldest_seconds{class="transactional"}) > 900',
    for: '5m',
    severity: 'page',
    summary: 'Transactional mail waits for more than 15 minutes.',
  },
  {
    alert: 'PosternBulkWaits',
    expr: 'max(postern_queue_oldest_seconds{class="bulk"}) > 21600',
    for: '15m',
    severity: 'ticket',
    summary: 'Bulk mail waits for more than 6 hours.',
  },
  {
    alert: 'PosternDeferralsHigh',
    expr: 'postern:deferred:share1h > 0.3 and postern:attempts:increase1h > 100',
    for: '15m',
    severity: 'ticket',
    summary: '{{ $labels.provider }} puts off {{ $value | humanizePercentage }} of all attempts.',
  },
  {
    alert: 'PosternBouncesHigh',
    expr: 'postern:bounced:share1h > 0.05 and sum(postern:attempts:increase1h) > 1000',
    for: '5m',
    severity: 'ticket',
    summary: '{{ $value | humanizePercentage }} of what ended within an hour bounced.',
  },
  {
    alert: 'PosternSenderRefused',
    expr: 'sum by (provider) (increase(postern_refusals_total{fault="sender",category="spam-related"}[1h])) > 50',
    for: '5m',
    severity: 'ticket',
    summary: '{{ $labels.provider }} refuses mail for its address or domain.',
  },
  {
    alert: 'PosternTenantPaused',
    expr: 'sum(increase(postern_reputation_total{verdict="pause"}[15m])) > 0',
    for: '0m',
    severity: 'ticket',
    summary: 'A tenant was paused for its bounces or complaints.',
  },
  {
    alert: 'PosternDiskLow',
    expr: 'postern_disk_free_bytes / postern_disk_bytes < 0.1',
    for: '10m',
    severity: 'ticket',
    summary: '{{ $value | humanizePercentage }} of the disk of {{ $labels.instance }} are free.',
  },
  {
    alert: 'PosternDiskFillsUp',
    expr: 'predict_linear(postern_disk_free_bytes[6h], 86400) < 0 and postern_disk_free_bytes / postern_disk_bytes < 0.5',
    for: '1h',
    severity: 'ticket',
    summary: 'The disk of {{ $labels.instance }} is full within a day if it goes on like this.',
  },
  {
    alert: 'PosternCertificateExpires',
    expr: 'postern_certificate_expires_timestamp_seconds - time() < 14 * 86400',
    for: '1h',
    severity: 'ticket',
    summary: 'The certificate of {{ $labels.instance }} expires in {{ $value | humanizeDuration }}.',
  },
  {
    alert: 'PosternFilesNearLimit',
    expr: 'process_open_fds{job="postern"} / process_max_fds{job="postern"} > 0.8',
    for: '5m',
    severity: 'ticket',
    summary: '{{ $labels.instance }} has used {{ $value | humanizePercentage }} of its open files.',
  },
  {
    alert: 'PosternEventLoopSlow',
    expr: 'nodejs_eventloop_lag_p99_seconds{job="postern"} > 0.5',
    for: '10m',
    severity: 'ticket',
    summary: '{{ $labels.instance }} is late by {{ $value | humanizeDuration }}.',
  },
  {
    alert: 'PosternPolicyTrouble',
    expr: 'sum by (hook, kind) (increase(postern_policy_trouble_total[15m])) > 10',
    for: '5m',
    severity: 'ticket',
    summary: 'The hook {{ $labels.hook }} of the policy: {{ $labels.kind }}.',
  },
  {
    alert: 'PosternDirectivesDropped',
    expr: 'increase(postern_directives_dropped_total[1h]) > 0',
    for: '0m',
    severity: 'ticket',
    summary: 'Automatic directives are dropped: their limit is reached.',
  },
  {
    alert: 'PosternLeasesLost',
    expr: 'increase(postern_leases_lost_total[15m]) > 0',
    for: '0m',
    severity: 'ticket',
    summary: 'Source addresses of {{ $labels.instance }} stopped sending: their lease ran out.',
  },
  {
    alert: 'PosternWritesRefused',
    expr: 'increase(postern_storage_refused_total[15m]) > 0',
    for: '0m',
    severity: 'page',
    summary: 'The store of {{ $labels.instance }} refused outcomes for good; the log has each.',
  },
];
