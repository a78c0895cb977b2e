/** The delivering half of standalone: the resolver, egress and its sources of mail, retention, suppression, metrics. */
import { X509Certificate } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import type { FeedbackForwarder } from '../../lib/accept/feedback-forwarder.ts';
import { openForgottenSites } from '../../lib/control/forgotten-sites.ts';
import type { Control } from '../../lib/control/types.ts';
import { openWarmupReports, type WarmupReports } from '../../lib/control/warmup-reports.ts';
import type { Resolver } from '../../lib/dns/resolver.ts';
import { BulkCheck } from '../../lib/doctor/bulk-check.ts';
import { OwnFaults } from '../../lib/doctor/own-faults.ts';
import { startEgress } from '../../lib/egress/egress.ts';
import { followDocuments } from '../../lib/egress/live-configuration.ts';
import type { Egress } from '../../lib/egress/types.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import type { Log } from '../../lib/log.ts';
import { AccountingLog } from '../../lib/observe/accounting.ts';
import { createMetrics, type Metrics } from '../../lib/observe/metrics.ts';
import { DEFAULT_RETRY } from '../../lib/outcome/retry.ts';
import { openPolicy } from '../../lib/policy/open.ts';
import { limitTable } from '../../lib/shaping/limits/table.ts';
import { createSmtpClient } from '../../lib/smtp/client.ts';
import { TenantProtection } from '../../lib/statistics/protection.ts';
import { SplitGuard } from '../../lib/statistics/split-guard.ts';
import { type Clock, DAY, type Random } from '../../lib/time.ts';
import { WarmupBook } from '../../lib/warmup/book.ts';
import { type DeliveryHealth, deliveryHealth } from '../service/delivery-health.ts';
import type { Settings } from '../settings.ts';
import { certificateOf } from './listeners.ts';
import { startOutcomeFeed } from './outcome-feed.ts';
import { startRetention } from './retention.ts';

export interface DeliveryOptions {
  /** Settings in force: a reload replaces them. */
  settings: () => Settings;
  engine: Engine;
  control: Control;
  resolver: Resolver;
  clock: Clock;
  random: Random;
  log: Log;
}

export interface DeliveryParts {
  egress: Egress;
  policy: Awaited<ReturnType<typeof openPolicy>>;
  warmup: WarmupBook;
  reports: WarmupReports;
  metrics: Metrics;
  health: () => DeliveryHealth;
  /** Refusals for a fault of this side. */
  faults: OwnFaults;
  /** Checks of bulk mail, and what was sent lately. */
  bulk: BulkCheck;
  /** Outcomes are followed from now on: what they tell senders goes through it. */
  forwardFeedback(forwarder: FeedbackForwarder): void;
  /** Puts the limits of reloaded settings into force, unless a stored document replaces them. */
  reload(): void;
}

/** Starts all delivering parts. The stack stops them in the reverse order. */
export async function startDelivery(
  { settings: current, engine, control, resolver, clock, random, log }: DeliveryOptions,
  stack: AsyncDisposableStack,
): Promise<DeliveryParts> {
  const settings = current();
  const policy = await openPolicy({
    file: settings.policy,
    clock,
    log,
    meter: {
      called(hook, ms) {
        metrics.policyCalls.inc({ hook });
        metrics.policySeconds.inc({ hook }, ms / 1000);
      },
      trouble: (hook, kind) => metrics.policyTrouble.inc({ hook, kind }),
    },
  });
  stack.defer(() => policy.close());
  const warmup = new WarmupBook();
  const reports = await openWarmupReports(engine.config, clock);
  stack.defer(() => reports.close());
  const forgotten = await openForgottenSites(engine.config, clock);
  stack.defer(() => forgotten.close());
  const client = createSmtpClient(clock);
  const faults = new OwnFaults(clock);
  const egress = startEgress({
    engine,
    resolver,
    clock,
    random,
    node: settings.hostname,
    ehloName: settings.hostname,
    ehloNames: settings.ehloNames,
    ips: settings.egressIps,
    pools: settings.pools,
    port: settings.smtpPort,
    routes: settings.routes,
    limits: settings.limits,
    directives: control.directives,
    laneGroups: control.laneGroups,
    hooks: policy,
    log,
    warmup,
    warmupReports: reports,
    open: (session) => client.open(session),
    forgetHost: (host, port) => client.forget(host, port),
    forgotten,
    onAlert: (alert) => log.warn('automation alert', { ...alert }),
    retry: () => retryOf(current()),
    onAttempt(item, attempt) {
      faults.note(attempt);
      metrics.attempted(item, attempt);
    },
  });
  stack.defer(() => egress.stop());
  stack.defer(
    followDocuments(egress, control.documents, warmup, (kind, error) =>
      log.error('a stored configuration is refused; what ran before goes on', { kind, error }),
    ),
  );
  const health = (): DeliveryHealth => deliveryHealth(resolver, client);
  const metrics = createMetrics(engine, {
    sessions: () => egress.gauges().connections,
    inHand: () => egress.gauges().items,
    directives: () => control.directives.figures(),
    shared: () => egress.counters,
    sharedHeld: () => egress.sharedHeld(),
    waiting: () => egress.waiting(),
    delivery: health,
    disk: () => diskOf(settings.data),
    certificateExpires: async () =>
      new X509Certificate((await certificateOf(current())).cert).validToDate.getTime(),
    now: () => clock.now(),
  });
  const retention = startRetention({ engine, clock, log, recordAge: () => current().recordDays * DAY });
  stack.defer(() => retention.stop());
  const { accountingLog: path } = settings;
  const accounting = path === undefined ? undefined : new AccountingLog({ path, log });
  const outcomes = followOutcomes({ engine, control, clock, log, metrics, accounting });
  stack.defer(() => outcomes.stop());
  return {
    egress,
    policy,
    warmup,
    reports,
    metrics,
    health,
    faults,
    bulk: new BulkCheck({ resolver, clock }),
    forwardFeedback: outcomes.forwardFeedback,
    reload() {
      egress.setStartLimits(limitTable(current().limits));
    },
  };
}

/** Follows the outcome feed once feedback can be forwarded. */
function followOutcomes(
  parts: Pick<DeliveryOptions, 'engine' | 'control' | 'clock' | 'log'> &
    Pick<DeliveryParts, 'metrics'> & { accounting: AccountingLog | undefined },
): Pick<DeliveryParts, 'forwardFeedback'> & { stop(): Promise<void> } {
  const { engine, control, clock, log, metrics, accounting } = parts;
  const protection = new TenantProtection({
    rows: engine.rows,
    directives: control.directives,
    documents: control.documents,
    tenants: control.tenants,
    clock,
    log,
    onVerdict: (verdict) => metrics.reputation.inc({ verdict }),
  });
  const { directives, documents } = control;
  const splits = new SplitGuard({ rows: engine.rows, directives, documents, clock, log });
  let feedback: FeedbackForwarder | undefined;
  const { stop } = startOutcomeFeed({
    engine,
    feedback: () => feedback,
    accounting,
    clock,
    log,
    watched: () => splits.watched,
    onCounted: async (tenants) => {
      await protection.check(tenants);
      await splits.check();
    },
  });
  return {
    stop,
    forwardFeedback(forwarder) {
      feedback = forwarder;
    },
  };
}

async function diskOf(path: string): Promise<{ total: number; free: number }> {
  const { bsize, blocks, bavail } = await statfs(path);
  return { total: bsize * blocks, free: bsize * bavail };
}

function retryOf({ retrySeconds }: Settings) {
  if (!retrySeconds) return DEFAULT_RETRY;
  return { delays: retrySeconds.map((seconds) => seconds * 1000), jitter: DEFAULT_RETRY.jitter };
}
