/**
 * The four dashboards and their panels: titles, units and PromQL. `npm run dashboards` writes them as Grafana's JSON, and
 * the rules of Prometheus, to `dashboards/` and `prometheus/`; the tests hold files and this table equal, and every
 * expression against the metrics of a running process.
 */

export interface PanelQuery {
  expr: string;
  /** Legend, with labels in `{{}}`. */
  legend: string;
}

export interface DashboardPanel {
  title: string;
  /** What to read from it, and when to worry. */
  description: string;
  /** Grafana's unit. */
  unit: 'cps' | 'percentunit' | 's' | 'short' | 'bytes' | 'bool';
  kind?: 'timeseries' | 'stat';
  queries: readonly PanelQuery[];
}

export interface ObservedDashboard {
  uid: string;
  title: string;
  panels: readonly DashboardPanel[];
}

/** Share of attempts with a result, by labels. */
function share(metric: string, results: string, by: string, range = '$__rate_interval'): string {
  const group = by === '' ? '' : ` by (${by})`;
  return `sum${group}(rate(${metric}{result=~"${results}"}[${range}])) / (sum${group}(rate(${metric}[${range}])) > 0)`;
}

const ATTEMPTS = 'postern_attempts_total';
const BY_PROVIDER = 'postern_provider_attempts_total';

const DELIVERY: ObservedDashboard = {
  uid: 'postern-delivery',
  title: 'Postern: delivery',
  panels: [
    {
      title: 'Accepted, delivered, put off, bounced',
      description:
        'Delivered follows accepted. A gap that stays is mail that waits: see the queue dashboard.',
      unit: 'cps',
      queries: [
        {
          expr: 'sum(rate(postern_accepted_total{result="accepted"}[$__rate_interval]))',
          legend: 'accepted',
        },
        { expr: `sum by (result) (rate(${ATTEMPTS}[$__rate_interval]))`, legend: '{{result}}' },
      ],
    },
    {
      title: 'Can mail leave?',
      description: '0: DNS is dead (dns), or no connection to another server is made (smtp).',
      unit: 'bool',
      kind: 'stat',
      queries: [{ expr: 'min by (part) (postern_delivery_ok)', legend: '{{part}}' }],
    },
    {
      title: 'Share put off',
      description: 'Of all attempts. Some greylisting is normal; a step is a provider that throttles.',
      unit: 'percentunit',
      queries: [{ expr: share(ATTEMPTS, 'deferred', 'class'), legend: '{{class}}' }],
    },
    {
      title: 'Share bounced',
      description: 'Of all attempts that ended. Above 5 % providers take it for a bought list.',
      unit: 'percentunit',
      queries: [
        {
          expr: `sum by (class) (rate(${ATTEMPTS}{result=~"bounced|expired"}[$__rate_interval])) / (sum by (class) (rate(${ATTEMPTS}{result=~"delivered|bounced|expired"}[$__rate_interval])) > 0)`,
          legend: '{{class}}',
        },
      ],
    },
    {
      title: 'From acceptance to delivery',
      description: 'Time until the provider took it. Bulk waits for its pace; transactional mail must not.',
      unit: 's',
      queries: ['0.5', '0.9', '0.99'].map((quantile) => ({
        expr: `histogram_quantile(${quantile}, sum by (le, class) (rate(postern_delivery_seconds_bucket[$__rate_interval])))`,
        legend: `{{class}} p${Number(quantile) * 100}`,
      })),
    },
    {
      title: 'Refused at accept',
      description: 'Submissions that were answered with an error, by its code (lib/errors.md).',
      unit: 'cps',
      queries: [
        {
          expr: 'sum by (result) (rate(postern_accepted_total{result!="accepted"}[$__rate_interval]))',
          legend: '{{result}}',
        },
      ],
    },
    {
      title: 'Accepted by door',
      description: 'Which protocol mail comes in by.',
      unit: 'cps',
      queries: [
        {
          expr: 'sum by (door) (rate(postern_accepted_total{result="accepted"}[$__rate_interval]))',
          legend: '{{door}}',
        },
      ],
    },
    {
      title: 'Bulk mail that providers refuse',
      description:
        'Without one-click unsubscribe or DMARC, or unaligned: warned of or refused, as config/bulk orders.',
      unit: 'cps',
      queries: [
        {
          expr: 'sum by (fault, mode) (rate(postern_bulk_faults_total[$__rate_interval]))',
          legend: '{{fault}} {{mode}}',
        },
      ],
    },
    {
      title: 'Tenants near their pause, and paused',
      description:
        'Bounces or complaints of a tenant came near a threshold (warn), or it was paused (pause).',
      unit: 'short',
      queries: [{ expr: 'sum by (verdict) (increase(postern_reputation_total[1h]))', legend: '{{verdict}}' }],
    },
  ],
};

const QUEUES: ObservedDashboard = {
  uid: 'postern-queues',
  title: 'Postern: queue health',
  panels: [
    {
      title: 'Ready to be sent',
      description:
        'Deliveries whose time has come, by class. A rise is a source that is faster than the providers.',
      unit: 'short',
      queries: [{ expr: 'sum by (class) (postern_lane_ready)', legend: '{{class}}' }],
    },
    {
      title: 'Oldest ready delivery',
      description: 'How long the next delivery has waited. Transactional mail beyond 15 minutes is an alarm.',
      unit: 's',
      queries: [{ expr: 'max by (class) (postern_queue_oldest_seconds)', legend: '{{class}}' }],
    },
    {
      title: 'Ready by provider group',
      description: 'One that grows while the others do not is a provider that throttles or refuses.',
      unit: 'short',
      queries: [{ expr: 'sum by (group) (postern_lane_ready)', legend: '{{group}}' }],
    },
    {
      title: 'Ready by pool',
      description: 'The ten fullest pools.',
      unit: 'short',
      queries: [{ expr: 'topk(10, sum by (pool) (postern_lane_ready))', legend: '{{pool}}' }],
    },
    {
      title: 'Waiting for a time, and in hand',
      description: 'Waiting: deferred or scheduled. In hand: held in memory by egress.',
      unit: 'short',
      queries: [
        { expr: 'sum(postern_waiting)', legend: 'waiting for a time' },
        { expr: 'sum(postern_in_hand)', legend: 'in hand' },
      ],
    },
    {
      title: 'What binds',
      description: 'The limit for which deliveries in hand wait now.',
      unit: 'short',
      queries: [{ expr: 'sum by (limit) (postern_site_waiting)', legend: '{{limit}}' }],
    },
    {
      title: 'Directives in force',
      description:
        'Orders of operators, and back-offs of rules. Dropped ones mean that the limit of directives is reached.',
      unit: 'short',
      queries: [
        { expr: 'sum by (given) (postern_directives)', legend: '{{given}}' },
        { expr: 'sum(increase(postern_directives_dropped_total[1h]))', legend: 'dropped in the last hour' },
      ],
    },
    {
      title: 'Shared limits',
      description: 'Requests for a part of a limit, those that got nothing, and those without an answer.',
      unit: 'cps',
      queries: [
        { expr: 'sum(rate(postern_shared_asked_total[$__rate_interval]))', legend: 'asked' },
        { expr: 'sum(rate(postern_shared_refused_total[$__rate_interval]))', legend: 'used up' },
        { expr: 'sum(rate(postern_shared_failed_total[$__rate_interval]))', legend: 'no answer' },
        { expr: 'sum by (of) (postern_shared_held)', legend: 'held: {{of}}' },
      ],
    },
  ],
};

const INFRASTRUCTURE: ObservedDashboard = {
  uid: 'postern-infrastructure',
  title: 'Postern: infrastructure',
  panels: [
    {
      title: 'Up, and taking mail',
      description: 'Up: Prometheus reaches the process. Storage: it takes new mail.',
      unit: 'bool',
      kind: 'stat',
      queries: [
        { expr: 'up{job="postern"}', legend: 'up {{instance}}' },
        { expr: 'min(postern_storage_ok)', legend: 'storage' },
      ],
    },
    {
      title: 'Disk',
      description:
        'Of the file system with the store. Below 10 % is an alarm; when it is full, new mail is refused.',
      unit: 'percentunit',
      queries: [{ expr: 'postern_disk_free_bytes / postern_disk_bytes', legend: 'free {{instance}}' }],
    },
    {
      title: 'Size of the store',
      description: 'It shrinks when records expire (recordDays).',
      unit: 'bytes',
      queries: [{ expr: 'postern_store_bytes', legend: '{{instance}}' }],
    },
    {
      title: 'Certificate',
      description: 'Time until it expires.',
      unit: 's',
      kind: 'stat',
      queries: [
        { expr: 'min(postern_certificate_expires_timestamp_seconds) - time()', legend: 'expires in' },
      ],
    },
    {
      title: 'CPU',
      description: 'Cores in use by the process, its signing threads included.',
      unit: 'short',
      queries: [
        { expr: 'rate(process_cpu_seconds_total{job="postern"}[$__rate_interval])', legend: '{{instance}}' },
      ],
    },
    {
      title: 'Memory',
      description: 'Resident memory and heap.',
      unit: 'bytes',
      queries: [
        { expr: 'process_resident_memory_bytes{job="postern"}', legend: 'resident {{instance}}' },
        { expr: 'nodejs_heap_size_used_bytes{job="postern"}', legend: 'heap {{instance}}' },
      ],
    },
    {
      title: 'Event loop',
      description: 'Delay of the event loop. Beyond 0.5 s everything is late.',
      unit: 's',
      queries: [
        { expr: 'nodejs_eventloop_lag_p99_seconds{job="postern"}', legend: 'p99 {{instance}}' },
        { expr: 'nodejs_eventloop_lag_p50_seconds{job="postern"}', legend: 'p50 {{instance}}' },
      ],
    },
    {
      title: 'Connections and files',
      description: 'SMTP sessions to other servers; open files against their limit.',
      unit: 'short',
      queries: [
        { expr: 'sum(postern_sessions)', legend: 'sessions' },
        { expr: 'process_open_fds{job="postern"}', legend: 'open files {{instance}}' },
        { expr: 'process_max_fds{job="postern"}', legend: 'limit {{instance}}' },
      ],
    },
    {
      title: 'Policy in TypeScript',
      description: 'Trouble: a hook that failed, overran its time or was skipped.',
      unit: 'cps',
      queries: [
        {
          expr: 'sum by (hook) (rate(postern_policy_calls_total[$__rate_interval]))',
          legend: 'calls {{hook}}',
        },
        {
          expr: 'sum by (hook, kind) (rate(postern_policy_trouble_total[$__rate_interval]))',
          legend: '{{hook}} {{kind}}',
        },
      ],
    },
    {
      title: 'Leases, and writes that were refused',
      description: 'Any of them above 0 has an entry in the runbook.',
      unit: 'short',
      queries: [
        { expr: 'sum(increase(postern_leases_lost_total[1h]))', legend: 'leases lost' },
        { expr: 'sum(increase(postern_lease_failures_total[1h]))', legend: 'renewals without an answer' },
        { expr: 'sum(increase(postern_storage_refused_total[1h]))', legend: 'writes refused for good' },
      ],
    },
  ],
};

const PROVIDERS: ObservedDashboard = {
  uid: 'postern-providers',
  title: 'Postern: by provider',
  panels: [
    {
      title: 'Delivered',
      description: 'The providers that take the most mail.',
      unit: 'cps',
      queries: [
        {
          expr: `topk(10, sum by (provider) (rate(${BY_PROVIDER}{result="delivered"}[$__rate_interval])))`,
          legend: '{{provider}}',
        },
      ],
    },
    {
      title: 'Share put off',
      description: 'A provider that throttles. GET /v1/shaping/explain says what Postern does about it.',
      unit: 'percentunit',
      queries: [{ expr: share(BY_PROVIDER, 'deferred', 'provider'), legend: '{{provider}}' }],
    },
    {
      title: 'Share bounced',
      description: 'A step at one provider alone is a block, not a list.',
      unit: 'percentunit',
      queries: [{ expr: share(BY_PROVIDER, 'bounced|expired', 'provider'), legend: '{{provider}}' }],
    },
    {
      title: 'Share put off in the last hour',
      description: 'By the recording rule, for a table or an alarm of your own.',
      unit: 'percentunit',
      kind: 'stat',
      queries: [{ expr: 'postern:deferred:share1h', legend: '{{provider}}' }],
    },
    {
      title: 'Refusals by category',
      description: "PowerMTA's categories. spam-related and policy-related are this side's.",
      unit: 'cps',
      queries: [
        {
          expr: 'sum by (category) (rate(postern_refusals_total[$__rate_interval]))',
          legend: '{{category}}',
        },
      ],
    },
    {
      title: 'Refusals for a fault of the sender',
      description:
        'The address or the domain is blocked, unauthenticated or too fast: GET /v1/health names the reply.',
      unit: 'cps',
      queries: [
        {
          expr: 'sum by (provider) (rate(postern_refusals_total{fault="sender"}[$__rate_interval]))',
          legend: '{{provider}}',
        },
      ],
    },
    {
      title: 'Waiting, and what binds',
      description: 'Deliveries in hand that wait for a connection.',
      unit: 'short',
      queries: [
        {
          expr: 'topk(15, sum by (provider, limit) (postern_site_waiting))',
          legend: '{{provider}}: {{limit}}',
        },
      ],
    },
    {
      title: 'Uncertain',
      description: 'The last byte was sent and no reply was read: the message may arrive twice (RFC 1047).',
      unit: 'short',
      queries: [
        {
          expr: `sum by (provider) (increase(${BY_PROVIDER}{result="uncertain"}[1h]))`,
          legend: '{{provider}}',
        },
      ],
    },
  ],
};

export const DASHBOARDS: readonly ObservedDashboard[] = [DELIVERY, QUEUES, INFRASTRUCTURE, PROVIDERS];
