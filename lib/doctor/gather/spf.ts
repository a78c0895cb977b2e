/** Evaluates SPF by mailauth (RFC 7208 to the letter: `strict`), over the look-ups of a check. */
import type { SPFOptions } from 'mailauth';
import type { SpfEvaluation, SpfFacts, SpfResult } from '../rules/spf.ts';
import type { LookUps } from './look-ups.ts';

/** An address that no honest record covers (RFC 5737): what passes for it passes for anyone. */
const STRANGER = '203.0.113.254';
/** Look-ups for the stranger, so that a record over its limit is counted to its end. */
const COUNTED = 60;
const VERSION = /^v=spf1(?: |$)/i;

/** @param domain of the return path. @param sources public source addresses. */
export async function gatherSpf(
  domain: string,
  sources: readonly string[],
  lookUps: LookUps,
): Promise<SpfFacts> {
  const found = await lookUps.find(domain, 'TXT');
  if ('unanswered' in found) return { domain, records: [], unanswered: found.unanswered, sources: [] };
  const records = found.records.filter((record) => VERSION.test(record));
  if (records.length !== 1) {
    const none = { result: 'none' as const, text: '', lookups: 0, voids: 0 };
    return { domain, records, sources: sources.map((ip) => ({ ip, evaluation: none })) };
  }
  const stranger = await evaluateSpf(domain, STRANGER, lookUps, COUNTED);
  const evaluated: { ip: string; evaluation: SpfEvaluation }[] = [];
  // One after the other: the first fetches what all of them read.
  for (const ip of sources) evaluated.push({ ip, evaluation: await evaluateSpf(domain, ip, lookUps) });
  return { domain, records, stranger, sources: evaluated };
}

/** The result of `check_host()` for a return path of the domain. @param limit of look-ups, void ones included. */
export async function evaluateSpf(
  domain: string,
  ip: string,
  lookUps: LookUps,
  limit?: number,
): Promise<SpfEvaluation> {
  // Loaded when it is needed: it is a megabyte that no message needs.
  const { spf } = await import('mailauth/lib/spf/index.js');
  const { status, lookups } = await spf({
    sender: `postmaster@${domain}`,
    ip,
    helo: domain,
    mta: 'postern',
    strict: true,
    resolver: resolverOver(lookUps),
    ...(limit !== undefined && { maxResolveCount: limit, maxVoidCount: limit }),
  });
  const result = status.result as SpfResult;
  return {
    result,
    text: reasonOf(result, status.comment),
    lookups: lookups?.count ?? 0,
    voids: lookups?.void ?? 0,
  };
}

/** The part of mailauth's comment that names the fault; its frame repeats what the finding states. */
function reasonOf(result: SpfResult, comment: unknown): string {
  if (result !== 'permerror' && result !== 'temperror') return '';
  return String(comment).replace(/^.*during lookup of [^:]*:?\s*/, '');
}

/** Answers as `node:dns/promises` does, which is what mailauth expects. */
function resolverOver(lookUps: LookUps): NonNullable<SPFOptions['resolver']> {
  return (async (name: string, type: 'A' | 'AAAA' | 'MX' | 'PTR' | 'TXT') => {
    const found = await lookUps.find(name, type);
    if ('unanswered' in found) throw failure('ESERVFAIL', found.unanswered);
    if (found.records.length === 0)
      throw failure(found.exists ? 'ENODATA' : 'ENOTFOUND', `no ${type} of ${name}`);
    return found.records.map((record) => {
      if (typeof record !== 'string') return { exchange: record.exchange, priority: record.preference };
      return type === 'TXT' ? [record] : record;
    });
  }) as NonNullable<SPFOptions['resolver']>;
}

function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
