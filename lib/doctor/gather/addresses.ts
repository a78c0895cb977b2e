/** Looks up the PTR records of source addresses, and where their names lead. */
import ipaddr from 'ipaddr.js';
import { canonicalIp, familyOf } from '../../ip.ts';
import { isPublicAddress } from '../../public-address.ts';
import type { AddressFacts } from '../rules/addresses.ts';
import type { LookUps } from './look-ups.ts';

/** PTR names of one address that are followed. */
const MAX_NAMES = 5;

export interface SourceOnHost {
  ip: string;
  /** Name in EHLO; absent: unknown here. */
  ehlo?: string;
  /** Whether this host has the address; absent: unknown here. */
  local?: boolean;
}

export async function gatherAddress(
  { ip, ehlo, local }: SourceOnHost,
  lookUps: LookUps,
): Promise<AddressFacts> {
  const facts: AddressFacts = { ip, local, pointers: [], confirmed: [] };
  if (!isPublicAddress(ip)) return facts;
  const found = await lookUps.find(reverseName(ip), 'PTR');
  if ('unanswered' in found) return { ...facts, unanswered: found.unanswered };
  const pointers = found.records.slice(0, MAX_NAMES);
  const back = await Promise.all(pointers.map((name) => leadsTo(name, ip, lookUps)));
  return {
    ...facts,
    pointers,
    confirmed: pointers.filter((_, at) => back[at] === true),
    ...(ehlo !== undefined && { ehlo: { name: ehlo, leadsHere: await leadsTo(ehlo, ip, lookUps) } }),
  };
}

/** Undefined: DNS gave no answer. */
async function leadsTo(name: string, ip: string, lookUps: LookUps): Promise<boolean | undefined> {
  const found = await lookUps.find(name, familyOf(ip) === 6 ? 'AAAA' : 'A');
  if ('unanswered' in found) return undefined;
  return found.records.some((address) => canonicalIp(address) === canonicalIp(ip));
}

/** The name under which DNS has the PTR records of an address (RFC 1035 §3.5, RFC 3596 §2.5). */
export function reverseName(ip: string): string {
  return `${reversed(ip)}.${familyOf(ip) === 6 ? 'ip6' : 'in-addr'}.arpa`;
}

/** Octets or nibbles in reverse order, as blocklists have them, too (RFC 5782 §2). */
export function reversed(ip: string): string {
  const parsed = ipaddr.parse(ip);
  if (parsed instanceof ipaddr.IPv4) return parsed.octets.toReversed().join('.');
  const nibbles = parsed.toByteArray().flatMap((byte) => [byte >> 4, byte & 15]);
  return nibbles
    .toReversed()
    .map((nibble) => nibble.toString(16))
    .join('.');
}
