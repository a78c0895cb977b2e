/** What is kept of an aggregate report: sums, and the largest sources. Strangers write reports, so every list is bounded. */
import type { DmarcDisposition, DmarcReport } from './dmarc.ts';
import { printable } from './fields.ts';
import type { TlsReport } from './tls-report.ts';

const MAX_SOURCES = 50;
const MAX_POLICIES = 20;
const MAX_NAME = 100;

/** How one receiver judged the mail of a domain over the time of a report. */
export interface DmarcSummary {
  kind: 'dmarc';
  organisation: string;
  reportId: string;
  /** ms since the epoch. */
  begin: number;
  end: number;
  policy: DmarcDisposition;
  messages: number;
  /** Messages that passed by DKIM, by SPF, by either, with an aligned domain. */
  dkim: number;
  spf: number;
  passed: number;
  dispositions: Record<DmarcDisposition, number>;
  /** Those with most messages first. */
  sources: DmarcSource[];
  /** Sources that are left out. */
  moreSources: number;
}

/** Mail of one address. */
export interface DmarcSource {
  ip: string;
  messages: number;
  dkim: number;
  spf: number;
  /** Domains whose signatures it bore. */
  signedBy: string[];
}

/** Whether servers of one sender reached those of a domain over TLS. */
export interface TlsSummary {
  kind: 'tls';
  organisation: string;
  reportId: string;
  begin: number;
  end: number;
  successful: number;
  failed: number;
  policies: {
    type: string;
    successful: number;
    failed: number;
    failures: { type: string; sessions: number; mxHost?: string; reason?: string }[];
  }[];
}

export type ReportSummary = DmarcSummary | TlsSummary;

export function summariseDmarc(report: DmarcReport): DmarcSummary {
  const { begin, end, policy, rows } = report;
  const sums = { messages: 0, dkim: 0, spf: 0, passed: 0 };
  const dispositions = { none: 0, quarantine: 0, reject: 0 };
  const sources = new Map<string, DmarcSource>();
  for (const { sourceIp, count, disposition, dkim, spf, signatures } of rows) {
    sums.messages += count;
    if (dkim) sums.dkim += count;
    if (spf) sums.spf += count;
    if (dkim || spf) sums.passed += count;
    dispositions[disposition] += count;
    const ip = name(sourceIp);
    const source = sources.get(ip) ?? { ip, messages: 0, dkim: 0, spf: 0, signedBy: [] };
    sources.set(ip, source);
    source.messages += count;
    if (dkim) source.dkim += count;
    if (spf) source.spf += count;
    for (const { domain } of signatures) {
      const by = name(domain);
      if (source.signedBy.length < 3 && !source.signedBy.includes(by)) source.signedBy.push(by);
    }
  }
  const largest = [...sources.values()].sort((a, b) => b.messages - a.messages);
  return {
    kind: 'dmarc',
    ...named(report),
    begin,
    end,
    policy,
    ...sums,
    dispositions,
    sources: largest.slice(0, MAX_SOURCES),
    moreSources: Math.max(0, largest.length - MAX_SOURCES),
  };
}

/** The part of a report that is about one domain. @param domain lower case. */
export function summariseTls(report: TlsReport, domain: string): TlsSummary {
  const { begin, end } = report;
  const policies = report.policies.filter((policy) => policy.domain === domain);
  const sum = (of: 'successful' | 'failed'): number => policies.reduce((total, one) => total + one[of], 0);
  return {
    kind: 'tls',
    ...named(report),
    begin,
    end,
    successful: sum('successful'),
    failed: sum('failed'),
    policies: policies.slice(0, MAX_POLICIES).map(({ type, successful, failed, failures }) => ({
      type: name(type),
      successful,
      failed,
      failures: failures.slice(0, MAX_POLICIES).map((failure) => ({
        type: name(failure.type),
        sessions: failure.sessions,
        ...(failure.mxHost && { mxHost: name(failure.mxHost) }),
        ...(failure.reason && { reason: name(failure.reason) }),
      })),
    })),
  };
}

function named({ organisation, reportId }: { organisation: string; reportId: string }) {
  return { organisation: name(organisation), reportId: name(reportId) };
}

function name(text: string): string {
  return printable(text).slice(0, MAX_NAME);
}
