/** Evaluates SPF of a return path for the source addresses, and for an address that belongs to nobody. */
import type { SpfEvaluation, SpfFacts } from '../rules/spf.ts';
import { checkHost } from './check-host.ts';
import type { LookUps } from './look-ups.ts';

/** An address that no honest record covers (RFC 5737): what passes for it passes for anyone. */
const STRANGER = '203.0.113.254';
/** Limits for the stranger, so that a record over those of the RFC is counted to its end. */
const COUNTED = { terms: 60, voids: 60 };
/** Addresses evaluated in one turn of the event loop. */
const SLICE = 8;
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
  const stranger = await checkHost(domain, STRANGER, lookUps, COUNTED);
  const evaluated: { ip: string; evaluation: SpfEvaluation }[] = [];
  // One after the other: the first fetches what all of them read.
  for (const ip of sources) {
    evaluated.push({ ip, evaluation: await checkHost(domain, ip, lookUps) });
    // What is looked up already is read without a pause: delivery gets a turn in between.
    if (evaluated.length % SLICE === 0) await new Promise(setImmediate);
  }
  return { domain, records, stranger, sources: evaluated };
}
