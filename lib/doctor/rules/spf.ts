/** SPF of the return path (RFC 7208): one record, within its look-ups, that covers every source address. */
import { familyOf } from '../../ip.ts';
import { finding, type HealthFinding, quoted } from '../finding.ts';

export type SpfResult = 'pass' | 'fail' | 'softfail' | 'neutral' | 'none' | 'permerror' | 'temperror';

export interface SpfEvaluation {
  result: SpfResult;
  /** The evaluator's reason for an error. */
  text: string;
  lookups: number;
  voids: number;
}

export interface SpfFacts {
  domain: string;
  /** Records of the domain that begin with `v=spf1`. */
  records: readonly string[];
  /** Why DNS gave no answer. */
  unanswered?: string;
  /**
   * The result for an address that belongs to nobody, without the limits on look-ups: the whole record is walked.
   * Absent without exactly one record.
   */
  stranger?: SpfEvaluation;
  /** The result for each public source address, within the limits. */
  sources: readonly { ip: string; evaluation: SpfEvaluation }[];
}

/** RFC 7208 §4.6.4. */
const MAX_LOOKUPS = 10;
const MAX_VOIDS = 2;
/** Addresses that one record names: a TXT record has to fit into a UDP answer. */
const MAX_TERMS = 20;
/** Addresses with a finding of their own. */
const MAX_SHOWN = 10;

export function spfFindings(facts: SpfFacts): HealthFinding[] {
  const { domain, records, unanswered, stranger, sources } = facts;
  if (unanswered !== undefined) {
    return [
      finding(
        'dns.unanswered',
        domain,
        `DNS gives no answer about SPF: ${unanswered}.`,
        'Check the name servers of the domain, then look again.',
      ),
    ];
  }
  const ips = sources.map(({ ip }) => ip);
  if (records.length === 0) return [missing(domain, ips)];
  if (records.length > 1) return [multiple(domain, records)];
  const [record] = records as [string];
  if (stranger === undefined) return [];
  if (stranger.result === 'permerror') {
    return [
      finding(
        'spf.syntax',
        domain,
        `The SPF record ${quoted(record)} is a permanent error: ${stranger.text}.`,
        'Correct the record, or the record of the include that the text names.',
      ),
    ];
  }
  if (stranger.result === 'temperror') {
    return [
      finding(
        'dns.unanswered',
        domain,
        `SPF cannot be evaluated: ${stranger.text}.`,
        'Check the name servers of the domain and of its includes, then look again.',
      ),
    ];
  }
  return [
    ...limits(domain, stranger),
    ...permission(domain, record, stranger),
    ...coverage(domain, record, facts),
  ];
}

function missing(domain: string, ips: readonly string[]): HealthFinding {
  const value = ips.length === 0 ? 'v=spf1 a mx ~all' : `v=spf1 ${terms(ips)} ~all`;
  return finding(
    'spf.missing',
    domain,
    `${domain} has no SPF record.`,
    'Publish one that names the source addresses.',
    {
      record: { name: domain, type: 'TXT', value },
    },
  );
}

function multiple(domain: string, records: readonly string[]): HealthFinding {
  const parts = records.map((record) => record.replace(/^v=spf1\s*/i, '').replace(/\s*[-~?+]?all\s*$/i, ''));
  const value = `v=spf1 ${[...new Set(parts.filter((part) => part !== ''))].join(' ')} ~all`;
  return finding(
    'spf.multiple',
    domain,
    `${domain} has ${records.length} SPF records: ${records.map(quoted).join(', ')}.`,
    'Publish one record with the terms of all, and delete the others.',
    {
      record: { name: domain, type: 'TXT', value },
    },
  );
}

function limits(domain: string, { lookups, voids }: SpfEvaluation): HealthFinding[] {
  const found: HealthFinding[] = [];
  if (lookups > MAX_LOOKUPS) {
    found.push(
      finding(
        'spf.lookups',
        domain,
        `The SPF record needs ${lookups} DNS look-ups; ${MAX_LOOKUPS} are permitted.`,
        'Remove includes that are not used, or name networks by ip4: and ip6:, which need no look-up.',
      ),
    );
  } else if (lookups >= MAX_LOOKUPS - 1) {
    found.push(
      finding(
        'spf.lookups-near',
        domain,
        `The SPF record needs ${lookups} of ${MAX_LOOKUPS} permitted DNS look-ups.`,
        'Remove includes that are not used.',
      ),
    );
  }
  if (voids > MAX_VOIDS) {
    found.push(
      finding(
        'spf.voids',
        domain,
        `The SPF record names ${voids} hosts or domains that do not exist; ${MAX_VOIDS} are permitted.`,
        'Remove the terms whose names do not exist.',
      ),
    );
  }
  return found;
}

function permission(domain: string, record: string, { result }: SpfEvaluation): HealthFinding[] {
  if (result !== 'pass') return [];
  return [
    finding(
      'spf.permits-all',
      domain,
      `The SPF record ${quoted(record)} passes any address.`,
      'End the record with ~all or -all, and name no network that is not yours.',
    ),
  ];
}

function coverage(domain: string, record: string, { sources }: SpfFacts): HealthFinding[] {
  if (sources.length === 0) {
    return [
      finding(
        'spf.no-sources',
        domain,
        'No public source address is known here.',
        'Name the addresses in POSTERN_EGRESS_IPS, or in a routing document.',
      ),
    ];
  }
  const uncovered = sources.filter(({ evaluation }) => evaluation.result !== 'pass');
  if (uncovered.length === 0) return [];
  const value = withTerms(record, terms(uncovered.map(({ ip }) => ip)));
  const all = uncovered.length === 1 ? '' : `, one of ${uncovered.length} addresses`;
  return uncovered.slice(0, MAX_SHOWN).map(({ ip, evaluation: { result, text } }) =>
    finding(
      'spf.uncovered',
      domain,
      `SPF of ${domain} for ${ip}${all}: ${result}${text === '' ? '' : ` (${text})`}.`,
      `Add ${term(ip)} to the record.`,
      {
        record: { name: domain, type: 'TXT', value },
      },
    ),
  );
}

function term(ip: string): string {
  return `ip${familyOf(ip) === 6 ? 6 : 4}:${ip}`;
}

function terms(ips: readonly string[]): string {
  return ips.slice(0, MAX_TERMS).map(term).join(' ');
}

/** The record with further terms at its beginning: before any include that could fail, and before `all`. */
function withTerms(record: string, added: string): string {
  return record.replace(/^v=spf1/i, `v=spf1 ${added}`);
}
