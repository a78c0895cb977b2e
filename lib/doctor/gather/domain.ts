/** Gathers what DNS says about a sending domain now. */

import type { DomainFacts, DomainSubject } from '../domain-rules.ts';
import type { DkimFacts, DkimKeyFacts } from '../rules/dkim.ts';
import { isVerifiable } from '../rules/dkim.ts';
import type { MtaStsFacts } from '../rules/mta-sts.ts';
import type { ReturnPathFacts } from '../rules/return-path.ts';
import type { SpfFacts } from '../rules/spf.ts';
import { ofVersion } from '../tag-list.ts';
import { organizationalDomain } from '../tree-walk.ts';
import { gatherReportDomains, gatherWalk } from './dmarc.ts';
import type { Found, LookUps } from './look-ups.ts';
import type { FetchPolicy } from './policy-file.ts';
import { gatherSpf } from './spf.ts';

/** A name that is signed wherever the root is: whether its answers are authentic tells whether the resolver validates. */
const SIGNED = 'org';

/** @param lookUps of this check alone. */
export async function gatherDomain(
  subject: DomainSubject,
  lookUps: LookUps,
  fetchPolicy: FetchPolicy,
): Promise<DomainFacts> {
  const { domain, returnPath, sources } = subject;
  const [spf, dkim, own, path, signed] = await Promise.all([
    gatherSpf(returnPath, sources, lookUps),
    gatherDkim(subject, lookUps),
    gatherWalk(domain, lookUps),
    gatherWalk(returnPath, lookUps),
    lookUps.find(SIGNED, 'MX'),
  ]);
  const organization = organizationalDomain(own.walk);
  const [reportDomains, returnPathFacts, mtaSts, bimi, mx] = await Promise.all([
    gatherReportDomains(own.walk, lookUps),
    gatherReturnPath(subject, lookUps),
    gatherMtaSts(subject, lookUps, fetchPolicy),
    gatherBimi(domain, organization, lookUps),
    lookUps.find(domain, 'MX'),
  ]);
  return {
    spf,
    dkim,
    dmarc: {
      domain,
      returnPath,
      walk: own.walk,
      returnPathWalk: path.walk,
      unanswered: own.unanswered,
      reportDomains,
      reports: subject.reports,
      dkim: isVerifiable(dkim),
      spf: spfPasses(spf),
    },
    returnPath: returnPathFacts,
    mtaSts,
    bimi: { domain, ...bimi, walk: own.walk },
    dnssec: {
      domain,
      validates: !('unanswered' in signed) && signed.authentic,
      authentic: 'unanswered' in mx ? undefined : mx.authentic,
    },
  };
}

/** Undefined where it cannot be decided: no address is known, or DNS gave no answer. */
function spfPasses({ sources, unanswered }: SpfFacts): boolean | undefined {
  if (unanswered !== undefined || sources.length === 0) return undefined;
  if (sources.some(({ evaluation }) => evaluation.result === 'temperror')) return undefined;
  return sources.every(({ evaluation }) => evaluation.result === 'pass');
}

async function gatherDkim({ domain, signs, keys }: DomainSubject, lookUps: LookUps): Promise<DkimFacts> {
  const found = await Promise.all(
    keys.map(async (record): Promise<DkimKeyFacts> => {
      const texts = await lookUps.find(record.name, 'TXT');
      return { record, ...textsOf(texts) };
    }),
  );
  return { domain, signs, keys: found };
}

function textsOf(found: Found<string>): { found: string[]; unanswered?: string } {
  return 'unanswered' in found ? { found: [], unanswered: found.unanswered } : { found: found.records };
}

async function gatherReturnPath(
  { returnPath, bounces }: DomainSubject,
  lookUps: LookUps,
): Promise<ReturnPathFacts> {
  const found = await lookUps.find(returnPath, 'MX');
  if ('unanswered' in found)
    return { domain: returnPath, exchanges: [], unanswered: found.unanswered, own: [] };
  const exchanges = hostsOf(found);
  const own = new Set(bounces.host === undefined ? [] : [bounces.host.toLowerCase()]);
  if (bounces.domain !== undefined && bounces.domain !== returnPath) {
    const theirs = await lookUps.find(bounces.domain, 'MX');
    for (const host of 'unanswered' in theirs ? [] : hostsOf(theirs)) own.add(host);
  }
  return { domain: returnPath, exchanges, own: [...own] };
}

function hostsOf(found: Found<{ exchange: string }>): string[] {
  return 'unanswered' in found
    ? []
    : found.records.map(({ exchange }) => exchange).filter((host) => host !== '');
}

async function gatherMtaSts(
  { domain, reports }: DomainSubject,
  lookUps: LookUps,
  fetchPolicy: FetchPolicy,
): Promise<MtaStsFacts> {
  const [mx, sts, tls] = await Promise.all([
    lookUps.find(domain, 'MX'),
    lookUps.find(`_mta-sts.${domain}`, 'TXT'),
    lookUps.find(`_smtp._tls.${domain}`, 'TXT'),
  ]);
  if ('unanswered' in sts)
    return {
      domain,
      reports,
      exchanges: hostsOf(mx),
      records: [],
      tlsReports: [],
      unanswered: sts.unanswered,
    };
  const announced = ofVersion('STSv1', sts.records).length === 1;
  return {
    domain,
    reports,
    exchanges: hostsOf(mx),
    records: sts.records,
    tlsReports: 'unanswered' in tls ? [] : tls.records,
    ...(announced && { file: await fetchPolicy(domain) }),
  };
}

async function gatherBimi(
  domain: string,
  organization: string,
  lookUps: LookUps,
): Promise<{ records: string[]; unanswered?: string }> {
  const own = await lookUps.find(`default._bimi.${domain}`, 'TXT');
  if ('unanswered' in own) return { records: [], unanswered: own.unanswered };
  if (own.records.length > 0 || organization === domain) return { records: own.records };
  const above = await lookUps.find(`default._bimi.${organization}`, 'TXT');
  return { records: 'unanswered' in above ? [] : above.records };
}
