/** The checks of domains, over the settings of standalone. */
import { IpInventory } from '../../lib/control/ip-inventory.ts';
import type { Control } from '../../lib/control/types.ts';
import type { Resolver } from '../../lib/dns/resolver.ts';
import { type DomainCheckOptions, DomainChecks } from '../../lib/doctor/domain-check.ts';
import type { Clock } from '../../lib/time.ts';
import type { Settings } from '../settings.ts';

export interface DoctorOptions {
  /** Settings in force: a reload replaces them. */
  settings: () => Settings;
  control: Control;
  resolver: Resolver;
  clock: Clock;
  reportAddress: DomainCheckOptions['reportAddress'];
}

export function openDomainChecks(options: DoctorOptions): DomainChecks {
  const { settings, control, resolver, clock, reportAddress } = options;
  const { egressIps: ips, pools, hostname: host } = settings();
  return new DomainChecks({
    control,
    resolver,
    clock,
    sources: () => new IpInventory(control.documents, { ips, pools }).ips,
    returnPathDomain: (fromDomain) => settings().returnPathDomain ?? fromDomain,
    bounces: { domain: settings().returnPathDomain, host },
    reportAddress,
  });
}
