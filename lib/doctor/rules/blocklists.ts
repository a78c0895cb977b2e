/**
 * DNS blocklists (RFC 5782): a listed address has a record in 127.0.0.0/8. Each list has the test entry 127.0.0.2, and
 * never lists 127.0.0.1. Answers in 127.255.255.0/24 say that the query was refused (public resolver, too many).
 */
import { cut, finding, type HealthFinding } from '../finding.ts';

export interface BlocklistFacts {
  list: string;
  /** Records of 127.0.0.2, which is listed, and of 127.0.0.1, which is not; undefined: no answer. */
  testEntry: readonly string[] | undefined;
  neverEntry: readonly string[] | undefined;
  /** By address; `reasons` are the list's TXT records. */
  addresses: readonly { ip: string; records: readonly string[] | undefined; reasons: readonly string[] }[];
}

export function isRefusal(record: string): boolean {
  return record.startsWith('127.255.255.');
}

/** Whether the list answers as RFC 5782 §5 requires, so that its other answers mean something. */
export function isUsable({
  testEntry,
  neverEntry,
}: Pick<BlocklistFacts, 'testEntry' | 'neverEntry'>): boolean {
  return testEntry?.some(isListing) === true && neverEntry?.length === 0;
}

function isListing(record: string): boolean {
  return record.startsWith('127.') && !isRefusal(record);
}

export function blocklistFindings(facts: BlocklistFacts): HealthFinding[] {
  const { list, testEntry, addresses } = facts;
  const answers = [testEntry ?? [], ...addresses.map(({ records }) => records ?? [])].flat();
  if (answers.some(isRefusal)) {
    return [
      finding(
        'blocklist.refused',
        list,
        `${list} refuses queries by this resolver (${answers.find(isRefusal)}).`,
        'Query it from a resolver of your own, or with the key that the list gives you.',
      ),
    ];
  }
  if (!isUsable(facts)) {
    return [
      finding(
        'blocklist.unusable',
        list,
        `${list} does not list its test entry 127.0.0.2, or lists 127.0.0.1.`,
        'Remove it from doctor.blocklists in postern.config.ts.',
        { command: `dig +short 2.0.0.127.${list}` },
      ),
    ];
  }
  return addresses.flatMap(({ ip, records, reasons }) => {
    if (!records?.some(isListing)) return [];
    const reason = reasons.length > 0 ? `: ${cut(reasons[0]!, 300)}` : '';
    return [
      finding(
        'blocklist.listed',
        ip,
        `${ip} is listed by ${list} (${records.join(', ')})${reason}.`,
        'Find what it is listed for and end it, then ask the list for its removal.',
      ),
    ];
  });
}
