/** The DMARC record (RFC 9989), its reports (RFC 9990), and whether the mail of an identity is aligned with From. */
import { finding, type HealthFinding, quoted } from '../finding.ts';
import { type DmarcNode, organizationalDomain, policyAt, policyNode } from '../tree-walk.ts';

export interface DmarcFacts {
  /** Domain in From. */
  domain: string;
  /** Domain of the return path. */
  returnPath: string;
  /** From the domain up, and from the domain of the return path up. */
  walk: readonly DmarcNode[];
  returnPathWalk: readonly DmarcNode[];
  /** Why DNS gave no answer about the domain. */
  unanswered?: string;
  /** Receivers of aggregate reports in another organization, and whether its DNS agrees; undefined: no answer. */
  reportDomains: readonly { domain: string; agrees: boolean | undefined }[];
  /** Mailbox for aggregate reports, for a record that is proposed. */
  reports: string;
  /** Whether a DKIM signature of the domain verifies. */
  dkim: boolean;
  /** Whether SPF of the return path passes for the source addresses; undefined: unknown. */
  spf: boolean | undefined;
}

const POLICIES = ['none', 'quarantine', 'reject'];
/** RFC 9989, appendix A.5 and A.6. */
const REMOVED = ['pct', 'rf', 'ri'];

export function dmarcFindings(facts: DmarcFacts): HealthFinding[] {
  const { domain, walk, unanswered } = facts;
  if (unanswered !== undefined) {
    return [
      finding(
        'dns.unanswered',
        domain,
        `DNS gives no answer about _dmarc.${domain}: ${unanswered}.`,
        'Check the name servers of the domain, then look again.',
      ),
    ];
  }
  const [own] = walk as [DmarcNode];
  if (own.records.length > 1) {
    return [
      finding(
        'dmarc.multiple',
        domain,
        `_dmarc.${domain} has ${own.records.length} DMARC records.`,
        'Leave one of them.',
      ),
    ];
  }
  const node = own.records.length === 1 ? own : policyNode(walk);
  if (node === undefined) {
    return [
      finding(
        'dmarc.missing',
        domain,
        `Neither ${domain} nor a domain above it has a DMARC record.`,
        'Publish one. Begin with p=none, read the reports, then go on to quarantine and reject.',
        { record: proposed(domain, facts) },
      ),
    ];
  }
  const tags = policyAt(node);
  const problem = tags === undefined ? 'it is no list of tags' : fault(tags);
  if (problem !== undefined) {
    return [
      finding(
        'dmarc.syntax',
        node.domain,
        `The DMARC record ${quoted(node.records[0]!)} cannot be used: ${problem}.`,
        'Correct it.',
        { record: proposed(node.domain, facts) },
      ),
    ];
  }
  return [...policy(node, tags!), ...reportFindings(node, tags!, facts), ...alignment(facts, tags!)];
}

/** What makes a record unusable (RFC 9989 §4.7); one without p but with rua counts as p=none. */
function fault(tags: Map<string, string>): string | undefined {
  const p = tags.get('p')?.toLowerCase();
  if (p === undefined) return tags.has('rua') ? undefined : 'it has no policy p';
  if (!POLICIES.includes(p) && !tags.has('rua')) return `p=${quoted(p)} is none of ${POLICIES.join(', ')}`;
  return undefined;
}

/** The policy in effect for a domain: `sp` for one below the record's, where it is given. */
export function policyOf(domain: string, node: DmarcNode, tags: Map<string, string>): string {
  const p = tags.get('p')?.toLowerCase() ?? 'none';
  const given = node.domain === domain ? p : (tags.get('sp')?.toLowerCase() ?? p);
  return POLICIES.includes(given) ? given : 'none';
}

function policy(node: DmarcNode, tags: Map<string, string>): HealthFinding[] {
  const found: HealthFinding[] = [];
  const [record] = node.records as [string];
  const removed = REMOVED.filter((tag) => tags.has(tag));
  if (removed.length > 0) {
    const kept = [...tags].filter(([tag]) => !REMOVED.includes(tag));
    const value = kept.map(([tag, text]) => `${tag}=${text}`).join('; ');
    found.push(
      finding(
        'dmarc.removed-tags',
        node.domain,
        `The DMARC record has ${removed.map((tag) => `${tag}=${quoted(tags.get(tag)!)}`).join(', ')}.`,
        'Remove them. To try a policy out, publish it with t=y.',
        { record: { name: `_dmarc.${node.domain}`, type: 'TXT', value } },
      ),
    );
  }
  if ((tags.get('p')?.toLowerCase() ?? 'none') === 'none') {
    found.push(
      finding(
        'dmarc.none',
        node.domain,
        `The DMARC policy is none: ${quoted(record)}.`,
        'When the reports show that your own mail passes, publish p=quarantine, then p=reject.',
      ),
    );
  } else if (tags.get('t')?.toLowerCase() === 'y') {
    found.push(
      finding('dmarc.testing', node.domain, `The DMARC policy is a test: ${quoted(record)}.`, 'Remove t=y.'),
    );
  }
  return found;
}

function reportFindings(
  node: DmarcNode,
  tags: Map<string, string>,
  { reportDomains, reports }: DmarcFacts,
): HealthFinding[] {
  if (!tags.has('rua')) {
    const value = `${[...tags].map(([tag, text]) => `${tag}=${text}`).join('; ')}; rua=mailto:${reports}`;
    return [
      finding(
        'dmarc.no-reports',
        node.domain,
        'The DMARC record names no receiver of aggregate reports (rua).',
        'Name one.',
        { record: { name: `_dmarc.${node.domain}`, type: 'TXT', value } },
      ),
    ];
  }
  return reportDomains
    .filter(({ agrees }) => agrees === false)
    .map(({ domain }) =>
      finding(
        'dmarc.reports-refused',
        node.domain,
        `${domain} does not agree to take reports about ${node.domain}.`,
        `Have the record published in the zone of ${domain}, or name another receiver.`,
        {
          record: { name: `${node.domain}._report._dmarc.${domain}`, type: 'TXT', value: 'v=DMARC1' },
        },
      ),
    );
}

/** RFC 9989 §4.4: relaxed is the same organization, strict the same domain. DKIM signs as the From domain itself. */
function alignment(facts: DmarcFacts, tags: Map<string, string>): HealthFinding[] {
  const { domain, returnPath, walk, returnPathWalk, dkim, spf } = facts;
  const strict = tags.get('aspf')?.toLowerCase() === 's';
  const same = strict
    ? returnPath === domain
    : organizationalDomain(walk) === organizationalDomain(returnPathWalk);
  const bySpf = spf === undefined ? same : same && spf;
  const why = same
    ? `SPF of ${returnPath} does not pass`
    : `the return path ${returnPath} is ${strict ? 'another domain (aspf=s)' : 'of another organization'}`;
  if (dkim && bySpf) return [];
  if (dkim)
    return [
      finding(
        'dmarc.dkim-only',
        domain,
        `DKIM is aligned with ${domain}; ${why}.`,
        `Set a MAIL FROM domain below ${domain} (PutEmailIdentityMailFromAttributes) and publish its records.`,
      ),
    ];
  if (bySpf)
    return [
      finding(
        'dmarc.spf-only',
        domain,
        `SPF is aligned with ${domain}, DKIM is not: no published key verifies.`,
        'Publish the DKIM records of the identity.',
      ),
    ];
  return [
    finding(
      'dmarc.unaligned',
      domain,
      `No DKIM key of ${domain} verifies, and ${why}.`,
      'Publish the DKIM records of the identity first.',
    ),
  ];
}

function proposed(domain: string, { reports }: DmarcFacts) {
  return {
    name: `_dmarc.${domain}`,
    type: 'TXT' as const,
    value: `v=DMARC1; p=none; rua=mailto:${reports}`,
  };
}
