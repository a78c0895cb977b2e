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
import { unsupported } from './content.ts';
import { type Call, operation } from './operation.ts';
import { page } from './pages.ts';
import { poolOf, shownPool } from './pool-names.ts';
import { pageToken, tags } from './shapes.ts';
import { flag, integer, oneOf, required, structure, text } from './validation.ts';

const PAGE = 100;

const poolName = text({ min: 1, max: 64, pattern: /^[A-Za-z0-9_-]+$/ });
const named = { PoolName: required(poolName) };
const address = { IP: required(text({ min: 1, max: 64 })) };
const pageSize = integer(0, 1000);
const scalingMode = oneOf('STANDARD', 'MANAGED');

function bookOf({ deps }: Call): IpInventory {
  return new IpInventory(deps.control.documents, deps.installed);
}

async function shownIp(ip: string, book: IpInventory, { deps }: Call) {
  const plan = book.plans.get(ip);
  const stored = plan && (await deps.engine.leases.checkpoint(checkpointName(ip)));
  const checkpoint = stored === undefined ? undefined : readCheckpoint(stored, ip);
  return { Ip: ip, ...sesWarmup(plan, checkpoint), PoolName: shownPool(book.poolsOf(ip)[0] ?? DEFAULT_POOL) };
}

export const getIp = operation({
  access: 'manage',
  input: structure(address),
  async handle({ IP }, call) {
    const book = bookOf(call);
    return { DedicatedIp: await shownIp(book.requireIp(IP), book, call) };
  },
});

export const listIps = operation({
  access: 'manage',
  input: structure({ PoolName: poolName, NextToken: pageToken, PageSize: pageSize }),
  async handle({ PoolName, NextToken, PageSize }, call) {
    const book = bookOf(call);
    const pool = PoolName === undefined ? undefined : poolOf(PoolName);
    if (pool !== undefined && pool !== DEFAULT_POOL) book.requirePool(pool);
    const ips = book.ips.filter((ip) => {
      const pools = book.poolsOf(ip);
      return pool === undefined || (pools.length === 0 ? pool === DEFAULT_POOL : pools.includes(pool));
    });
    const { items, ...rest } = page(ips, (ip) => ip, PageSize || PAGE, NextToken);
    const shown = await Promise.all(items.map((ip) => shownIp(ip, book, call)));
    return {
      DedicatedIps: PoolName === undefined ? shown : shown.map((one) => ({ ...one, PoolName })),
      ...rest,
    };
  },
});

export const putIpInPool = operation({
  access: 'manage',
  input: structure({ ...address, DestinationPoolName: required(poolName) }),
  async handle({ IP, DestinationPoolName }, call) {
    await bookOf(call).moveIp(IP, poolOf(DestinationPoolName), call.caller.keyId);
    return {};
  },
});

export const putIpWarmup = operation({
  access: 'manage',
  input: structure({ ...address, WarmupPercentage: required(integer(0, 100)) }),
  async handle({ IP, WarmupPercentage }, call) {
    await bookOf(call).warmTo(IP, WarmupPercentage, call.caller.keyId, call.deps.clock.now());
    return {};
  },
});

/**
 * As in SES, an absent flag means false: an IP warms up only with an explicit plan, which is how Postern works
 * anyway.
 */
export const putAccountWarmup = operation({
  access: 'manage',
  input: structure({ AutoWarmupEnabled: flag }),
  handle({ AutoWarmupEnabled = false }) {
    if (!AutoWarmupEnabled) return {};
    throw new PosternError(
      'unsupported_operation',
      'AutoWarmupEnabled true is not supported by this service: nobody tells it which addresses are new. Begin the warm-up of each with PutDedicatedIpWarmupAttributes.',
    );
  },
});

export const createPool = operation({
  access: 'manage',
  input: structure({ ...named, Tags: tags, ScalingMode: scalingMode }),
  async handle({ PoolName, Tags = [], ScalingMode = 'STANDARD' }, call) {
    if (Tags.length > 0) throw unsupported('Tags of a dedicated IP pool');
    if (ScalingMode === 'MANAGED') throw unsupported('ScalingMode MANAGED');
    await bookOf(call).createPool(poolOf(PoolName), call.caller.keyId);
    return {};
  },
});

export const getPool = operation({
  access: 'manage',
  input: structure(named),
  handle({ PoolName }, call) {
    requirePool(PoolName, call);
    return { DedicatedIpPool: { PoolName, ScalingMode: 'STANDARD' } };
  },
});

export const listPools = operation({
  access: 'manage',
  input: structure({ NextToken: pageToken, PageSize: pageSize }),
  handle({ NextToken, PageSize }, call) {
    const pools = new Set([DEFAULT_POOL, ...bookOf(call).pools]);
    const { items, ...rest } = page([...pools].map(shownPool), (name) => name, PageSize || PAGE, NextToken);
    return { DedicatedIpPools: items, ...rest };
  },
});

export const removePool = operation({
  access: 'manage',
  input: structure(named),
  async handle({ PoolName }, call) {
    const pool = poolOf(PoolName);
    if (pool === DEFAULT_POOL) throw new PosternError('bad_request', `${PoolName} cannot be deleted.`);
    const user = call.deps.control.configurationSets.list().find((set) => set.delivery.pool === pool);
    if (user !== undefined) {
      throw new PosternError(
        'bad_request',
        `Configuration set <${user.name}> of tenant ${user.tenant} sends by pool <${pool}>. Give it another first.`,
      );
    }
    await bookOf(call).deletePool(pool, call.caller.keyId);
    return {};
  },
});

/** Every pool here is a STANDARD one, and stays so. */
export const putPoolScaling = operation({
  access: 'manage',
  input: structure({ ...named, ScalingMode: required(scalingMode) }),
  handle({ PoolName, ScalingMode }, call) {
    requirePool(PoolName, call);
    if (ScalingMode === 'MANAGED') throw unsupported('ScalingMode MANAGED');
    return {};
  },
});

function requirePool(name: string, call: Call): void {
  if (poolOf(name) !== DEFAULT_POOL) bookOf(call).requirePool(name);
}
