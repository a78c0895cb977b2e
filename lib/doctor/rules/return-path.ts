/** The domain of return paths: its MX leads bounces back here. */
import { finding, type HealthFinding } from '../finding.ts';

export interface ReturnPathFacts {
  domain: string;
  /** Hosts of its MX records; empty: it has none, or the null MX (RFC 7505). */
  exchanges: readonly string[];
  unanswered?: string;
  /** Hosts where bounces are taken in; empty: unknown. */
  own: readonly string[];
}

export function returnPathFindings({ domain, exchanges, unanswered, own }: ReturnPathFacts): HealthFinding[] {
  if (unanswered !== undefined) {
    return [
      finding(
        'dns.unanswered',
        domain,
        `DNS gives no answer about the MX of ${domain}: ${unanswered}.`,
        'Check the name servers of the domain, then look again.',
      ),
    ];
  }
  const [host] = own;
  const exact =
    host === undefined ? {} : { record: { name: domain, type: 'MX' as const, value: `10 ${host}` } };
  if (exchanges.length === 0) {
    return [
      finding(
        'return-path.no-mx',
        domain,
        `The return path ${domain} has no MX record.`,
        'Publish one that leads to the inbound listener.',
        exact,
      ),
    ];
  }
  if (own.length === 0 || exchanges.some((exchange) => own.includes(exchange))) return [];
  return [
    finding(
      'return-path.elsewhere',
      domain,
      `The MX of the return path ${domain} is ${exchanges.slice(0, 5).join(', ')}, not ${own.join(' or ')}.`,
      'Let its MX lead here, or give the identity a MAIL FROM domain whose MX does.',
      exact,
    ),
  ];
}
