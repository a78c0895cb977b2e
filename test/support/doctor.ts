/** A domain that everything is right about, as a zone of the test's DNS server, and its check. */
import { generateKeyPairSync } from 'node:crypto';
import { createResolver } from '../../lib/dns/resolver.ts';
import { type DomainFacts, type DomainSubject, domainFindings } from '../../lib/doctor/domain-rules.ts';
import type { HealthFinding } from '../../lib/doctor/finding.ts';
import { gatherDomain } from '../../lib/doctor/gather/domain.ts';
import { type LookUpOptions, LookUps } from '../../lib/doctor/gather/look-ups.ts';
import type { PolicyFile } from '../../lib/doctor/rules/mta-sts.ts';
import { systemClock } from '../../lib/time.ts';
import { mx, type TestDnsServer, type ZoneEntry } from './dns-server.ts';

/** Public keys for `p=`, by bits. */
export const RSA: Record<number, string> = Object.fromEntries(
  [1024, 2048].map((modulusLength) => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength });
    return [modulusLength, publicKey.export({ type: 'spki', format: 'der' }).toString('base64')];
  }),
);

export const SUBJECT: DomainSubject = {
  domain: 'shop.test',
  returnPath: 'bounces.shop.test',
  signs: true,
  keys: [{ name: 'sel._domainkey.shop.test', type: 'TXT', value: `v=DKIM1; k=rsa; p=${RSA[2048]}` }],
  sources: ['192.0.2.1', '2001:db8::1'],
  bounces: { domain: 'ret.test', host: 'mail.test' },
  reports: 'dmarc@shop.test',
};

export const POLICY = 'version: STSv1\nmode: enforce\nmx: *.shop.test\nmax_age: 86400\n';

/** Zone entry of TXT records. */
export function txt(...records: string[]): ZoneEntry {
  return { answers: records.map((data) => ({ type: 'TXT', data: data.match(/.{1,255}/gs) ?? [''] })) };
}

/** The zone of a domain without a finding. */
export function goodZone(): Record<string, ZoneEntry> {
  return {
    'TXT bounces.shop.test': txt('v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/64 -all'),
    'MX bounces.shop.test': mx([10, 'mail.test']),
    'TXT sel._domainkey.shop.test': txt(SUBJECT.keys[0]!.value),
    'TXT _dmarc.shop.test': txt('v=DMARC1; p=reject; rua=mailto:dmarc@shop.test'),
    'MX shop.test': mx([10, 'in.shop.test']),
    'TXT _mta-sts.shop.test': txt('v=STSv1; id=20261129'),
    'TXT _smtp._tls.shop.test': txt('v=TLSRPTv1; rua=mailto:tls@shop.test'),
    'TXT default._bimi.shop.test': txt('v=BIMI1; l=https://shop.test/l.svg; a=https://shop.test/l.pem'),
  };
}

export interface CheckOptions {
  subject?: Partial<DomainSubject>;
  file?: PolicyFile;
  lookUps?: Partial<LookUpOptions>;
}

/** Checks the domain at a real DNS server. */
export async function factsAt(
  server: TestDnsServer,
  { subject, file = { body: POLICY }, lookUps }: CheckOptions = {},
): Promise<DomainFacts> {
  const resolver = createResolver({
    servers: [{ address: '127.0.0.1', port: server.port }],
    clock: systemClock,
    timeouts: [500],
  });
  const options = { resolver, clock: systemClock, ...lookUps };
  return gatherDomain({ ...SUBJECT, ...subject }, new LookUps(options), async () => file);
}

/** Ids of everything that was found in this process. */
export const everFound = new Set<string>();

export async function findingsAt(
  server: TestDnsServer,
  options: CheckOptions = {},
): Promise<HealthFinding[]> {
  const findings = domainFindings(await factsAt(server, options));
  for (const { id } of findings) everFound.add(id);
  return findings;
}

/** Ids of findings, in alphabetical order. */
export function ids(findings: readonly HealthFinding[]): string[] {
  return findings.map(({ id }) => id).sort();
}
