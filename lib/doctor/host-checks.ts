/** The checks of a host that sends: each is its gatherer and its rule. */

import { addressesBy } from '../dns/addresses.ts';
import type { Resolver } from '../dns/resolver.ts';
import type { QueueDepths } from '../engine/ports.ts';
import { familyOf } from '../ip.ts';
import type { Clock } from '../time.ts';
import { finding, type HealthFinding } from './finding.ts';
import { gatherAddress, type SourceOnHost } from './gather/addresses.ts';
import { gatherBlocklist } from './gather/blocklists.ts';
import { clockOffset } from './gather/clock.ts';
import { LookUps } from './gather/look-ups.ts';
import { probeOutward } from './gather/outward.ts';
import { gatherDisk, gatherLimits } from './gather/system.ts';
import type { HealthCheck } from './health-check.ts';
import { addressFindings } from './rules/addresses.ts';
import { blocklistFindings } from './rules/blocklists.ts';
import { type BulkSample, bulkFindings } from './rules/bulk.ts';
import {
  type CertificateFacts,
  certificateFindings,
  clockFindings,
  diskFindings,
  limitFindings,
} from './rules/host.ts';
import { faultFindings, type OwnFault, queueFindings } from './rules/mail.ts';
import { deliveryFindings, outwardFindings } from './rules/outward.ts';
import { isPublicResolver, resolverFindings } from './rules/resolver.ts';

export interface HostOptions {
  resolver: Pick<Resolver, 'resolve'>;
  clock: Clock;
  /** Addresses of the name servers in use. */
  servers: readonly string[];
  /** Source addresses, with what is known of each here. */
  sources: () => Promise<SourceOnHost[]>;
  /** The well-known MX to which the probe connects, `host:port`; or why there is none. */
  probe: { host: string; port: number } | { skipped: string };
  /** Zones of DNS blocklists; empty: none is asked. */
  blocklists: readonly string[];
  timeServer: string;
  certificate: () => Promise<Omit<CertificateFacts, 'now'>>;
  /** Directory of the store, and why it refuses new mail. */
  data: string;
  refuses: () => Promise<string | undefined>;
  /** Whether mail can leave, as deliveries show; a text describes a failure. */
  delivery: () => { dns?: string; smtp?: string };
  depths: () => Promise<QueueDepths>;
  faults: () => OwnFault[];
  bulk: () => Promise<BulkSample[]>;
}

/** Source addresses that one run looks at, of a host with more. */
export const MAX_SOURCES = 256;
/** Look-ups for all addresses, and for all blocklists. */
const ADDRESS_LOOK_UPS = 2_000;
/** A name that is signed wherever the root is. */
const SIGNED = 'org';

export function hostChecks(options: HostOptions): HealthCheck[] {
  const { clock, certificate, data, refuses, delivery, depths, faults, bulk } = options;
  return [
    { name: 'delivery', run: async () => deliveryFindings(delivery()) },
    outward(options),
    { name: 'addresses', run: () => addressesOf(options) },
    { name: 'resolver', run: () => resolverOf(options) },
    blocklists(options),
    {
      name: 'certificate',
      run: async () => certificateFindings({ now: clock.now(), ...(await certificate()) }),
    },
    { name: 'clock', run: () => clockOf(options) },
    { name: 'disk', run: async () => diskFindings(await gatherDisk(data, await refuses())) },
    { name: 'limits', run: async () => limitFindings(await gatherLimits()) },
    { name: 'queue', run: async () => queueFindings({ now: clock.now(), lanes: (await depths()).depths }) },
    { name: 'bounces', run: async () => faultFindings(faults()) },
    { name: 'bulk', run: async () => bulkFindings(await bulk()) },
  ];
}

/** Checks that no node makes for another, on AWS; a process that sends no mail can make one of them. */
const BY_NODES = [
  'delivery',
  'outward',
  'resolver',
  'blocklists',
  'clock',
  'disk',
  'limits',
  'queue',
  'bounces',
  'bulk',
];

/** The checks of a process that sends no mail itself: what DNS says of the source addresses. */
export function addressChecks(options: Pick<HostOptions, 'resolver' | 'clock' | 'sources'>): HealthCheck[] {
  const skipped = 'the nodes send, and alarms watch them: lib/stacks/RUNBOOK.md';
  return [
    { name: 'addresses', run: () => addressesOf(options) },
    ...BY_NODES.map((name) => ({ name, skipped })),
  ];
}

function lookUpsOf({ resolver, clock }: Pick<HostOptions, 'resolver' | 'clock'>): LookUps {
  return new LookUps({ resolver, clock, maxLookUps: ADDRESS_LOOK_UPS });
}

function outward({ probe, sources, resolver, clock }: HostOptions): HealthCheck {
  const name = 'outward';
  if ('skipped' in probe) return { name, skipped: probe.skipped };
  const target = `${probe.host}:${probe.port}`;
  return {
    name,
    async run() {
      const addresses = await addressesOfHost(probe.host, resolver);
      const [address] = addresses;
      if (address === undefined)
        return [
          finding(
            'dns.unanswered',
            probe.host,
            `${probe.host} has no address.`,
            'Name another in doctor.mx of postern.config.ts.',
          ),
        ];
      const local = (await sources()).filter((one) => one.local !== false).slice(0, MAX_SOURCES);
      const froms = local.length > 0 ? local.map(({ ip }) => ip) : [undefined];
      const probes: { ip: string; problem?: string }[] = [];
      // One after the other: a burst of connections is what a greeting should not be asked for.
      for (const from of froms) {
        const reachable =
          from === undefined ? address : addresses.find((one) => one.includes(':') === from.includes(':'));
        if (reachable === undefined) continue;
        probes.push({
          ip: from ?? 'default',
          problem: await probeOutward({ address: reachable, port: probe.port }, from, clock),
        });
        // A closed port 25 is closed for all addresses, most likely; ten seconds for each would be minutes.
        if (probes.at(-1)!.problem !== undefined) break;
      }
      return outwardFindings({ target, probes });
    },
  };
}

async function addressesOf(
  options: Pick<HostOptions, 'resolver' | 'clock' | 'sources'>,
): Promise<HealthFinding[]> {
  const lookUps = lookUpsOf(options);
  const sources = (await options.sources()).slice(0, MAX_SOURCES);
  const facts = await Promise.all(sources.map((source) => gatherAddress(source, lookUps)));
  return facts.flatMap(addressFindings);
}

async function resolverOf(options: HostOptions): Promise<HealthFinding[]> {
  const signed = await lookUpsOf(options).find(SIGNED, 'MX');
  const validates = 'unanswered' in signed ? undefined : signed.authentic;
  return resolverFindings({ servers: options.servers, validates });
}

function blocklists(options: HostOptions): HealthCheck {
  const { blocklists: lists, servers, sources } = options;
  const name = 'blocklists';
  if (lists.length === 0) return { name, skipped: 'none is named: doctor.blocklists in postern.config.ts' };
  if (servers.some(isPublicResolver))
    return { name, skipped: 'the resolver in use is a public one, which lists do not answer' };
  return {
    name,
    async run() {
      const ips = (await sources()).slice(0, MAX_SOURCES).map(({ ip }) => ip);
      const lookUps = lookUpsOf(options);
      const facts = await Promise.all(lists.map((list) => gatherBlocklist(list, ips, lookUps)));
      return facts.flatMap(blocklistFindings);
    },
  };
}

async function clockOf({ timeServer, resolver, clock }: HostOptions): Promise<HealthFinding[]> {
  const [address] = await addressesOfHost(timeServer, resolver);
  const offset = address === undefined ? 'it has no address' : await clockOffset(address, clock);
  return clockFindings({ server: timeServer, offset });
}

/** An address stands for itself. */
async function addressesOfHost(host: string, resolver: HostOptions['resolver']): Promise<string[]> {
  return familyOf(host) === 0 ? addressesBy(resolver)(host) : [host];
}
