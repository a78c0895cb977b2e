/** Converts IP addresses to one canonical form for comparison: `2001:DB8:0::1` and `2001:db8::1` are one address. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { readText, refuse } from './document.ts';

/** The canonical form of RFC 5952, an IPv4-mapped address as IPv4; text that is not an address stays as it is. */
export function canonicalIp(text: string): string {
  return isIP(text) === 0 ? text : ipaddr.process(text).toString();
}

/** The address family, 4 or 6; 0 for text that is not the full spelling of an address. */
export function familyOf(address: string): 0 | 4 | 6 {
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) return 4;
  return ipaddr.IPv6.isValid(address) ? 6 : 0;
}

/** The network that most likely has one owner: an IPv4 /24, an IPv6 /48. Text that is not an address stays as it is. */
export function networkOf(address: string): string {
  if (isIP(address) === 0) return address;
  const text = canonicalIp(address);
  if (isIP(text) === 4) return `${ipaddr.IPv4.networkAddressFromCIDR(`${text}/24`).toString()}/24`;
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${text}/48`).toString()}/48`;
}

/** @returns the address in its canonical form. @throws PosternError with path and reason. */
export function readIp(value: unknown, path: string): string {
  const text = readText(value, path);
  if (isIP(text) === 0) refuse(path, `${JSON.stringify(text)} is not an IP address.`);
  return canonicalIp(text);
}

/** A network in CIDR form, read once. */
export type IpNetwork = ReturnType<typeof ipaddr.parseCIDR>;

/** A network in CIDR form, or one address; undefined for other text. */
export function parseNetwork(text: string): IpNetwork | undefined {
  if (isIP(text) !== 0) return [ipaddr.process(text), isIP(canonicalIp(text)) === 4 ? 32 : 128];
  return ipaddr.isValidCIDR(text) ? ipaddr.parseCIDR(text) : undefined;
}

/** Whether an address is in a network; text that is no address is in none. */
export function isInNetwork(address: string, [base, bits]: IpNetwork): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return parsed.kind() === base.kind() && parsed.match(base as never, bits);
}
