import type { Control } from '../../lib/control/types.ts';
import type { Resolver } from '../../lib/dns/resolver.ts';
import { DomainChecks } from '../../lib/doctor/domain-check.ts';
import type { Clock } from '../../lib/time.ts';

/** A resolver for which no name exists. */
export const NO_DNS: Pick<Resolver, 'resolve'> = {
  resolve: () => Promise.resolve({ kind: 'no_domain', expiresAt: 0 }),
};

/** Checks of domains for a test server; without a resolver, no name exists. */
export function testDomains(
  control: Control,
  clock: Clock,
  {
    resolver = NO_DNS,
    sources = [],
  }: { resolver?: Pick<Resolver, 'resolve'>; sources?: readonly string[] } = {},
): DomainChecks {
  return new DomainChecks({
    control,
    resolver,
    clock,
    sources: () => sources,
    returnPathDomain: (domain) => `bounces.${domain}`,
    bounces: { host: 'postern.example' },
    fetchPolicy: async () => ({ problem: 'not served here' }),
  });
}
