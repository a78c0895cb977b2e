/** The listeners of standalone: inbound reports, SMTP submission, HTTP. */
import type { AddressInfo } from 'node:net';
import { totalmem } from 'node:os';
import ipaddr from 'ipaddr.js';
import type { Accept } from '../../lib/accept/types.ts';
import { type Certificate, ownCertificate, readCertificate } from '../../lib/certificate.ts';
import { isToken } from '../../lib/control/dkim-keys.ts';
import type { Control } from '../../lib/control/types.ts';
import { serialAt, type Zone } from '../../lib/dns/zone.ts';
import { startZoneServer, type ZoneServer } from '../../lib/dns/zone-server.ts';
import type { InboundOptions } from '../../lib/inbound/inbound.ts';
import { startInbound } from '../../lib/inbound/inbound.ts';
import type { Log } from '../../lib/log.ts';
import { ProxyProtocol } from '../../lib/proxy-protocol.ts';
import { defaultBudget } from '../../lib/smtp-server/octet-budget.ts';
import {
  DATA_DEADLINE,
  MAX_CLIENTS,
  type SubmissionServer,
  startSubmission,
} from '../../lib/submission/submission.ts';
import type { Clock } from '../../lib/time.ts';
import type { Endpoint, Settings } from '../settings.ts';
import type { Listening } from './banner.ts';
import { startWeb, type WebOptions } from './web.ts';

export interface ListenersOptions {
  settings: Settings;
  accept: Accept;
  control: Control;
  inbound: Pick<
    InboundOptions,
    | 'engine'
    | 'returnPaths'
    | 'references'
    | 'unsubscribeAddresses'
    | 'reportMailboxes'
    | 'unsubscribe'
    | 'onFeedback'
    | 'ownsAny'
  >;
  web: Omit<WebOptions, 'listen' | 'tls' | 'proxies'>;
  clock: Clock;
  log: Log;
}

export interface Listeners {
  listening: Listening;
  /** Sets another certificate for connections that begin from now on. */
  renew(certificate: Certificate): void;
}

/** Loads the certificate that the settings name, or the data directory's own. */
export async function certificateOf({ tls, data, hostname }: Settings): Promise<Certificate> {
  return tls ? readCertificate(tls) : ownCertificate(data, hostname);
}

/** Opens the listeners. The stack closes each: messages that arrived are still answered. */
export async function startListeners(
  { settings, accept, control, inbound, web, clock, log }: ListenersOptions,
  stack: AsyncDisposableStack,
): Promise<Listeners> {
  const tls = await certificateOf(settings);
  const budget = defaultBudget(totalmem());
  const proxies = new ProxyProtocol({
    from: settings.proxyFrom,
    clock,
    onRefused: (proxy, why) => log.warn('a proxy sent no PROXY header that is one', { proxy, why }),
  });
  const reports = await startInbound({
    listen: settings.inbound,
    proxies,
    hostname: settings.hostname,
    ...inbound,
    budget,
    clock,
    log,
    tls,
  });
  stack.defer(() => reports.close());

  const submissionAt = async ({ host, port }: Endpoint, implicitTls: boolean): Promise<SubmissionServer> => {
    const submission = await startSubmission({
      host,
      port,
      implicitTls,
      proxies,
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
    stack.defer(() => submission.close());
    return submission;
  };
  const submission = await submissionAt(settings.submission, false);
  const implicit = settings.submissionTls && (await submissionAt(settings.submissionTls, true));

  const http = await startWeb({
    ...web,
    proxies,
    listen: settings.api,
    tls: settings.apiTls ? tls : undefined,
  });
  stack.defer(() => http.close());

  const dkimZone = await startDkimZone({ settings, control, clock }, stack);

  return {
    listening: {
      api: format(http.address),
      submission: format(submission.address),
      submissionTls: implicit && format(implicit.address),
      inbound: format(reports.address),
      dkimZone: dkimZone && format(dkimZone.address),
    },
    renew(certificate) {
      for (const listener of [reports, submission, implicit, http]) listener?.renew(certificate);
    },
  };
}

/** Answers for the zone of DKIM keys, where the settings name a listener for it. */
async function startDkimZone(
  {
    settings: { dkimZoneDns: listen, hostname },
    control,
    clock,
  }: Pick<ListenersOptions, 'settings' | 'control' | 'clock'>,
  stack: AsyncDisposableStack,
): Promise<ZoneServer | undefined> {
  const keys = control.dkimZone;
  if (!listen || !keys) return undefined;
  const zone: Zone = {
    name: keys.name,
    server: hostname,
    serial: () => serialAt(clock.now()),
    find: async (label) => (isToken(label) ? keys.find(label) : undefined),
  };
  return stack.adopt(await startZoneServer({ listen, zone, clock }), (server) => server.close());
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || (ipaddr.isValid(host) && ipaddr.process(host).range() === 'loopback');
}

function format({ address, port, family }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}
