/** The HTTP API on Lambda: the accept pipeline over an engine, behind the same application as in all processes. */

import { loggedBulk } from '../lib/accept/bulk.ts';
import { openPipeline, type PipelineOptions } from '../lib/accept/open.ts';
import { createApi } from '../lib/api/app.ts';
import type { ConsoleOptions, createConsole } from '../lib/console/console.ts';
import { type Installed, IpInventory } from '../lib/control/ip-inventory.ts';
import type { Control } from '../lib/control/types.ts';
import { createResolver } from '../lib/dns/resolver.ts';
import { dnsServers } from '../lib/dns/servers.ts';
import { type DomainCheckOptions, DomainChecks } from '../lib/doctor/domain-check.ts';
import { HealthChecks } from '../lib/doctor/health-check.ts';
import { addressChecks } from '../lib/doctor/host-checks.ts';
import type { AwsEngine } from '../lib/engine/aws/open.ts';
import { asPosternError, type PosternError } from '../lib/errors.ts';
import { DestinationStates } from '../lib/events/destination-state.ts';
import { EventIndex } from '../lib/events/event-index.ts';
import { openStoredEvents } from '../lib/events/stored-events.ts';
import type { ApiDeps } from '../lib/http/deps.ts';
import type { Fetch } from '../lib/http/function-url.ts';
import type { Log } from '../lib/log.ts';
import { createReportMailboxes } from '../lib/mail/report-mailbox.ts';
import { createMailMetrics } from '../lib/observe/mail-metrics.ts';
import { PacedFlush } from '../lib/observe/paced-flush.ts';
import type { PolicyMetrics } from '../lib/observe/policy-metrics.ts';
import { DAY } from '../lib/time.ts';
import { createVerificationLinks } from '../lib/tracking/verification-links.ts';
import packageJson from '../package.json' with { type: 'json' };
import type { ApiSettings } from './environment.ts';
import type { Output } from './output.ts';

/**
 * Maximum size of a message, bytes: it must fit, in base64 inside JSON, into the 6 MB that Lambda passes to a
 * function. Larger messages are submitted to a server that accepts them.
 */
const MAX_MESSAGE = 4 * 1024 * 1024;

export interface ApiServiceOptions
  extends Omit<PipelineOptions, 'engine' | 'settings' | 'metrics' | 'maxMessageBytes' | 'onResult'> {
  settings: ApiSettings & { region: string };
  engine: AwsEngine;
  output: Output;
  /** Meter of the policy. */
  policyMetrics?: PolicyMetrics;
}

/** Opens the API. */
export async function openService(options: ApiServiceOptions): Promise<Fetch> {
  const { engine, settings, clock, random, policy, policyMetrics, output } = options;
  const { region, accountId, hostname, trackingUrl } = settings;
  const metrics = createMailMetrics(output.emf);
  const counts = new PacedFlush(clock, () => metrics.flush());
  const resolver = createResolver({ servers: dnsServers(undefined), clock });
  const { accept, control } = await openPipeline({
    ...options,
    metrics,
    maxMessageBytes: MAX_MESSAGE,
    bulk: loggedBulk(resolver, clock, output.log),
  });
  const mailboxes = createReportMailboxes(options.returnPathKey);
  const { records, rows } = engine;
  const keep = settings.eventDays * DAY;
  const context = { region, accountId, hostname };
  const pull = keep > 0 ? new EventIndex({ rows, records, context, clock, keep }) : undefined;
  const events = openStoredEvents({
    states: new DestinationStates(rows, clock, random),
    queue: engine.events,
    replays: keep > 0,
    clock,
  });
  const reportAddress = (domain: string, mailFrom: string | undefined): string =>
    mailboxes.make(domain, mailFrom ?? settings.returnPathDomain);
  const installed = { ips: [], lanes: settings.pools };
  const { app } = createApi({
    accept,
    control,
    engine,
    installed,
    ...doctorOf(control, installed, { settings, resolver, clock, reportAddress }),
    clock,
    region,
    accountId,
    hostname,
    forwardsFeedback: false,
    reportAddress,
    trackingUrl,
    // Callers reach it by the name that the world does, and no front passes on another one.
    verification: {
      links: createVerificationLinks(options.trackingKey),
      url: (host) => `https://${host}`,
    },
    version: packageJson.version,
    log: output.log,
    policy,
    events,
    pull,
    limits: { messageBytes: MAX_MESSAGE },
  });
  const console = lazyConsole({ fetch: app.fetch, masterKey: options.masterKey, clock, log: output.log });
  return async (request, env) => {
    let response: Response;
    try {
      // This process may have been stopped between two calls, and a key revoked meanwhile.
      await engine.config.catchUp();
      const { pathname } = new URL(request.url);
      const open = pathname === '/console' || pathname.startsWith('/console/');
      response = await (open ? (await console()).fetch(request, env) : app.fetch(request, env));
    } catch (cause) {
      response = away(asPosternError(cause), output.log);
    }
    if (metrics.pending) counts.run();
    await control.keyUse?.flush();
    if (policyMetrics) output.emf.put({}, policyMetrics.take(policy?.state()));
    return response;
  };
}

/** Loads the console when a browser first asks for it, so that no other call waits for it at a start. */
function lazyConsole(options: ConsoleOptions): () => Promise<ReturnType<typeof createConsole>> {
  let opened: ReturnType<typeof createConsole> | undefined;
  return async () => (opened ??= (await import('../lib/console/console.ts')).createConsole(options));
}

/** Checks of domains, and of what DNS says of the source addresses that documents name. */
function doctorOf(
  control: Control,
  installed: Installed,
  {
    settings,
    resolver,
    clock,
    reportAddress,
  }: Pick<ApiServiceOptions, 'settings'> & Pick<DomainCheckOptions, 'resolver' | 'clock' | 'reportAddress'>,
): Pick<ApiDeps, 'domains' | 'health'> {
  const { returnPathDomain } = settings;
  const sources = (): string[] => new IpInventory(control.documents, installed).ips;
  return {
    domains: new DomainChecks({
      control,
      resolver,
      clock,
      sources,
      returnPathDomain: () => returnPathDomain,
      bounces: { domain: returnPathDomain },
      reportAddress,
    }),
    health: new HealthChecks({
      checks: addressChecks({ resolver, clock, sources: async () => sources().map((ip) => ({ ip })) }),
      clock,
    }),
  };
}

/** The answer while the configuration cannot be read: clients of every API retry it. */
function away(error: PosternError, log: Log): Response {
  const { http, ses } = error.entry;
  log.error('configuration cannot be read', { error });
  return Response.json({ message: error.message }, { status: http, headers: { 'x-amzn-errortype': ses } });
}
