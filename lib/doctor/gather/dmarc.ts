/** Looks up the names of a DMARC tree walk, and whether the receivers of reports agree to take them. */

import type { DmarcFacts } from '../rules/dmarc.ts';
import {
  type DmarcNode,
  dmarcRecords,
  organizationalDomain,
  policyAt,
  policyNode,
  walkOf,
} from '../tree-walk.ts';
import type { LookUps } from './look-ups.ts';

/** Receivers of reports that are looked up, at most. */
const MAX_RECEIVERS = 10;

export interface Walked {
  walk: DmarcNode[];
  /** Whether every name was answered. */
  whole: boolean;
  unanswered?: string;
}

/** @returns the walk as far as it was answered: a name without an answer counts as one without a record. */
export async function gatherWalk(domain: string, lookUps: LookUps): Promise<Walked> {
  const names = walkOf(domain);
  const found = await Promise.all(names.map((name) => lookUps.find(`_dmarc.${name}`, 'TXT')));
  const [own] = found as [(typeof found)[0]];
  return {
    walk: names.map((name, at) => {
      const one = found[at]!;
      return { domain: name, records: 'unanswered' in one ? [] : dmarcRecords(one.records) };
    }),
    whole: found.every((one) => !('unanswered' in one)),
    ...('unanswered' in own && { unanswered: own.unanswered }),
  };
}

/** RFC 9990 §4: a receiver in another organization agrees by a record in its own zone. */
export async function gatherReportDomains(
  walk: readonly DmarcNode[],
  lookUps: LookUps,
): Promise<DmarcFacts['reportDomains']> {
  const node = policyNode(walk);
  const rua = node && policyAt(node)?.get('rua');
  if (!node || !rua) return [];
  const domains = rua
    .split(',')
    .flatMap((uri) => /^\s*mailto:[^@\s]+@([^@!\s]+)/i.exec(uri)?.[1]?.toLowerCase() ?? []);
  const named = [...new Set(domains)].slice(0, MAX_RECEIVERS);
  const asked = await Promise.all(
    named.map(async (domain) => {
      if (organizationalDomain((await gatherWalk(domain, lookUps)).walk) === organizationalDomain(walk))
        return [];
      const found = await lookUps.find(`${node.domain}._report._dmarc.${domain}`, 'TXT');
      return [{ domain, agrees: 'unanswered' in found ? undefined : dmarcRecords(found.records).length > 0 }];
    }),
  );
  return asked.flat();
}
