/** The checks of domains and of the host, over the settings of standalone. */
import { X509Certificate } from 'node:crypto';
import { IpInventory } from '../../lib/control/ip-inventory.ts';
import type { Control } from '../../lib/control/types.ts';
import type { Resolver } from '../../lib/dns/resolver.ts';
import { dnsServers } from '../../lib/dns/servers.ts';
import { type DomainCheckOptions, DomainChecks } from '../../lib/doctor/domain-check.ts';
import type { SourceOnHost } from '../../lib/doctor/gather/addresses.ts';
import { defaultSource, isOwnAddress } from '../../lib/doctor/gather/system.ts';
import { HealthChecks } from '../../lib/doctor/health-check.ts';
import { type HostOptions, hostChecks, MAX_SOURCES } from '../../lib/doctor/host-checks.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import type { ApiDeps } from '../../lib/http/deps.ts';
import type { Clock } from '../../lib/time.ts';
import type { Settings } from '../settings.ts';
import type { DeliveryParts } from './delivery.ts';
import { certificateOf } from './listeners.ts';

export interface DoctorOptions {
  /** Settings in force: a reload replaces them. */
  settings: () => Settings;
  control: Control;
  engine: Engine;
  resolver: Resolver;
  delivery: Pick<DeliveryParts, 'health' | 'faults' | 'bulk'>;
  clock: Clock;
  reportAddress: DomainCheckOptions['reportAddress'];
}

/** The one of Gmail, which each sender may reach. */
const WELL_KNOWN_MX = 'gmail-smtp-in.l.google.com';
const TIME_SERVER = 'pool.ntp.org';

export function openDoctor(options: DoctorOptions): Pick<ApiDeps, 'domains' | 'health'> {
  const { settings, control, resolver, clock, reportAddress } = options;
  const { hostname: host } = settings();
  const sources = (): string[] => {
    const { egressIps: ips, pools } = settings();
    return new IpInventory(control.documents, { ips, pools }).ips;
  };
  return {
    domains: new DomainChecks({
      control,
      resolver,
      clock,
      sources,
      returnPathDomain: (fromDomain) => settings().returnPathDomain ?? fromDomain,
      bounces: { domain: settings().returnPathDomain, host },
      reportAddress,
    }),
    health: new HealthChecks({ checks: hostChecks(hostOptions(options, sources)), clock }),
  };
}

function hostOptions(
  { settings, engine, resolver, delivery, clock }: DoctorOptions,
  sources: () => string[],
): HostOptions {
  const { doctor, dns, data, hostname } = settings();
  return {
    resolver,
    clock,
    servers: dnsServers(dns).map(({ address }) => address),
    sources: async () => {
      const known = sources();
      const own = known.length > 0 ? undefined : await defaultSource();
      const ips = own === undefined ? known : [own];
      return Promise.all(ips.slice(0, MAX_SOURCES).map((ip) => onHost(ip, settings())));
    },
    probe: probeOf(settings()),
    blocklists: doctor.blocklists ?? [],
    timeServer: doctor.timeServer ?? TIME_SERVER,
    certificate: async () => {
      const { cert, selfSigned } = await certificateOf(settings());
      const leaf = new X509Certificate(cert);
      const coversHost = leaf.checkHost(hostname) !== undefined;
      return { expires: leaf.validToDate.getTime(), selfSigned, coversHost, hostname };
    },
    data,
    refuses: async () => (await engine.health()).detail,
    delivery: delivery.health,
    depths: () => engine.queue.depths(),
    faults: () => delivery.faults.list(),
    bulk: () => delivery.bulk.samples(),
  };
}

async function onHost(ip: string, { ehloNames, hostname }: Settings): Promise<SourceOnHost> {
  return { ip, ehlo: ehloNames[ip] ?? hostname, local: await isOwnAddress(ip) };
}

/** Mail that does not go to port 25 of its destinations needs none. */
function probeOf({ doctor, smtpPort, routes }: Settings): HostOptions['probe'] {
  if (doctor.mx === 'off') return { skipped: 'switched off: doctor.mx in postern.config.ts' };
  const all = routes.find(({ domain }) => domain === '*');
  if (all) return { skipped: `all mail goes to ${all.host}:${all.port}` };
  if (smtpPort !== 25) return { skipped: `mail goes to port ${smtpPort}` };
  return { host: doctor.mx ?? WELL_KNOWN_MX, port: 25 };
}
