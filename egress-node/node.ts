/**
 * `npm run egress`: an egress node on the AWS engine. It sends from its own addresses, receives bounces and
 * complaints on port 25, and reports its state in metrics. Everything else is in SQS, DynamoDB and S3: a node can be
 * lost at any instant. It is healthy (`/healthz` at POSTERN_API) while its storage answers and it may send.
 */
import { mkdtemp } from 'node:fs/promises';
import { hostname as osHostname, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { ownCertificate } from '../lib/certificate.ts';
import { Contacts } from '../lib/contacts/contacts.ts';
import { contactChanger } from '../lib/contacts/unsubscribe.ts';
import { CONFIG_KINDS } from '../lib/control/config-kinds.ts';
import { openDirectives } from '../lib/control/directives.ts';
import { openDocuments } from '../lib/control/documents.ts';
import { openForgottenSites } from '../lib/control/forgotten-sites.ts';
import { openLaneGroups } from '../lib/control/lane-groups.ts';
import { openWarmupReports } from '../lib/control/warmup-reports.ts';
import { createResolver } from '../lib/dns/resolver.ts';
import { dnsServers } from '../lib/dns/servers.ts';
import { startEgress } from '../lib/egress/egress.ts';
import { followDocuments } from '../lib/egress/live-configuration.ts';
import type { Egress } from '../lib/egress/types.ts';
import { openAws } from '../lib/engine/aws/open.ts';
import { readSecret } from '../lib/engine/aws/secrets.ts';
import type { Engine } from '../lib/engine/ports.ts';
import { startInbound } from '../lib/inbound/inbound.ts';
import { warmupFeedback } from '../lib/inbound/warmup-feedback.ts';
import { createLog } from '../lib/log.ts';
import { createReferences } from '../lib/mail/message-reference.ts';
import { createReportMailboxes } from '../lib/mail/report-mailbox.ts';
import { createReturnPaths } from '../lib/mail/return-path.ts';
import { createUnsubscribeAddresses } from '../lib/mail/unsubscribe-address.ts';
import { createEmf, STAGE_VARIABLE } from '../lib/observe/emf.ts';
import { startNodeMetrics } from '../lib/observe/node-metrics.ts';
import { PolicyMetrics } from '../lib/observe/policy-metrics.ts';
import { openDeployedPolicy } from '../lib/policy/deployed.ts';
import { createSmtpClient } from '../lib/smtp/client.ts';
import { defaultBudget } from '../lib/smtp-server/octet-budget.ts';
import { createSteadyClock } from '../lib/time.ts';
import { WarmupBook } from '../lib/warmup/book.ts';
import { deliveryHealth } from './service/delivery-health.ts';
import { openHealth } from './service/health.ts';
import { type NodeSettings, readNodeSettings } from './service/node-environment.ts';
import { preflight } from './service/preflight.ts';
import { runService, type Service } from './service/service.ts';
import { readSettings, settingVariables } from './settings.ts';

/** Bounces arrive at the standard port (RFC 5321 §4.5.4.2). */
const INBOUND = { host: '0.0.0.0', port: 25 };
/**
 * Maximum time of a stop, ms: the process is gone by then even when the storage does not answer; its mail is leased
 * again elsewhere.
 */
const DRAIN = 29_000;

const clock = createSteadyClock();
const write = (line: string): void => void process.stdout.write(line);
const log = createLog({ level: 'info', now: () => clock.now(), write });

/** Starts the node. Its stop ends in-flight mail and returns the rest. */
async function start({ resources, node, sources, secrets }: NodeSettings): Promise<Service> {
  await using stack = new AsyncDisposableStack();
  const {
    api,
    dns,
    smtpPort,
    routes,
    inbound: listen,
  } = readSettings(settingVariables(process.env), {}, { inbound: INBOUND });
  await preflight({ environment: process.env, node, url: resources.queueUrlPrefix, now: () => clock.now() });
  const policyMetrics = new PolicyMetrics();
  const [engine, returnPathKey, policy] = await Promise.all([
    // systemd makes it (StateDirectory=), and it outlives the process.
    openAws({ resources, clock, log, journal: process.env.STATE_DIRECTORY }),
    readSecret('return-path.key', { bucket: secrets }),
    openDeployedPolicy({ clock, log, meter: policyMetrics }),
  ]);
  stack.defer(() => engine.close());
  const { laneGroups, directives, documents, warmupReports, forgotten } = await openConfiguration(
    engine,
    stack,
  );
  const hostname = sources[0]!.hostname;
  const warmup = new WarmupBook();
  const resolver = createResolver({ servers: dnsServers(dns), clock });
  const client = createSmtpClient(clock);
  let sending: Egress | undefined;
  // Opened before anything is sent: a node that cannot start must not cut off mail under way.
  const health = await openHealth(api, async () => ({
    ...(await conditionOf(engine, sending)),
    delivery: deliveryHealth(resolver, client),
  }));
  stack.defer(() => health.close());
  const inbound = await startInbound({
    listen,
    hostname,
    engine,
    returnPaths: createReturnPaths(returnPathKey),
    references: createReferences(returnPathKey),
    unsubscribeAddresses: createUnsubscribeAddresses(returnPathKey),
    reportMailboxes: createReportMailboxes(returnPathKey),
    unsubscribe: contactChanger(new Contacts(engine.rows, clock)),
    budget: defaultBudget(totalmem()),
    clock,
    log,
    onFeedback: warmupFeedback({ records: engine.records, reports: warmupReports, book: warmup, clock }),
    tls: await ownCertificate(
      process.env.RUNTIME_DIRECTORY ?? (await mkdtemp(join(tmpdir(), 'postern-'))),
      hostname,
    ),
  });
  const egress = startEgress({
    engine,
    resolver,
    open: (session) => client.open(session),
    forgetHost: (host, port) => client.forget(host, port),
    forgotten,
    clock,
    random: Math.random,
    // While an instance is replaced, two hosts have the name of one node.
    node: `${node}@${osHostname()}`,
    ehloName: hostname,
    ...addressesOf(sources),
    othersServe: true,
    port: smtpPort,
    routes,
    directives,
    hooks: policy,
    log,
    laneGroups,
    warmup,
    warmupReports,
    onAlert: (alert) => log.warn('automation alert', { ...alert }),
    onAttempt: (item) => metrics.attempted(item),
  });
  sending = egress;
  const unfollow = followDocuments(egress, documents, warmup, (kind, error) =>
    log.error('a stored document cannot be applied', { kind, error }),
  );
  const metrics = startNodeMetrics({
    emf: createEmf({ now: () => clock.now(), write, stage: process.env[STAGE_VARIABLE] }),
    clock,
    node,
    leasesHeld: leasesHeld(egress),
    shared: () => egress.counters,
    besides: () => policyMetrics.take(policy?.state()),
  });
  stack.defer(() => metrics.stop());
  stack.defer(() => policy?.close());
  stack.defer(unfollow);
  stack.defer(async () => {
    const before = egress.counters.released;
    await Promise.all([inbound.close(), egress.stop()]);
    log.info('stopped', { node, handedBack: egress.counters.released - before });
  });
  log.info('started', { node, sources });
  const owned = stack.move();
  return { stop: () => owned.disposeAsync() };
}

/** Opens the configuration that operators change while the node runs. */
async function openConfiguration({ config }: Engine, stack: AsyncDisposableStack) {
  const [laneGroups, directives, documents, warmupReports, forgotten] = await Promise.all([
    openLaneGroups({ config, clock }),
    openDirectives({ config, clock, sweeps: ['rules'] }),
    openDocuments({ config, clock, kinds: CONFIG_KINDS }),
    openWarmupReports(config, clock),
    openForgottenSites(config, clock),
  ]);
  stack.defer(() => directives.close());
  stack.defer(() => warmupReports.close());
  stack.defer(() => forgotten.close());
  stack.defer(() => laneGroups.close());
  stack.defer(() => documents.close());
  return { laneGroups, directives, documents, warmupReports, forgotten };
}

/** The node's own addresses, their names, and the pools that they are in. */
function addressesOf(sources: NodeSettings['sources']) {
  // Without a prototype, because a pool may be called `constructor`.
  const pools = Object.create(null) as Record<string, string[]>;
  for (const { ip, pools: names } of sources) for (const name of names) (pools[name] ??= []).push(ip);
  return {
    ehloNames: Object.fromEntries(sources.map((source) => [source.ip, source.hostname])),
    ips: sources.map(({ ip }) => ip),
    localAddresses: Object.fromEntries(sources.flatMap(({ ip, local }) => (local ? [[ip, local]] : []))),
    pools,
    serves: Object.keys(pools),
  };
}

/**
 * Sources whose lease is held. The log shows why another is not: a node on AWS offers no other view. It is not logged
 * at the first check, when no lease has been requested yet.
 */
function leasesHeld(egress: Egress): () => number {
  let first = true;
  return () => {
    const sources = egress.sources();
    const without = first ? [] : sources.filter(({ usable }) => !usable);
    first = false;
    for (const { ip, trouble } of without) log.warn('lease not held', { ip, trouble });
    return sources.filter(({ usable }) => usable).length;
  };
}

/** Whether the engine answers, and mail may leave from one of the node's addresses. */
async function conditionOf(engine: Engine, egress: Egress | undefined) {
  const { ok, detail } = await engine.health();
  const sources = egress?.sources() ?? [];
  return { ok: ok && sources.some(({ usable }) => usable), detail, sources, ...egress?.gauges() };
}

await runService(() => start(readNodeSettings(process.env)), { log, drain: DRAIN });
