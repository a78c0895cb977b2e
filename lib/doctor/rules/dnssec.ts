/** DNSSEC of a domain, as far as the resolver in use validates. */
import { finding, type HealthFinding } from '../finding.ts';

export interface DnssecFacts {
  domain: string;
  /** Whether the resolver validates at all, so that its silence means something. */
  validates: boolean;
  /** Whether it validated the answers about the domain; undefined: it gave none. */
  authentic: boolean | undefined;
}

export function dnssecFindings({ domain, validates, authentic }: DnssecFacts): HealthFinding[] {
  if (!validates || authentic !== false) return [];
  return [
    finding(
      'dnssec.unsigned',
      domain,
      `The answers about ${domain} are not signed by DNSSEC.`,
      'Sign the zone, and have its registrar publish the DS record.',
    ),
  ];
}
