/** The resolver in use. */
import { canonicalIp } from '../../ip.ts';
import { finding, type HealthFinding } from '../finding.ts';

export interface ResolverFacts {
  /** Addresses of the servers. */
  servers: readonly string[];
  /** Whether it validates by DNSSEC; undefined: it gave no answer. */
  validates: boolean | undefined;
}

/** Public resolvers: Google, Cloudflare, Quad9, OpenDNS, DNS.WATCH, AdGuard, Control D, Verisign. */
const PUBLIC = new Set(
  [
    ...['8.8.8.8', '8.8.4.4', '2001:4860:4860::8888', '2001:4860:4860::8844'],
    ...['1.1.1.1', '1.0.0.1', '2606:4700:4700::1111', '2606:4700:4700::1001'],
    ...['9.9.9.9', '9.9.9.10', '149.112.112.112', '2620:fe::fe', '2620:fe::9'],
    ...['208.67.222.222', '208.67.220.220', '2620:119:35::35', '2620:119:53::53'],
    ...[
      '84.200.69.80',
      '84.200.70.40',
      '94.140.14.14',
      '94.140.15.15',
      '76.76.2.0',
      '76.76.10.0',
      '64.6.64.6',
      '64.6.65.6',
    ],
  ].map(canonicalIp),
);

export function isPublicResolver(address: string): boolean {
  return PUBLIC.has(canonicalIp(address));
}

export function resolverFindings({ servers, validates }: ResolverFacts): HealthFinding[] {
  const command = 'apt-get install unbound && POSTERN_DNS=127.0.0.1:53 npm start';
  const open = servers.filter(isPublicResolver);
  const found: HealthFinding[] = [];
  if (open.length > 0) {
    found.push(
      finding(
        'resolver.public',
        open.join(', '),
        `The resolver in use is a public one: ${open.join(', ')}.`,
        'Run a resolver of your own on this host (unbound, Knot Resolver).',
        { command },
      ),
    );
  }
  if (validates === false) {
    found.push(
      finding(
        'resolver.not-validating',
        servers.join(', '),
        'The resolver in use does not validate by DNSSEC.',
        'Run a validating resolver on this host (unbound does by default).',
        { command },
      ),
    );
  }
  return found;
}
