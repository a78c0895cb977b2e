/** The name servers to query: the configured one, or those of resolv.conf. */
import { readFileSync } from 'node:fs';
import { PosternError } from '../errors.ts';
import { familyOf } from '../ip.ts';
import type { DnsServer } from './exchange.ts';

/** Maximum number of servers of resolv.conf (resolv.conf(5), MAXNS). */
const MAX_SERVERS = 3;

/**
 * @param chosen the operator's server (POSTERN_DNS); absent: the `nameserver` lines of `resolvConf`, or 127.0.0.1
 * when there are none (resolv.conf(5)).
 * @throws PosternError `bad_request` when the chosen host is not an IP address: a name would need a resolver.
 */
export function dnsServers(
  chosen: { host: string; port: number } | undefined,
  resolvConf = '/etc/resolv.conf',
): DnsServer[] {
  if (chosen !== undefined) {
    if (familyOf(chosen.host) === 0) {
      throw new PosternError(
        'bad_request',
        `DNS server "${chosen.host}": give an IP address, as 127.0.0.1:53.`,
      );
    }
    return [{ address: chosen.host, port: chosen.port }];
  }
  let text = '';
  try {
    text = readFileSync(resolvConf, 'utf8');
  } catch {
    // No file: the default of resolv.conf(5) below.
  }
  const servers: DnsServer[] = [];
  for (const match of text.matchAll(/^\s*nameserver\s+([^\s#;]+)/gm)) {
    const address = match[1]!;
    if (familyOf(address.split('%')[0]!) !== 0 && servers.length < MAX_SERVERS)
      servers.push({ address, port: 53 });
  }
  return servers.length > 0 ? servers : [{ address: '127.0.0.1', port: 53 }];
}
