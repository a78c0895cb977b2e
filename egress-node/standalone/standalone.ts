/**
 * The whole service in one process on the embedded engine: accept behind its doors, egress, inbound, suppression.
 *
 * Starts from the store outwards, so that nothing is taken in before it can be kept, and stops from the doors
 * inwards, so that nothing is answered that is not durable.
 */
import { hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type ServerType, serve } from '@hono/node-server';
import ipaddr from 'ipaddr.js';
import { createApi } from '../../functions/api/app.ts';
import { createTracking } from '../../functions/tracking.ts';
import { createAccept } from '../../lib/accept/accept.ts';
import { openControl } from '../../lib/control/control.ts';
import { loadMasterKey } from '../../lib/control/master-key.ts';
import { openPolicy } from '../../lib/control/policy/open.ts';
import { smtpPassword } from '../../lib/control/smtp-password.ts';
import type { AccessKey, Control } from '../../lib/control/types.ts';
import { openWarmupReports } from '../../lib/control/warmup-reports.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { Outcome } from '../../lib/engine/items.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { PosternError } from '../../lib/errors.ts';
import { createReturnPaths } from '../../lib/mail/return-path.ts';
import { createSigner } from '../../lib/mail/signer.ts';
import { createTrackingLinks } from '../../lib/mail/tracking-links.ts';
import type { Log } from '../../lib/observe/log.ts';
import { createMetrics } from '../../lib/observe/metrics.ts';
import { DEFAULT_RETRY } from '../../lib/outcome/retry.ts';
import { WarmupBook } from '../../lib/shaping/warmup/book.ts';
import { systemClock } from '../../lib/time.ts';
import { ownCertificate, readCertificate } from '../certificate.ts';
import { createResolver } from '../dns/resolver.ts';
import { dnsServers } from '../dns/servers.ts';
import { startEgress } from '../egress/egress.ts';
import { followDocuments } from '../egress/live-configuration.ts';
import { startInbound } from '../inbound/inbound.ts';
import { warmupFeedback } from '../inbound/warmup-feedback.ts';
import type { Endpoint, Settings } from '../settings.ts';
import { DATA_DEADLINE, MAX_CLIENTS, type Submission, startSubmission } from '../submission/submission.ts';
import type { Listening } from './banner.ts';
import { startRetention } from './retention.ts';
import { startSuppressionFeed } from './suppression-feed.ts';

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
    });
    const retention = startRetention({ engine, clock, log, recordAge: settings.recordDays * DAY });
    opened.push(() => retention.stop());
    const suppression = startSuppressionFeed({ engine, clock, log });
    opened.push(() => suppression.stop());

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
        hasPool: (name) => egress.hasPool(name),
        group: (domain) => control.laneGroups.group(domain),
        returnPathDomain: (identity, fromDomain) =>
          identity.mailFromDomain ?? settings.returnPathDomain ?? fromDomain,
      },
      hooks: policy,
      onResult: (door, result) => metrics.accepted.inc({ door, result }),
    });

    const inbound = await startInbound({
      listen: settings.inbound,
      hostname: settings.hostname,
      engine,
      returnPaths,
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
        clock,
        log,
      });
    const submission = await submissionAt(settings.submission, false);
    opened.push(() => submission.close());
    const submissionTls = settings.submissionTls
      ? await submissionAt(settings.submissionTls, true)
      : undefined;
    if (submissionTls) opened.push(() => submissionTls.close());

    const app = createApi({
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
      policy,
      limits: { messageBytes: settings.maxMessageBytes },
    });
    const tracking = createTracking({
      links: trackingLinks,
      report: (outcome) => report(engine.records, outcome),
      clock,
      log,
    });
    app.route('/', tracking);
    app.get('/healthz', async (c) => {
      const health = await engine.health();
      return c.json({ ...health, version }, health.ok ? 200 : 503);
    });
    app.get('/metrics', async (c) => {
      const { contentType, body } = await metrics.text();
      return c.body(body, 200, { 'content-type': contentType });
    });
    const api = await listen(app.fetch as Parameters<typeof serve>[0]['fetch'], settings, tls);
    opened.push(() => closeServer(api));

    return {
      engine,
      control,
      firstKey: firstKey && { key: firstKey, smtpPassword: smtpPassword(firstKey.secret, settings.region) },
      listening: {
        api: format(api.address() as AddressInfo),
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

/** The key of the settings, or at the very first start a new one, which is returned to be shown once. */
async function ensureFirstKey(control: Control, settings: Settings): Promise<AccessKey | undefined> {
  const { accessKeyId: id, secretAccessKey: secret } = settings;
  if (id !== undefined && secret !== undefined) {
    const known = control.keys.find(id);
    if (known && known.secret !== secret) {
      throw new PosternError(
        'already_exists',
        `POSTERN_SECRET_ACCESS_KEY is not the secret of the stored key ${id}. Revoke that key first, or unset both variables.`,
      );
    }
    if (!known) await control.keys.create({ tenant: 'default', admin: true, name: 'first', id, secret });
    return undefined;
  }
  if (control.keys.list().length > 0) return undefined;
  return control.keys.create({ tenant: 'default', admin: true, name: 'first' });
}

/** Keeps an open or a click with its message; of a message that is gone there is nothing to tell. */
async function report(records: Engine['records'], outcome: Outcome): Promise<void> {
  const message = await records.message(outcome.messageId);
  if (message) await records.append([{ ...outcome, tenant: message.tenant }]);
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

function listen(
  fetch: Parameters<typeof serve>[0]['fetch'],
  settings: Settings,
  tls: { key: string; cert: string },
): Promise<ServerType> {
  const { host, port } = settings.api;
  return new Promise((resolve, reject) => {
    const server = settings.apiTls
      ? serve({ fetch, hostname: host, port, createServer: createHttpsServer, serverOptions: tls }, () =>
          resolve(server),
        )
      : serve({ fetch, hostname: host, port }, () => resolve(server));
    server.once('error', reject);
  });
}

function closeServer(server: ServerType): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    if ('closeIdleConnections' in server) server.closeIdleConnections();
  });
}

function format({ address, port, family }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}
