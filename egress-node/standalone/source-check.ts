/** Which source addresses of the settings this host does not have. */
import { isOwnAddress } from '../../lib/doctor/gather/system.ts';
import type { Settings } from '../settings.ts';

/** Source addresses of the settings that cannot be bound. */
export async function foreignAddresses({
  egressIps,
  pools,
}: Pick<Settings, 'egressIps' | 'pools'>): Promise<string[]> {
  const pooled = Object.values(pools)
    .flatMap((pool) => ('ips' in pool ? pool.ips : pool))
    .map((one) => (typeof one === 'string' ? one : one.ip));
  const addresses = [...new Set([...egressIps, ...pooled])];
  const own = await Promise.all(addresses.map(isOwnAddress));
  return addresses.filter((_, i) => !own[i]);
}
