/** MTA-STS (RFC 8461) and TLS-RPT (RFC 8460) of a domain that receives mail. */
import { finding, type HealthFinding, quoted } from '../finding.ts';
import { ofVersion, readTags } from '../tag-list.ts';

/** The policy file, or why it could not be fetched. */
export type PolicyFile = { body: string } | { problem: string };

export interface MtaStsFacts {
  domain: string;
  /** Hosts of its MX records; empty: it receives no mail. */
  exchanges: readonly string[];
  /** TXT records of `_mta-sts` and of `_smtp._tls`. */
  records: readonly string[];
  tlsReports: readonly string[];
  unanswered?: string;
  /** Mailbox for reports, for a record that is proposed. */
  reports: string;
  /** Absent where there is no record. */
  file?: PolicyFile;
}

interface StsPolicy {
  mode: string;
  mx: string[];
  maxAge: number;
}

export function mtaStsFindings(facts: MtaStsFacts): HealthFinding[] {
  const { domain, exchanges, records, unanswered, file } = facts;
  if (unanswered !== undefined) {
    return [
      finding(
        'dns.unanswered',
        domain,
        `DNS gives no answer about _mta-sts.${domain}: ${unanswered}.`,
        'Check the name servers of the domain, then look again.',
      ),
    ];
  }
  if (exchanges.length === 0) return [];
  const own = ofVersion('STSv1', records);
  if (own.length === 0) {
    return [
      finding(
        'mta-sts.missing',
        domain,
        `${domain} publishes no MTA-STS policy.`,
        `Serve the policy at https://mta-sts.${domain}/.well-known/mta-sts.txt, then publish the record.`,
        { record: stsRecord(domain) },
      ),
    ];
  }
  const broken = (text: string, remedy: string): HealthFinding =>
    finding('mta-sts.broken', domain, text, remedy);
  if (own.length > 1) return [broken(`_mta-sts.${domain} has ${own.length} records.`, 'Leave one of them.')];
  if (!/^[A-Za-z0-9]{1,32}$/.test(readTags(own[0]!)?.get('id') ?? '')) {
    return [
      finding(
        'mta-sts.broken',
        domain,
        `The record ${quoted(own[0]!)} has no id of 1 to 32 letters and digits.`,
        'Correct it.',
        { record: stsRecord(domain) },
      ),
    ];
  }
  if (file === undefined || 'problem' in file) {
    return [
      broken(
        `https://mta-sts.${domain}/.well-known/mta-sts.txt: ${file?.problem ?? 'it was not fetched'}.`,
        'Serve it with status 200, as text/plain, without a redirect, under a certificate for that name.',
      ),
    ];
  }
  const policy = readStsPolicy(file.body);
  if (typeof policy === 'string')
    return [
      broken(
        `The MTA-STS policy of ${domain}: ${policy}.`,
        'Correct the policy file, then change the id of the record.',
      ),
    ];
  return policyFindings(facts, policy);
}

function policyFindings({ domain, exchanges }: MtaStsFacts, { mode, mx }: StsPolicy): HealthFinding[] {
  const found: HealthFinding[] = [];
  if (mode !== 'enforce') {
    found.push(
      finding(
        'mta-sts.testing',
        domain,
        `The MTA-STS policy of ${domain} has the mode ${mode}.`,
        'When TLS reports show no failures, set mode: enforce and change the id of the record.',
      ),
    );
  }
  const uncovered =
    mode === 'none' ? [] : exchanges.filter((host) => !mx.some((pattern) => covers(pattern, host)));
  for (const host of uncovered) {
    found.push(
      finding(
        'mta-sts.mx-uncovered',
        domain,
        `The MTA-STS policy of ${domain} does not name its MX ${host}.`,
        `Add the line "mx: ${host}" to the policy file, then change the id of the record.`,
      ),
    );
  }
  return found;
}

/** RFC 8461 §3.2. @returns the policy, or what is wrong with it. */
export function readStsPolicy(body: string): StsPolicy | string {
  const mx: string[] = [];
  const fields = new Map<string, string>();
  for (const line of body.split(/\r?\n/, 2_000)) {
    const [, key, value] = /^\s*([A-Za-z0-9][A-Za-z0-9_.-]*)\s*:\s*(.*?)\s*$/.exec(line) ?? [];
    if (key === undefined) continue;
    if (key === 'mx') mx.push(value!.toLowerCase());
    else if (!fields.has(key)) fields.set(key, value!);
  }
  if (fields.get('version') !== 'STSv1') return 'it has no line "version: STSv1"';
  const mode = fields.get('mode') ?? '';
  if (!['enforce', 'testing', 'none'].includes(mode)) return 'its mode is none of enforce, testing, none';
  const maxAge = fields.get('max_age') ?? '';
  if (!/^\d{1,10}$/.test(maxAge)) return 'its max_age is no number of seconds';
  if (mx.length === 0 && mode !== 'none') return 'it names no mx';
  return { mode, mx, maxAge: Number(maxAge) };
}

/** RFC 8461 §4.1: a wildcard stands for one label, the left-most. */
function covers(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host;
  const dot = host.indexOf('.');
  return dot > 0 && host.slice(dot) === pattern.slice(1);
}

export function tlsRptFindings({
  domain,
  exchanges,
  tlsReports,
  unanswered,
  reports,
}: MtaStsFacts): HealthFinding[] {
  if (exchanges.length === 0 || unanswered !== undefined) return [];
  const record = {
    name: `_smtp._tls.${domain}`,
    type: 'TXT' as const,
    value: `v=TLSRPTv1; rua=mailto:${reports}`,
  };
  const own = ofVersion('TLSRPTv1', tlsReports);
  if (own.length === 0)
    return [
      finding('tls-rpt.missing', domain, `${domain} asks for no reports about TLS.`, 'Publish the record.', {
        record,
      }),
    ];
  const receivers = readTags(own[0]!)?.get('rua')?.split(',') ?? [];
  const isRead =
    own.length === 1 &&
    receivers.length > 0 &&
    receivers.every((one) => /^\s*(?:mailto:[^@\s]+@[^@\s]+|https:\/\/\S+)\s*$/i.test(one));
  if (isRead) return [];
  return [
    finding(
      'tls-rpt.syntax',
      domain,
      `The TLS-RPT record ${own.map(quoted).join(', ')} names no receiver as mailto: or https:.`,
      'Publish one record of this form.',
      { record },
    ),
  ];
}

function stsRecord(domain: string) {
  return { name: `_mta-sts.${domain}`, type: 'TXT' as const, value: 'v=STSv1; id=1' };
}
