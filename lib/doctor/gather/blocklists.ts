/** Asks DNS blocklists about source addresses, after the test entry of each has shown that it answers (RFC 5782). */
import { isPublicAddress } from '../../public-address.ts';
import { type BlocklistFacts, isUsable } from '../rules/blocklists.ts';
import { reversed } from './addresses.ts';
import type { LookUps } from './look-ups.ts';

export async function gatherBlocklist(
  list: string,
  ips: readonly string[],
  lookUps: LookUps,
): Promise<BlocklistFacts> {
  const records = async (name: string): Promise<string[] | undefined> => {
    const found = await lookUps.find(`${name}.${list}`, 'A');
    return 'unanswered' in found ? undefined : found.records;
  };
  const [testEntry, neverEntry] = await Promise.all([records('2.0.0.127'), records('1.0.0.127')]);
  const facts = { list, testEntry, neverEntry };
  // What it answers about anything else would mean nothing.
  if (!isUsable(facts)) return { ...facts, addresses: [] };
  const addresses: BlocklistFacts['addresses'][number][] = [];
  for (const ip of ips.filter(isPublicAddress)) {
    const found = await records(reversed(ip));
    const reasons = found?.length ? await lookUps.find(`${reversed(ip)}.${list}`, 'TXT') : undefined;
    addresses.push({ ip, records: found, reasons: reasons && 'records' in reasons ? reasons.records : [] });
  }
  return { ...facts, addresses };
}
