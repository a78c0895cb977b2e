/**
 * The whole service in one process on the embedded engine: accept behind its listeners, egress, inbound, suppression.
 *
 * It starts from the store outwards, so that no mail is accepted before it can be stored, and stops in the reverse
 * order, so that no message is confirmed that is not durable.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FeedbackForwarder } from '../../lib/accept/feedback-forwarder.ts';
import { Contacts } from '../../lib/contacts/contacts.ts';
import { contactChanger } from '../../lib/contacts/unsubscribe.ts';
import { Backups } from '../../lib/control/backup/backups.ts';
import { openControl } from '../../lib/control/control.ts';
import { loadMasterKey } from '../../lib/control/master-key.ts';
import { pauseAll } from '../../lib/control/paused-start.ts';
import { smtpPassword } from '../../lib/control/smtp-password.ts';
import type { AccessKey, Control } from '../../lib/control/types.ts';
import { createResolver, type DnsRecords, type Resolver } from '../../lib/dns/resolver.ts';
import { dnsServers } from '../../lib/dns/servers.ts';
import type { Egress } from '../../lib/egress/types.ts';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { openEvents } from '../../lib/events/open.ts';
import { FeedPull } from '../../lib/events/pull.ts';
import type { ApiDeps } from '../../lib/http/deps.ts';
import { warmupFeedback } from '../../lib/inbound/warmup-feedback.ts';
import type { Log } from '../../lib/log.ts';
import type { EventContext } from '../../lib/outcome/mail-object.ts';
import { systemClock } from '../../lib/time.ts';
import type { Settings } from '../settings.ts';
import { openAccept } from './accept.ts';
import type { Listening } from './banner.ts';
import { bucketsOf } from './buckets.ts';
import { startDelivery } from './delivery.ts';
import { openDoctor } from './doctor.ts';
import { ensureConfiguredKey, makeFirstKey } from './first-key.ts';
import { startJobs } from './job-timer.ts';
import { certificateOf, startListeners } from './listeners.ts';
import { startProofTimer } from './proof-timer.ts';
import { readerReports } from './reader-reports.ts';
import { applied, type Reloaded, withReloaded } from './reload.ts';

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
  /** Applies the settings that can change while the service runs, and reads the certificate again. */
  reload(settings: Settings): Promise<Reloaded>;
  /** Stops in good order: listeners, egress (in-flight mail ends, the rest goes back), store. */
  stop(): Promise<void>;
}

export async function startStandalone(started: Settings, log: Log): Promise<Standalone> {
  await using stack = new AsyncDisposableStack();
  const clock = systemClock;
  let settings = started;
  const current = (): Settings => settings;

  const masterKey = await loadMasterKey(settings.data);
  const engine = await engineOf(settings, stack, log);
  const resolver = createResolver({ servers: dnsServers(settings.dns), clock });
  const control = await controlOf(settings, masterKey, engine, resolver);
  stack.defer(() => control.close());
  const proofs = startProofTimer({ identities: control.identities, clock, log });
  stack.defer(() => proofs.stop());
  if (settings.startPaused) await pauseAll(control.directives);
  await ensureConfiguredKey(control, settings);
  const delivery = await startDelivery(
    { settings: current, engine, control, resolver, clock, random: Math.random, log },
    stack,
  );
  const { egress, policy, metrics, warmup, reports } = delivery;
  const context = contextOf(settings);
  const events = stack.adopt(await eventsOf(settings, engine, control, resolver, log), (one) => one.close());
  const { accept, tokens, apiLinks, ...trackingLinks } = openAccept(
    { settings: current, engine, control, masterKey, delivery, clock, random: Math.random, log },
    stack,
  );
  const contacts = new Contacts(engine.rows, clock);
  const jobs = stack.adopt(startJobs({ engine, context, clock, log }), (one) => one.stop());
  const unsubscribe = contactChanger(contacts);
  delivery.forwardFeedback(new FeedbackForwarder({ accept, control, context, clock, log }));
  const parts = { engine, control, resolver, delivery, clock };
  const reportAddress = (domain: string, mailFrom: string | undefined): string =>
    tokens.reportMailboxes.make(domain, mailFrom ?? settings.returnPathDomain ?? domain);
  const listeners = await startListeners(
    {
      settings,
      accept,
      control,
      inbound: {
        engine,
        ...tokens,
        unsubscribe,
        ownsAny: async (domains) =>
          domains.includes(settings.returnPathDomain ?? '') || control.identities.haveAny(domains),
        onFeedback: warmupFeedback({ records: engine.records, reports, book: warmup, clock }),
      },
      web: {
        api: {
          accept,
          control,
          engine,
          ...installationOf(settings),
          ...openDoctor({ settings: current, ...parts, reportAddress }),
          clock,
          reportAddress,
          ...apiLinks,
          wakeJobs: () => jobs.wake(),
          log,
          ...ordersAndReasons(egress),
          backups: openBackups(settings, engine, log, stack),
          policy,
          events,
          pull: new FeedPull({ records: engine.records, context, clock }),
        },
        masterKey,
        ...trackingLinks,
        contacts,
        report: readerReports({ records: engine.records, unsubscribe }),
        metrics,
        delivery: delivery.health,
      },
      clock,
      log,
    },
    stack,
  );
  // Last of all: a start that fails, because a port is taken, must not leave a key that was never shown.
  const firstKey = await makeFirstKey(control);

  const owned = stack.move();
  return {
    engine,
    control,
    firstKey: firstKey && { key: firstKey, smtpPassword: smtpPassword(firstKey.secret, settings.region) },
    listening: listeners.listening,
    async reload(next) {
      // Read first: an unreadable file leaves everything as it was.
      const certificate = await certificateOf(next);
      const outcome = applied(settings, next);
      settings = withReloaded(settings, next);
      delivery.reload();
      listeners.renew(certificate);
      return outcome;
    },
    stop: () => owned.disposeAsync(),
  };
}

/** What the API shows of the installation itself. */
function installationOf(settings: Settings) {
  const { egressIps: ips, pools, tracking, maxMessageBytes: messageBytes } = settings;
  return {
    ...contextOf(settings),
    installed: { ips, pools },
    forwardsFeedback: true,
    trackingUrl: tracking?.url,
    version,
    limits: { messageBytes },
  };
}

/** What the API shows of the egress of this process, and has it do. */
function ordersAndReasons(
  egress: Egress,
): Pick<ApiDeps, 'explain' | 'forgetSite' | 'sources' | 'held' | 'waitStatus' | 'laneRest'> {
  return {
    explain: (query) => egress.explain(query),
    forgetSite: (site) => egress.forget(site),
    sources: () => egress.sources(),
    held: () => egress.held(),
    waitStatus: (messageId, n) => egress.waitStatus(messageId, n),
    laneRest: (lane) => egress.laneRest(lane),
  };
}

async function engineOf(settings: Settings, stack: AsyncDisposableStack, log: Log): Promise<Engine> {
  const buckets = await bucketsOf(settings, stack);
  const options = { directory: settings.data, clock: systemClock, buckets, log };
  return stack.adopt(await openEmbedded(options), (one) => one.close());
}

function openBackups(
  { data: directory }: Settings,
  engine: Engine,
  log: Log,
  stack: AsyncDisposableStack,
): Backups {
  const backups = new Backups({ directory, engine, clock: systemClock, log, version });
  stack.defer(() => backups.stop());
  return backups;
}

/** Where events come from. */
function contextOf({ region, accountId, hostname }: Settings): EventContext {
  return { region, accountId, hostname };
}

function eventsOf(
  settings: Settings,
  engine: Engine,
  { eventDestinations: destinations }: Control,
  resolver: Resolver,
  log: Log,
): ReturnType<typeof openEvents> {
  const { webhookAllow } = settings;
  const context = contextOf(settings);
  return openEvents({ engine, destinations, resolver, context, clock: systemClock, log, webhookAllow });
}

/** Records as DNS has them now. @throws Error when no server answers. */
async function recordsOf<T extends 'TXT' | 'MX'>(
  resolver: Resolver,
  name: string,
  type: T,
): Promise<DnsRecords[T][]> {
  const answer = await resolver.resolve(name, type, true);
  if (answer.kind === 'failed') throw new Error(answer.text);
  return answer.kind === 'found' ? answer.records : [];
}

function controlOf(
  settings: Settings,
  masterKey: Buffer,
  engine: Engine,
  resolver: Resolver,
): Promise<Control> {
  return openControl({
    config: engine.config,
    keyUse: { rows: engine.rows, random: Math.random },
    masterKey,
    clock: systemClock,
    verifyIdentities: settings.verifyIdentities,
    // Past the cache: who has just published a record must not wait for the end of a negative answer's life.
    resolveTxt: async (name) => (await recordsOf(resolver, name, 'TXT')).map((record) => [record]),
    resolveMx: (name) => recordsOf(resolver, name, 'MX'),
    bounces: { domain: settings.returnPathDomain, host: settings.hostname },
    dkimZone: settings.dkimZone === undefined ? undefined : { name: settings.dkimZone, elsewhere: false },
  });
}
