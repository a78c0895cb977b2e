/**
 * The whole service in one process on the embedded engine: accept behind its doors, egress, inbound, suppression.
 *
 * Starts from the store outwards, so that nothing is taken in before it can be kept, and stops from the doors
 * inwards, so that nothing is answered that is not durable.
 */
import { hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import ipaddr from 'ipaddr.js';
import { createAccept } from '../../lib/accept/accept.ts';
import { ownCertificate, readCertificate } from '../../lib/certificate.ts';
import { openControl } from '../../lib/control/control.ts';
import { loadMasterKey } from '../../lib/control/master-key.ts';
import { pauseAll } from '../../lib/control/paused-start.ts';
import { smtpPassword } from '../../lib/control/smtp-password.ts';
import type { AccessKey, Control } from '../../lib/control/types.ts';
import { openWarmupReports } from '../../lib/control/warmup-reports.ts';
import { createResolver } from '../../lib/dns/resolver.ts';
import { dnsServers } from '../../lib/dns/servers.ts';
import { startEgress } from '../../lib/egress/egress.ts';
import { followDocuments } from '../../lib/egress/live-configuration.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { openEvents } from '../../lib/events/open.ts';
import { startInbound } from '../../lib/inbound/inbound.ts';
import { warmupFeedback } from '../../lib/inbound/warmup-feedback.ts';
import type { Log } from '../../lib/log.ts';
import { createReturnPaths } from '../../lib/mail/return-path.ts';
import { createSigner } from '../../lib/mail/signer.ts';
import { createMetrics } from '../../lib/observe/metrics.ts';
import { DEFAULT_RETRY } from '../../lib/outcome/retry.ts';
import { openPolicy } from '../../lib/policy/open.ts';
import { defaultBudget } from '../../lib/smtp-server/octet-budget.ts';
import {
  DATA_DEADLINE,
  MAX_CLIENTS,
  type Submission,
  startSubmission,
} from '../../lib/submission/submission.ts';
import { systemClock } from '../../lib/time.ts';
import { createTrackingLinks } from '../../lib/tracking/links.ts';
import { WarmupBook } from '../../lib/warmup/book.ts';
import type { Endpoint, Settings } from '../settings.ts';
import type { Listening } from './banner.ts';
import { ensureFirstKey } from './first-key.ts';
import { startProofTimer } from './proof-timer.ts';
import { startRetention } from './retention.ts';
import { startSuppressionFeed } from './suppression-feed.ts';
import { startWeb } from './web.ts';

const DAY = 86_400_000;
/** How far ahead a message may be scheduled. */
const MAX_SCHEDULE = 30 * DAY;

const { version } = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8'),
) as {
  version: string;
};

export interface Standalone {
  listening: Listening;
  /** The first administrator key, only when it was made at this start. */
  firstKey?: { key: AccessKey; smtpPassword: string };
  engine: Engine;
  control: Control;
  /** Stops in good order: doors, egress (in-flight mail ends, the rest goes back), store. */
  stop(): Promise<void>;
}

export async function startStandalone(settings: Settings, log: Log): Promise<Standalone> {
  const clock = systemClock;
  const random = Math.random;
  const opened: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    for (const close of opened.splice(0).reverse()) await close();
  };
  try {
    const masterKey = await loadMasterKey(settings.data);
    const engine = await openEmbedded({ directory: settings.data, clock });
    opened.push(() => engine.close());
    const resolver = createResolver({ servers: dnsServers(settings.dns), clock });
    const control = await openControl({
      config: engine.config,
      masterKey,
      clock,
      verifyIdentities: settings.verifyIdentities,
      resolveTxt: async (name) => {
        const answer = await resolver.resolve(name, 'TXT');
        if (answer.kind === 'failed') throw new Error(answer.text);
        return answer.kind === 'found' ? answer.records.map((record) => [record]) : [];
      },
    });
    opened.push(() => control.close());
    const proofs = startProofTimer({ identities: control.identities, clock, log });
    opened.push(() => proofs.stop());
    if (settings.startPaused) await pauseAll(control.directives);
    const firstKey = await ensureFirstKey(control, settings);
    const signer = createSigner();
    opened.push(() => signer.close());
    const returnPaths = createReturnPaths(derive(masterKey, 'return path'));
    const trackingLinks = createTrackingLinks(derive(masterKey, 'tracking'));
    const trackingUrl = settings.tracking?.url;
    const tls = settings.tls
      ? readCertificate(settings.tls)
      : await ownCertificate(settings.data, settings.hostname);

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
    opened.push(() => policy.close());
    const warmup = new WarmupBook();
    const reports = await openWarmupReports(engine.config, clock);
    opened.push(() => reports.close());
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
      onAlert: (alert) => log.warn('automation alert', { ...alert }),
      retry: retryOf(settings),
      onAttempt: (item, attempt) => {
        metrics.attempts.inc({ lane: item.lane, result: attempt.uncertain ? 'uncertain' : attempt.state });
      },
    });
    opened.push(() => egress.stop());
    opened.push(
      followDocuments(egress, control.documents, warmup, (kind, error) =>
        log.error('a stored configuration is refused; what ran before goes on', { kind, error }),
      ),
    );
    const metrics = createMetrics(engine, {
      sessions: () => egress.gauges().connections,
      inHand: () => egress.gauges().items,
      directives: () => control.directives.figures(),
      shared: () => egress.counters,
      sharedHeld: () => egress.sharedHeld(),
      waiting: () => egress.waiting(),
    });
    const retention = startRetention({ engine, clock, log, recordAge: settings.recordDays * DAY });
    opened.push(() => retention.stop());
    const suppression = startSuppressionFeed({ engine, clock, log });
    opened.push(() => suppression.stop());

    const events = await openEvents({
      engine,
      destinations: control.eventDestinations,
      resolver,
      context: { region: settings.region, accountId: settings.accountId, hostname: settings.hostname },
      clock,
      log,
      webhookAllow: settings.webhookAllow,
    });
    opened.push(() => events.close());

    const accept = createAccept({
      engine,
      control,
      signer,
      returnPaths,
      tracking: { links: trackingLinks, url: trackingUrl },
      clock,
      random,
      region: settings.region,
      policy: {
        maxMessageBytes: settings.maxMessageBytes,
        maxRecipients: settings.maxRecipients,
        maxAge: settings.maxAgeDays * DAY,
        maxSchedule: MAX_SCHEDULE,
        hasPool: (name, sender) => egress.hasPool(name, sender),
        group: (domain) => control.laneGroups.group(domain),
        returnPathDomain: (identity, fromDomain) =>
          identity.mailFromDomain ?? settings.returnPathDomain ?? fromDomain,
      },
      hooks: policy,
      onResult: (door, result) => metrics.accepted.inc({ door, result }),
    });

    const budget = defaultBudget(totalmem());
    const inbound = await startInbound({
      listen: settings.inbound,
      hostname: settings.hostname,
      ownsDomain: (domain) =>
        domain === settings.returnPathDomain || control.identities.find(domain) !== undefined,
      engine,
      returnPaths,
      budget,
      clock,
      log,
      onFeedback: warmupFeedback({ records: engine.records, reports, book: warmup, clock }),
      tls,
    });
    opened.push(() => inbound.close());

    const submissionAt = ({ host, port }: Endpoint, implicitTls: boolean): Promise<Submission> =>
      startSubmission({
        host,
        port,
        implicitTls,
        hostname: settings.hostname,
        tls,
        relayFrom: settings.relayFrom,
        allowInsecureAuth: isLoopback(host),
        maxMessageBytes: settings.maxMessageBytes,
        maxRecipients: settings.maxRecipients,
        dataDeadline: DATA_DEADLINE,
        maxClients: MAX_CLIENTS,
        region: settings.region,
        accept,
        control,
        budget,
        clock,
        log,
      });
    const submission = await submissionAt(settings.submission, false);
    opened.push(() => submission.close());
    const submissionTls = settings.submissionTls
      ? await submissionAt(settings.submissionTls, true)
      : undefined;
    if (submissionTls) opened.push(() => submissionTls.close());

    const web = await startWeb({
      listen: settings.api,
      tls: settings.apiTls ? tls : undefined,
      api: {
        accept,
        control,
        engine,
        installed: { ips: settings.egressIps, pools: settings.pools },
        clock,
        region: settings.region,
        accountId: settings.accountId,
        hostname: settings.hostname,
        trackingUrl,
        version,
        log,
        explain: (query) => egress.explain(query),
        waitStatus: (messageId, n) => egress.waitStatus(messageId, n),
        policy,
        events,
        limits: { messageBytes: settings.maxMessageBytes },
      },
      links: trackingLinks,
      metrics,
    });
    opened.push(() => web.close());

    return {
      engine,
      control,
      firstKey: firstKey && { key: firstKey, smtpPassword: smtpPassword(firstKey.secret, settings.region) },
      listening: {
        api: format(web.address),
        submission: format(submission.address),
        submissionTls: submissionTls && format(submissionTls.address),
        inbound: format(inbound.address),
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A secret of its own for each use, so that one that leaks opens nothing else. */
function derive(masterKey: Buffer, use: string): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey, Buffer.alloc(0), `postern ${use}`, 32));
}

function retryOf(settings: Settings) {
  const schedule = settings.retrySeconds
    ? { delays: settings.retrySeconds.map((seconds) => seconds * 1000), jitter: DEFAULT_RETRY.jitter }
    : DEFAULT_RETRY;
  return () => schedule;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || (ipaddr.isValid(host) && ipaddr.process(host).range() === 'loopback');
}

function format({ address, port, family }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}
