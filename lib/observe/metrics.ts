/**
 * Metrics for Prometheus. Labels stay few (pool, class, provider, state, door): a tenant or a domain as a label would
 * make a series for each value. Pools are bounded (lane-labels.ts).
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Attempt, QueueItem } from '../engine/items.ts';
import type { Engine } from '../engine/ports.ts';
import { AttemptMetrics } from './attempt-metrics.ts';
import { type LaneLabel, LaneLabels } from './lane-labels.ts';
import type { SharedCounts, SharedHeld, WaitingFigure } from './limit-figures.ts';

export interface Metrics {
  accepted: Counter<'door' | 'result'>;
  policyCalls: Counter<'hook'>;
  policySeconds: Counter<'hook'>;
  policyTrouble: Counter<'hook' | 'kind'>;
  reputation: Counter<'verdict'>;
  bulkFaults: Counter<'fault' | 'mode'>;
  /** Counts an attempt. */
  attempted(item: Pick<QueueItem, 'lane' | 'acceptedAt'>, attempt: Attempt): void;
  /** The text of the `/metrics` page. */
  text(): Promise<{ contentType: string; body: string }>;
}

/** Gauges that are read at each scrape. */
export interface Readings {
  /** Open SMTP sessions. */
  sessions(): number;
  /** Deliveries that egress holds in memory. */
  inHand(): number;
  /** Directives in force, by origin, and dropped so far. */
  directives(): { operator: number; automatic: number; dropped: number };
  /** Counts of leases and shared limits since the start. */
  shared(): Readonly<SharedCounts>;
  /** Share of shared limits that egress holds. */
  sharedHeld(): SharedHeld;
  /** Deliveries that wait for a connection, by the limit that binds now. */
  waiting(): WaitingFigure[];
  /** Whether mail can leave; `dns` and `smtp` describe a failure. */
  delivery(): { ok: boolean; dns?: string; smtp?: string };
  /** Octets of the file system with the store. */
  disk(): Promise<{ total: number; free: number }>;
  /** When the certificate of the listeners expires, since the epoch, ms. */
  certificateExpires(): Promise<number>;
  now(): number;
}

const SHARED: Readonly<Record<keyof SharedCounts, [name: string, help: string]>> = {
  leasesLost: [
    'postern_leases_lost_total',
    'Source addresses that stopped sending because their lease ran out.',
  ],
  leaseFailures: ['postern_lease_failures_total', 'Renewals of a lease that were not answered.'],
  bucketRequests: ['postern_shared_asked_total', 'Requests for a part of a shared limit.'],
  bucketsEmpty: ['postern_shared_refused_total', 'Those that were given nothing: the limit is used up.'],
  bucketFailures: ['postern_shared_failed_total', 'Those that were not answered.'],
  storageRefused: [
    'postern_storage_refused_total',
    'Settlements and outcomes that the storage refused for good; the log has each.',
  ],
};

export function createMetrics(engine: Engine, readings: Readings): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const labels = new LaneLabels();
  const attempts = new AttemptMetrics(registers, labels);
  registerQueue(registers, engine, labels, readings);
  registerStorage(registers, engine, readings);
  registerEgress(registers, readings);
  registerLimits(registers, readings);
  return {
    policyCalls: new Counter({
      name: 'postern_policy_calls_total',
      help: 'Calls of the hooks of postern.policy.ts that ended.',
      labelNames: ['hook'],
      registers,
    }),
    policySeconds: new Counter({
      name: 'postern_policy_seconds_total',
      help: 'Time that these calls took.',
      labelNames: ['hook'],
      registers,
    }),
    policyTrouble: new Counter({
      name: 'postern_policy_trouble_total',
      help: 'Hooks that failed (threw, or answered what is no answer), overran their time, or were skipped (too many calls waited, or one too long).',
      labelNames: ['hook', 'kind'],
      registers,
    }),
    bulkFaults: new Counter({
      name: 'postern_bulk_faults_total',
      help: 'Bulk mail that a large provider would refuse, by fault (no_one_click, no_dmarc, unaligned) and mode (warn, refuse).',
      labelNames: ['fault', 'mode'],
      registers,
    }),
    reputation: new Counter({
      name: 'postern_reputation_total',
      help: 'Tenants whose rates of bounces or complaints came near their pause (warn), or that were paused for them (pause).',
      labelNames: ['verdict'],
      registers,
    }),
    accepted: new Counter({
      name: 'postern_accepted_total',
      help: 'Submissions by door and result (accepted, or the code of the error).',
      labelNames: ['door', 'result'],
      registers,
    }),
    attempted: (item, attempt) => attempts.note(item, attempt),
    async text() {
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

function registerQueue(registers: Registry[], engine: Engine, labels: LaneLabels, { now }: Readings): void {
  new Gauge({
    name: 'postern_lane_ready',
    help: 'Deliveries ready to be sent, by lane. Pools beyond 50 are counted as *.',
    labelNames: ['pool', 'class', 'group'],
    registers,
    async collect() {
      const sums = new Map<string, { label: LaneLabel; ready: number }>();
      for (const { lane, ready } of await engine.queue.lanes()) {
        const label = labels.of(lane);
        const key = `${label.pool}:${label.class}:${label.group}`;
        const sum = sums.get(key);
        if (sum) sum.ready += ready;
        else sums.set(key, { label, ready });
      }
      this.reset();
      for (const { label, ready } of sums.values()) this.set(label, ready);
    },
  });
  new Gauge({
    name: 'postern_queue_oldest_seconds',
    help: 'How long ago the next ready delivery was accepted, by class; 0: none is ready.',
    labelNames: ['class'],
    registers,
    async collect() {
      const oldest: Record<string, number> = { transactional: 0, bulk: 0 };
      const at = now();
      for (const depth of (await engine.queue.depths()).depths) {
        const cls = depth.lane.split(':')[1]!;
        if (depth.ready > 0 && depth.oldest !== undefined && cls in oldest)
          oldest[cls] = Math.max(oldest[cls]!, (at - depth.oldest) / 1000);
      }
      for (const [cls, seconds] of Object.entries(oldest)) this.set({ class: cls }, seconds);
    },
  });
  new Gauge({
    name: 'postern_waiting',
    help: 'Deliveries that wait for a time.',
    registers,
    async collect() {
      this.set((await engine.ledger.waiting()).count);
    },
  });
}

function registerStorage(registers: Registry[], engine: Engine, readings: Readings): void {
  /** A figure that cannot be read is no number, and fails no scrape. */
  const gauge = (name: string, help: string, read: () => Promise<number>): void => {
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        this.set(await read().catch(() => Number.NaN));
      },
    });
  };
  gauge('postern_storage_ok', '1 while the storage takes new mail.', () =>
    engine.health().then(
      ({ ok }) => (ok ? 1 : 0),
      () => 0,
    ),
  );
  gauge('postern_store_bytes', 'Size of the store.', async () => (await engine.health()).bytes ?? Number.NaN);
  gauge(
    'postern_disk_bytes',
    'Size of the file system with the store.',
    async () => (await readings.disk()).total,
  );
  gauge('postern_disk_free_bytes', 'What is free of it.', async () => (await readings.disk()).free);
  gauge(
    'postern_certificate_expires_timestamp_seconds',
    'When the certificate of the listeners expires.',
    async () => (await readings.certificateExpires()) / 1000,
  );
}

function registerEgress(registers: Registry[], readings: Readings): void {
  new Gauge({
    name: 'postern_delivery_ok',
    help: '1 while mail can leave: DNS answers (dns), connections to other hosts are made (smtp).',
    labelNames: ['part'],
    registers,
    collect() {
      const { dns, smtp } = readings.delivery();
      this.set({ part: 'dns' }, dns === undefined ? 1 : 0);
      this.set({ part: 'smtp' }, smtp === undefined ? 1 : 0);
    },
  });
  new Gauge({
    name: 'postern_sessions',
    help: 'SMTP sessions open to other servers.',
    registers,
    collect() {
      this.set(readings.sessions());
    },
  });
  new Gauge({
    name: 'postern_in_hand',
    help: 'Deliveries that egress holds in memory.',
    registers,
    collect() {
      this.set(readings.inHand());
    },
  });
  new Gauge({
    name: 'postern_directives',
    help: 'Directives in force, by origin (operator, or automatic: rules and the policy).',
    labelNames: ['given'],
    registers,
    collect() {
      const { operator, automatic } = readings.directives();
      this.set({ given: 'operator' }, operator);
      this.set({ given: 'automatic' }, automatic);
    },
  });
  new Counter({
    name: 'postern_directives_dropped_total',
    help: 'Automatic directives dropped because the limit of directives was reached.',
    registers,
    collect() {
      this.reset();
      this.inc(readings.directives().dropped);
    },
  });
}

function registerLimits(registers: Registry[], readings: Readings): void {
  for (const [count, [name, help]] of Object.entries(SHARED)) {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(readings.shared()[count as keyof SharedCounts]);
      },
    });
  }
  new Gauge({
    name: 'postern_shared_held',
    help: 'What egress holds of shared limits: tokens of rates and quotas, permits of concurrency.',
    labelNames: ['of'],
    registers,
    collect() {
      for (const [kind, held] of Object.entries(readings.sharedHeld())) this.set({ of: kind }, held);
    },
  });
  new Gauge({
    name: 'postern_site_waiting',
    help: 'Deliveries in hand that wait for a connection, by provider and by what binds now: a limit, learnt, back-off, warm-up, source IP, none.',
    labelNames: ['limit', 'provider'],
    registers,
    collect() {
      this.reset();
      for (const { limit, provider, waiting } of readings.waiting()) this.set({ limit, provider }, waiting);
    },
  });
}
