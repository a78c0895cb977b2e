/**
 * The DNS tree walk of DMARC (RFC 9989 §4.10): which names have a record, which domain is the organizational one, and
 * which record is the policy of a domain. Pure; `gather/dmarc.ts` looks the names up.
 */
import { ofVersion, readTags } from './tag-list.ts';

/** The DMARC records of one name. */
export interface DmarcNode {
  domain: string;
  /** Records that begin with `v=DMARC1`. */
  records: readonly string[];
}

/** Labels from which on a walk skips names, so that a long one costs 8 queries at most. */
const LONG = 8;

/** The domains at which a walk looks for `_dmarc`, from the domain itself up to its top-level domain. */
export function walkOf(domain: string): string[] {
  const labels = domain.split('.');
  const names = [domain];
  let left = labels.length;
  while (left > 1) {
    left = left < LONG ? left - 1 : LONG - 1;
    names.push(labels.slice(-left).join('.'));
  }
  return names;
}

export function dmarcRecords(texts: readonly string[]): string[] {
  return ofVersion('DMARC1', texts);
}

/** The tags of a node's record; undefined where there is none, more than one, or one that cannot be read. */
export function policyAt({ records }: DmarcNode): Map<string, string> | undefined {
  return records.length === 1 ? readTags(records[0]!) : undefined;
}

/** The organizational domain (RFC 9989 §4.10.2). @param walk from the domain upwards. */
export function organizationalDomain(walk: readonly DmarcNode[]): string {
  const [start] = walk as [DmarcNode];
  let shortest = start.domain;
  for (const [at, node] of walk.entries()) {
    const tags = policyAt(node);
    if (tags === undefined) continue;
    const psd = tags.get('psd')?.toLowerCase();
    if (psd === 'n') return node.domain;
    if (psd === 'y' && at > 0) return belowOf(start.domain, node.domain);
    shortest = node.domain;
  }
  return shortest;
}

/** The record that holds for a domain (RFC 9989 §4.10.1): its own, its organizational domain's, or the suffix's. */
export function policyNode(walk: readonly DmarcNode[]): DmarcNode | undefined {
  const readable = walk.filter((node) => policyAt(node) !== undefined);
  const [start] = walk as [DmarcNode];
  if (readable[0] === start) return start;
  const organization = organizationalDomain(walk);
  return readable.find(({ domain }) => domain === organization) ?? readable.at(-1);
}

/** The name one label below `parent` on the way to `domain`. */
function belowOf(domain: string, parent: string): string {
  return domain
    .split('.')
    .slice(-(parent.split('.').length + 1))
    .join('.');
}
