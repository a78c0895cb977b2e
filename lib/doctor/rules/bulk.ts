/** Bulk mail of the last day against the rules of the large providers: authenticated as its From domain, one-click. */
import { BULK_FAULTS, type BulkFault } from '../../mail/bulk-rules.ts';
import { finding, type HealthFinding } from '../finding.ts';
import { type DmarcNode, organizationalDomain, policyAt, policyNode } from '../tree-walk.ts';

export interface BulkSender {
  /** Domain in From. */
  domain: string;
  /** Domain that signs, where its key is published; undefined: nothing aligned signs. */
  signs: string | undefined;
  returnPath: string;
}

/** Faults of the domain by its DMARC walks. Each walk begins with its domain. */
export function domainFaults(
  { domain, signs, returnPath }: BulkSender,
  walks: { from: readonly DmarcNode[]; signer: readonly DmarcNode[]; returnPath: readonly DmarcNode[] },
): BulkFault[] {
  const node = policyNode(walks.from);
  const tags = node && policyAt(node);
  if (!tags) return ['no_dmarc'];
  const organization = organizationalDomain(walks.from);
  const aligned = (other: string, walk: readonly DmarcNode[], mode: string | undefined): boolean =>
    mode?.toLowerCase() === 's' ? other === domain : organizationalDomain(walk) === organization;
  const byDkim = signs !== undefined && aligned(signs, walks.signer, tags.get('adkim'));
  return byDkim || aligned(returnPath, walks.returnPath, tags.get('aspf')) ? [] : ['unaligned'];
}

/** Bulk mail of a From domain within a day. */
export interface BulkSample {
  domain: string;
  messages: number;
  withoutOneClick: number;
  faults: readonly BulkFault[];
}

/** Share of messages without one-click from which on it is a finding: some transactional mail is sent as bulk. */
const TOLERATED = 0.05;
/** A sender below is none of bulk mail. */
const MIN_MESSAGES = 100;

export function bulkFindings(samples: readonly BulkSample[]): HealthFinding[] {
  return samples.flatMap(({ domain, messages, withoutOneClick, faults }) => {
    if (messages < MIN_MESSAGES) return [];
    const found: HealthFinding[] = [];
    for (const fault of faults) {
      found.push(
        finding(
          'bulk.domain',
          domain,
          `${messages} bulk messages within a day as ${domain}: ${BULK_FAULTS[fault]}.`,
          `See GET /v1/identities/${domain}/check for the exact records.`,
        ),
      );
    }
    if (withoutOneClick > messages * TOLERATED) {
      found.push(
        finding(
          'bulk.one-click',
          domain,
          `${withoutOneClick} of ${messages} bulk messages within a day as ${domain}: ${BULK_FAULTS.no_one_click}.`,
          'Add it; the document config/bulk can warn or refuse at accept.',
        ),
      );
    }
    return found;
  });
}
