/**
 * Dedicated IPs and their pools: Postern's own addresses and pools, in SES's words.
 *
 * - A pool that is made here is exclusive, as in SES. An address may be in several pools that documents list; it is
 *   shown with the first, and moved out of all.
 * - They belong to the installation and not to a tenant: all of it needs an administrator's key.
 */
import { IpInventory } from '../control/ip-inventory.ts';
import { PosternError } from '../errors.ts';
import { DEFAULT_POOL } from '../routing/pools.ts';
import { checkpointName, readCheckpoint } from '../warmup/checkpoint.ts';
import { sesWarmup } from '../warmup/ses.ts';
import { type Call, operation, unsupported } from './operation.ts';
import { page, sizeOf } from './pages.ts';
import { poolOf, shownPool } from './pool-names.ts';
import { checkedTags } from './tags.ts';
import { requireBetween } from './violation.ts';

/** Addresses or pools on a page, without a `PageSize` and at most with one. */
const [PAGE, MAX_PAGE] = [100, 1000];

function bookOf({ deps }: Call): IpInventory {
  return new IpInventory(deps.control.documents, deps.installed);
}

async function shownIp(ip: string, book: IpInventory, { deps }: Call) {
  const plan = book.plans.get(ip);
  const stored = plan && (await deps.engine.leases.checkpoint(checkpointName(ip)));
  const checkpoint = stored === undefined ? undefined : readCheckpoint(stored, ip);
  return { Ip: ip, ...sesWarmup(plan, checkpoint), PoolName: shownPool(book.poolsOf(ip)[0] ?? DEFAULT_POOL) };
}

export const getDedicatedIp = operation('GetDedicatedIp', 'manage', async ({ Ip }, call) => {
  const book = bookOf(call);
  return { DedicatedIp: await shownIp(book.requireIp(Ip), book, call) };
});

export const getDedicatedIps = operation(
  'GetDedicatedIps',
  'manage',
  async ({ PoolName, NextToken, PageSize = PAGE }, call) => {
    const book = bookOf(call);
    const pool = PoolName === undefined ? undefined : poolOf(PoolName);
    if (pool !== undefined && pool !== DEFAULT_POOL) book.requirePool(pool);
    const ips = book.ips.filter((ip) => {
      const pools = book.poolsOf(ip);
      return pool === undefined || (pools.length === 0 ? pool === DEFAULT_POOL : pools.includes(pool));
    });
    const { items, ...rest } = page(ips, (ip) => ip, { PageSize: pageSize(PageSize), NextToken });
    const shown = await Promise.all(items.map((ip) => shownIp(ip, book, call)));
    return {
      DedicatedIps: PoolName === undefined ? shown : shown.map((one) => ({ ...one, PoolName })),
      ...rest,
    };
  },
);

function pageSize(asked: number): number {
  return sizeOf(asked || PAGE, MAX_PAGE);
}

export const putDedicatedIpInPool = operation(
  'PutDedicatedIpInPool',
  'manage',
  async ({ Ip, DestinationPoolName }, call) => {
    await bookOf(call).moveIp(Ip, poolOf(DestinationPoolName), call.caller.keyId);
    return {};
  },
);

export const putDedicatedIpWarmupAttributes = operation(
  'PutDedicatedIpWarmupAttributes',
  'manage',
  async ({ Ip, WarmupPercentage }, call) => {
    requireBetween('warmupPercentage', WarmupPercentage, 0, 100);
    await bookOf(call).warmTo(Ip, WarmupPercentage, call.caller.keyId, call.deps.clock.now());
    return {};
  },
);

/**
 * As in SES, an absent flag means false: an IP warms up only with an explicit plan, which is how Postern works
 * anyway.
 */
export const putAccountDedicatedIpWarmupAttributes = operation(
  'PutAccountDedicatedIpWarmupAttributes',
  'manage',
  ({ AutoWarmupEnabled = false }) => {
    if (!AutoWarmupEnabled) return {};
    throw new PosternError(
      'unsupported_operation',
      'AutoWarmupEnabled true is not supported by this service: nobody tells it which addresses are new. Begin the warm-up of each with PutDedicatedIpWarmupAttributes.',
    );
  },
);

export const createDedicatedIpPool = operation(
  'CreateDedicatedIpPool',
  'manage',
  async ({ PoolName, Tags, ScalingMode = 'STANDARD' }, call) => {
    if (ScalingMode === 'MANAGED') throw unsupported('ScalingMode MANAGED');
    await bookOf(call).createPool(poolOf(PoolName), call.caller.keyId, checkedTags(Tags));
    return {};
  },
);

export const getDedicatedIpPool = operation('GetDedicatedIpPool', 'manage', ({ PoolName }, call) => {
  requirePool(PoolName, call);
  return { DedicatedIpPool: { PoolName, ScalingMode: 'STANDARD' as const } };
});

export const listDedicatedIpPools = operation(
  'ListDedicatedIpPools',
  'manage',
  ({ NextToken, PageSize = PAGE }, call) => {
    const pools = new Set([DEFAULT_POOL, ...bookOf(call).pools]);
    const asked = { PageSize: pageSize(PageSize), NextToken };
    const { items, ...rest } = page([...pools].map(shownPool), (name) => name, asked);
    return { DedicatedIpPools: items, ...rest };
  },
);

export const deleteDedicatedIpPool = operation(
  'DeleteDedicatedIpPool',
  'manage',
  async ({ PoolName }, call) => {
    const pool = poolOf(PoolName);
    if (pool === DEFAULT_POOL) throw new PosternError('bad_request', `${PoolName} cannot be deleted.`);
    const user = await call.deps.control.configurationSets.withPool(pool);
    if (user !== undefined) {
      throw new PosternError(
        'bad_request',
        `Configuration set <${user.name}> of tenant ${user.tenant} sends by pool <${pool}>. Give it another first.`,
      );
    }
    await bookOf(call).deletePool(pool, call.caller.keyId);
    return {};
  },
);

/** Every pool here is a STANDARD one, and stays so. */
export const putDedicatedIpPoolScalingAttributes = operation(
  'PutDedicatedIpPoolScalingAttributes',
  'manage',
  ({ PoolName, ScalingMode }, call) => {
    requirePool(PoolName, call);
    if (ScalingMode === 'MANAGED') throw unsupported('ScalingMode MANAGED');
    return {};
  },
);

function requirePool(name: string, call: Call): void {
  if (poolOf(name) !== DEFAULT_POOL) bookOf(call).requirePool(name);
}
