/**
 * Decides to which addresses Postern may connect. MX records, address records and webhook URLs are written by
 * strangers: one that leads to 127.0.0.1, into a private network or to a cloud's metadata service would make Postern
 * its writer's proxy into the operator's own network.
 */
import ipaddr from 'ipaddr.js';
import { familyOf } from './ip.ts';

/** Public addresses that reach inside all the same: Azure's wire server. */
const INSIDE = new Set(['168.63.129.16']);

const GLOBAL_UNICAST = ipaddr.parseCIDR('2000::/3') as [ipaddr.IPv6, number];

/**
 * Whether an address is a public unicast one: not private, loopback, link-local (with the metadata services
 * at 169.254.169.254), shared (RFC 6598), documentation, multicast or reserved; and no IPv6 form that hides
 * an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo), because the check would see another address
 * than the one that is reached.
 */
export function isPublicAddress(address: string): boolean {
  // Only the one full spelling of an address: spellings on which parsers disagree are refused.
  if (familyOf(address) === 0) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== 'unicast') return false;
  if (parsed instanceof ipaddr.IPv6) return parsed.match(GLOBAL_UNICAST);
  return !INSIDE.has(parsed.toString());
}
