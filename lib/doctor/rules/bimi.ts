/** The BIMI record (draft-brand-indicators-for-message-identification): checked and explained only. */
import { finding, type HealthFinding, quoted } from '../finding.ts';
import { ofVersion, readTags } from '../tag-list.ts';
import { type DmarcNode, policyAt, policyNode } from '../tree-walk.ts';
import { policyOf } from './dmarc.ts';

export interface BimiFacts {
  domain: string;
  /** TXT records of `default._bimi` of the domain, or of its organizational domain. */
  records: readonly string[];
  unanswered?: string;
  /** The walk for the policy of the domain. */
  walk: readonly DmarcNode[];
}

export function bimiFindings({ domain, records, unanswered, walk }: BimiFacts): HealthFinding[] {
  if (unanswered !== undefined) return [];
  const own = ofVersion('BIMI1', records);
  if (own.length === 0) {
    return [
      finding(
        'bimi.missing',
        domain,
        `${domain} publishes no logo (BIMI).`,
        'Optional: publish the record, with the address of an SVG (Tiny PS) and of its mark certificate.',
        {
          record: {
            name: `default._bimi.${domain}`,
            type: 'TXT',
            value: `v=BIMI1; l=https://${domain}/logo.svg; a=https://${domain}/logo.pem`,
          },
        },
      ),
    ];
  }
  const tags = readTags(own[0]!);
  const logo = tags?.get('l');
  // An empty l= is how a domain declines to take part.
  if (own.length === 1 && logo === '') return [];
  const certificate = tags?.get('a') ?? '';
  const problem = own.length > 1 ? 'there are two of them' : syntax(logo, certificate);
  if (problem !== undefined)
    return [finding('bimi.syntax', domain, `The BIMI record ${quoted(own[0]!)}: ${problem}.`, 'Correct it.')];
  const found: HealthFinding[] = [];
  if (!isEnforced(domain, walk)) {
    found.push(
      finding(
        'bimi.no-enforcement',
        domain,
        `The DMARC policy of ${domain} does not quarantine or reject.`,
        'Publish p=quarantine or p=reject (and sp, where it is given), without t=y.',
      ),
    );
  }
  if (certificate === '')
    found.push(
      finding(
        'bimi.no-certificate',
        domain,
        'The BIMI record names no mark certificate (a=).',
        'Optional: get a VMC, or a CMC for a mark without trademark, and name its PEM file in a=.',
      ),
    );
  return found;
}

function syntax(logo: string | undefined, certificate: string): string | undefined {
  if (logo === undefined) return 'it has no l=';
  if (!/^https:\/\/\S+$/i.test(logo)) return 'l= is no https address';
  if (certificate !== '' && !/^https:\/\/\S+$/i.test(certificate)) return 'a= is no https address';
  return undefined;
}

function isEnforced(domain: string, walk: readonly DmarcNode[]): boolean {
  const node = policyNode(walk);
  const tags = node && policyAt(node);
  if (!node || !tags || tags.get('t')?.toLowerCase() === 'y') return false;
  return policyOf(domain, node, tags) !== 'none' && tags.get('sp')?.toLowerCase() !== 'none';
}
