/** A finding: what is wrong with a domain or a host, why it matters, and the exact record or command that mends it. */
import { cleanText } from '../text.ts';
import { CATALOGUE, type FindingId, type FindingSeverity } from './catalogue.ts';

/** A record to publish. */
export interface RecordToPublish {
  name: string;
  type: 'TXT' | 'CNAME' | 'MX' | 'A' | 'PTR';
  value: string;
}

export interface HealthFinding {
  /** Stable code of the rule. */
  id: FindingId;
  severity: FindingSeverity;
  /** The domain, address or thing that it is about. */
  subject: string;
  /** What is wrong, one sentence or two. */
  text: string;
  /** Why it matters. */
  why: string;
  /** What to do. */
  remedy: string;
  record?: RecordToPublish;
  /** For a shell on the host. */
  command?: string;
}

/** Lengths at which text of strangers is cut. */
const MAX_QUOTED = 200;
const MAX_TEXT = 800;
/** A longer value than any honest record is not repeated. */
const MAX_RECORD = 4_096;

/** @param text what is wrong. @param remedy what to do, and the record or command. */
export function finding(
  id: FindingId,
  subject: string,
  text: string,
  remedy: string,
  exact: Pick<HealthFinding, 'record' | 'command'> = {},
): HealthFinding {
  const { severity, why } = CATALOGUE[id];
  const { record, command } = exact;
  return {
    id,
    severity,
    subject,
    text: cut(text, MAX_TEXT),
    why,
    remedy,
    ...(record && record.value.length <= MAX_RECORD && { record }),
    ...(command !== undefined && { command }),
  };
}

/** Text of a stranger's record in a sentence: on one line, in quotes, cut. */
export function quoted(text: string): string {
  return `"${cut(text, MAX_QUOTED)}"`;
}

/** On one line, and no longer than `most` characters and a mark. */
export function cut(text: string, most: number = MAX_RECORD): string {
  return cleanText((text.length > most ? `${text.slice(0, most)}…` : text).toWellFormed());
}

const RANK: Readonly<Record<FindingSeverity, number>> = { error: 0, warning: 1, notice: 2 };

/** The worst first; in one severity the order of the rules. */
export function bySeverity(findings: readonly HealthFinding[]): HealthFinding[] {
  return findings.toSorted((a, b) => RANK[a.severity] - RANK[b.severity]);
}
