/** The rules for a sending domain, over the facts that were gathered about it. Pure. */
import type { BounceTarget } from '../control/mail-from.ts';
import { bySeverity, cut, type HealthFinding, type RecordToPublish } from './finding.ts';
import { type BimiFacts, bimiFindings } from './rules/bimi.ts';
import { type DkimFacts, dkimFindings } from './rules/dkim.ts';
import { type DmarcFacts, dmarcFindings } from './rules/dmarc.ts';
import { type DnssecFacts, dnssecFindings } from './rules/dnssec.ts';
import { type MtaStsFacts, mtaStsFindings, tlsRptFindings } from './rules/mta-sts.ts';
import { type ReturnPathFacts, returnPathFindings } from './rules/return-path.ts';
import { type SpfFacts, spfFindings } from './rules/spf.ts';
import { policyNode } from './tree-walk.ts';

/** What is checked, as this installation knows it. */
export interface DomainSubject {
  /** Domain in From. */
  domain: string;
  /** Domain of the return paths of its mail. */
  returnPath: string;
  /** Whether its mail is signed, and the records of the keys. */
  signs: boolean;
  keys: readonly RecordToPublish[];
  /** Public source addresses. */
  sources: readonly string[];
  bounces: BounceTarget;
  /** Mailbox for aggregate reports, for records that are proposed. */
  reports: string;
}

/** What DNS says about it. */
export interface DomainFacts {
  spf: SpfFacts;
  dkim: DkimFacts;
  dmarc: DmarcFacts;
  returnPath: ReturnPathFacts;
  mtaSts: MtaStsFacts;
  bimi: BimiFacts;
  dnssec: DnssecFacts;
}

/** What DNS has under a name that matters. */
export interface SeenRecord {
  check: 'spf' | 'dkim' | 'dmarc' | 'return-path' | 'mta-sts' | 'tls-rpt' | 'bimi';
  name: string;
  type: 'TXT' | 'MX';
  /** As they are published; empty: none. */
  values: readonly string[];
}

/** Records of one name that are shown. */
const MAX_VALUES = 20;

export function seenRecords({ spf, dkim, dmarc, returnPath, mtaSts, bimi }: DomainFacts): SeenRecord[] {
  const { domain } = dmarc;
  const policy = policyNode(dmarc.walk) ?? dmarc.walk[0]!;
  const seen: SeenRecord[] = [
    { check: 'spf', name: spf.domain, type: 'TXT', values: spf.records },
    ...dkim.keys.map(({ record, found }) => ({
      check: 'dkim' as const,
      name: record.name,
      type: 'TXT' as const,
      values: found,
    })),
    { check: 'dmarc', name: `_dmarc.${policy.domain}`, type: 'TXT', values: policy.records },
    { check: 'return-path', name: returnPath.domain, type: 'MX', values: returnPath.exchanges },
    { check: 'mta-sts', name: `_mta-sts.${domain}`, type: 'TXT', values: mtaSts.records },
    { check: 'tls-rpt', name: `_smtp._tls.${domain}`, type: 'TXT', values: mtaSts.tlsReports },
    { check: 'bimi', name: `default._bimi.${domain}`, type: 'TXT', values: bimi.records },
  ];
  return seen.map((one) => ({ ...one, values: one.values.slice(0, MAX_VALUES).map((value) => cut(value)) }));
}

/** The worst first. */
export function domainFindings(facts: DomainFacts): HealthFinding[] {
  return bySeverity([
    ...spfFindings(facts.spf),
    ...dkimFindings(facts.dkim),
    ...dmarcFindings(facts.dmarc),
    ...returnPathFindings(facts.returnPath),
    ...mtaStsFindings(facts.mtaSts),
    ...tlsRptFindings(facts.mtaSts),
    ...bimiFindings(facts.bimi),
    ...dnssecFindings(facts.dnssec),
  ]);
}
