/**
 * Reads TLS reports (RFC 8460): whether receivers' servers reached ours, and ours theirs, over TLS as MTA-STS and
 * DANE require.
 */
import { PosternError } from '../errors.ts';
import { expand } from './expand.ts';

export interface TlsReport {
  organisation: string;
  reportId: string;
  /** Start of the report's time, since the epoch, ms. */
  begin: number;
  end: number;
  policies: TlsPolicyResult[];
}

/** Sessions under one policy. */
export interface TlsPolicyResult {
  /** `sts`, `tlsa` or `no-policy-found`. */
  type: string;
  domain: string;
  successful: number;
  failed: number;
  /** Failures by result type, as `certificate-expired`. */
  failures: { type: string; sessions: number; mxHost?: string; reason?: string }[];
}

const MAX_POLICIES = 1_000;
const MAX_FAILURES = 1_000;
const MAX_TEXT = 1_024;
/**
 * Maximum size of the JSON: it is parsed as a whole, and its values take several times the memory of their text,
 * octets.
 */
const MAX_JSON = 2 * 1024 * 1024;

/** @param bytes the attachment: JSON, or JSON in gzip. @throws PosternError `bad_request` that states what is wrong. */
export async function readTlsReport(bytes: Buffer): Promise<TlsReport> {
  const pieces: Buffer[] = [];
  let octets = 0;
  for await (const piece of expand(bytes)) {
    octets += piece.length;
    if (octets > MAX_JSON) throw refused(`it has more than ${MAX_JSON} octets`);
    pieces.push(piece);
  }
  let json: unknown;
  try {
    json = JSON.parse(Buffer.concat(pieces).toString('utf8'));
  } catch {
    throw refused('it is not JSON');
  }
  const report = object(json);
  const range = object(report['date-range']);
  const begin = Date.parse(text(range['start-datetime']));
  const end = Date.parse(text(range['end-datetime']));
  if (!Number.isFinite(begin) || !Number.isFinite(end)) throw refused('it names no time');
  const policies = list(report.policies);
  if (policies.length > MAX_POLICIES) throw refused(`it has more than ${MAX_POLICIES} policies`);
  return {
    organisation: text(report['organization-name']),
    reportId: text(report['report-id']),
    begin,
    end,
    policies: policies.map(policyOf),
  };
}

function policyOf(value: unknown): TlsPolicyResult {
  const { policy, summary, 'failure-details': details } = object(value);
  const { 'policy-type': type, 'policy-domain': domain } = object(policy);
  const counts = object(summary);
  return {
    type: text(type),
    domain: text(domain).toLowerCase(),
    successful: count(counts['total-successful-session-count']),
    failed: count(counts['total-failure-session-count']),
    failures: list(details)
      .slice(0, MAX_FAILURES)
      .map((one) => {
        const failure = object(one);
        const mxHost = text(failure['receiving-mx-hostname']);
        const reason = text(failure['failure-reason-code']);
        return {
          type: text(failure['result-type']),
          sessions: count(failure['failed-session-count']),
          ...(mxHost && { mxHost }),
          ...(reason && { reason }),
        };
      }),
  };
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT) : '';
}

function count(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : 0;
}

function refused(why: string): PosternError {
  return new PosternError('bad_request', `The TLS report is refused: ${why}.`);
}
