/** Finds source addresses that are not addresses of this host, because mail cannot leave from them. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { familyOf } from '../../lib/ip.ts';
import type { Settings } from '../settings.ts';

/** The addresses of the settings that cannot be bound. */
export async function foreignAddresses({
  egressIps,
  pools,
}: Pick<Settings, 'egressIps' | 'pools'>): Promise<string[]> {
  const pooled = Object.values(pools)
    .flatMap((pool) => ('ips' in pool ? pool.ips : pool))
    .map((one) => (typeof one === 'string' ? one : one.ip));
  const addresses = [...new Set([...egressIps, ...pooled])];
  const own = await Promise.all(addresses.map(isOwn));
  return addresses.filter((_, i) => !own[i]);
}

/**
 * Tests an address by binding it: the list of interfaces lacks addresses that the kernel would let us bind
 * (ip_nonlocal_bind).
 */
async function isOwn(address: string): Promise<boolean> {
  const socket = createSocket(familyOf(address) === 6 ? 'udp6' : 'udp4');
  socket.bind({ address, port: 0, exclusive: true });
  try {
    await once(socket, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}
