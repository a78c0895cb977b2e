/**
 * Dedicated IPs and their pools: Postern's own addresses and pools, in SES's words.
 *
 * - A pool that is made here is exclusive, as in SES. In a MANAGED one an address that was in no pool warms up by itself;
 *   addresses are the operator's, so that none comes or goes with the amount of mail.
 * An address may be in several pools that documents list; it is
 *   shown with the first, and moved out of all.
 * - They belong to the installation and not to a tenant: all of it needs an administrator's key.
 */
import { IpInventory } from '../control/ip-inventory.ts';
import { PosternError } from '../errors.ts';
import { DEFAULT_POOL } from '../routing/pools.ts';
import { checkpointName, readCheckpoint } from '../warmup/checkpoint.ts';
import { sesWarmup } from '../warmup/ses.ts';
import { type Call, operation } from './operation.ts';
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

/** As in SES, an absent flag means false: addresses that a routing document adds send at once then. */
export const putAccountDedicatedIpWarmupAttributes = operation(
  'PutAccountDedicatedIpWarmupAttributes',
  'manage',
  async ({ AutoWarmupEnabled: autoWarmup = false }, { deps }) => {
    await deps.control.account.setAttributes({ autoWarmup });
    return {};
  },
);

export const createDedicatedIpPool = operation(
  'CreateDedicatedIpPool',
  'manage',
  async ({ PoolName, Tags, ScalingMode = 'STANDARD' }, call) => {
    await bookOf(call).createPool(poolOf(PoolName), call.caller.keyId, {
      tags: checkedTags(Tags),
      managed: ScalingMode === 'MANAGED',
    });
    return {};
  },
);

export const getDedicatedIpPool = operation('GetDedicatedIpPool', 'manage', ({ PoolName }, call) => {
  requirePool(PoolName, call);
  const ScalingMode = bookOf(call).isManaged(poolOf(PoolName)) ? ('MANAGED' as const) : ('STANDARD' as const);
  return { DedicatedIpPool: { PoolName, ScalingMode } };
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

/** As in SES, a standard pool may become a managed one, and never the other way. */
export const putDedicatedIpPoolScalingAttributes = operation(
  'PutDedicatedIpPoolScalingAttributes',
  'manage',
  async ({ PoolName, ScalingMode }, call) => {
    requirePool(PoolName, call);
    const pool = poolOf(PoolName);
    const isManaged = bookOf(call).isManaged(pool);
    if (ScalingMode === 'STANDARD' && isManaged)
      throw new PosternError(
        'bad_request',
        `Pool <${PoolName}> is MANAGED, and cannot become STANDARD again.`,
      );
    if (ScalingMode === 'MANAGED' && pool === DEFAULT_POOL)
      throw new PosternError(
        'bad_request',
        `${PoolName} cannot be MANAGED: mail that names no pool uses it.`,
      );
    if (ScalingMode === 'MANAGED' && !isManaged) await bookOf(call).manage(pool, call.caller.keyId);
    return {};
  },
);

function requirePool(name: string, call: Call): void {
  if (poolOf(name) !== DEFAULT_POOL) bookOf(call).requirePool(name);
}
