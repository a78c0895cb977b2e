/** Source addresses: PTR and its way back (RFC 1912 §2.1, forward-confirmed), and the name in EHLO (RFC 5321 §4.1.4). */
import { isPublicAddress } from '../../public-address.ts';
import { finding, type HealthFinding } from '../finding.ts';

export interface AddressFacts {
  ip: string;
  /** Whether this host has the address; undefined: unknown here. */
  local?: boolean;
  /** Names of its PTR records, and those of them that lead back to it. */
  pointers: readonly string[];
  confirmed: readonly string[];
  /** The name in EHLO and whether it leads to the address; absent: unknown here. */
  ehlo?: { name: string; leadsHere: boolean | undefined };
  /** Why DNS gave no answer. */
  unanswered?: string;
}

/** Parts of names that providers give to homes and clouds, next to a number. */
const GENERIC =
  /(?:^|[.-])(?:dyn(?:amic)?|dsl|adsl|pool|dhcp|ppp|cable|client|static|ip|host|vps|ec2)[.-]?\d|compute(?:-\d+)?\.amazonaws\.com$/;

export function addressFindings(facts: AddressFacts): HealthFinding[] {
  const { ip, local, unanswered } = facts;
  const found: HealthFinding[] = [];
  if (local === false) {
    found.push(
      finding(
        'address.not-here',
        ip,
        `${ip} is not an address of this host.`,
        'Add it to the interface, or correct POSTERN_EGRESS_IPS and the pools.',
        { command: `ip address add ${ip} dev eth0` },
      ),
    );
  }
  if (!isPublicAddress(ip)) {
    found.push(
      finding(
        'address.private',
        ip,
        `${ip} is no public address; the one that receivers see is not known here.`,
        'Check PTR, SPF and listings of the public address, or send from it.',
      ),
    );
    return found;
  }
  if (unanswered !== undefined) {
    found.push(
      finding(
        'dns.unanswered',
        ip,
        `DNS gives no answer about ${ip}: ${unanswered}.`,
        'Check the resolver, then look again.',
      ),
    );
    return found;
  }
  return [...found, ...pointerFindings(facts), ...ehloFindings(facts)];
}

function pointerFindings({ ip, pointers, confirmed, ehlo }: AddressFacts): HealthFinding[] {
  const name = ehlo?.name ?? pointers[0] ?? 'mail.example.com';
  const record = { name: ip, type: 'PTR' as const, value: name };
  if (pointers.length === 0) {
    return [
      finding(
        'ptr.missing',
        ip,
        `${ip} has no PTR record.`,
        'Have the owner of the network set it to the name in EHLO.',
        { record },
      ),
    ];
  }
  if (confirmed.length === 0) {
    return [
      finding(
        'ptr.unconfirmed',
        ip,
        `The PTR name ${pointers[0]} of ${ip} does not lead back to it.`,
        `Publish an address record of ${pointers[0]}, or have the PTR changed.`,
        { record: { name: pointers[0]!, type: 'A', value: ip } },
      ),
    ];
  }
  if (confirmed.every((one) => isGeneric(one, ip))) {
    return [
      finding(
        'ptr.generic',
        ip,
        `The PTR name of ${ip} is generic: ${confirmed[0]}.`,
        'Have the owner of the network set it to a name of your own.',
        { record },
      ),
    ];
  }
  return [];
}

/** Whether a name is made of the address, or says what kind of line it is. */
function isGeneric(name: string, ip: string): boolean {
  if (GENERIC.test(name)) return true;
  if (ip.includes(':')) return false;
  const octets = ip.split('.');
  return [octets, octets.toReversed()].some((parts) =>
    [parts.join('-'), parts.join('.')].some((text) => name.includes(text)),
  );
}

function ehloFindings({ ip, confirmed, ehlo }: AddressFacts): HealthFinding[] {
  if (ehlo === undefined || ehlo.leadsHere === undefined) return [];
  if (!ehlo.leadsHere) {
    return [
      finding(
        'ehlo.unresolved',
        ip,
        `The name in EHLO, ${ehlo.name}, does not lead to ${ip}.`,
        'Publish the record, or set ehloNames.',
        { record: { name: ehlo.name, type: 'A', value: ip } },
      ),
    ];
  }
  if (confirmed.length === 0 || confirmed.includes(ehlo.name.toLowerCase())) return [];
  return [
    finding(
      'ehlo.mismatch',
      ip,
      `${ip} says ${ehlo.name} in EHLO, and its PTR name is ${confirmed[0]}.`,
      `Set ehloNames: { '${ip}': '${confirmed[0]}' } in postern.config.ts, or have the PTR changed.`,
    ),
  ];
}
