/** Pools: which IPs send which mail, and how one of them is chosen. */
import {
  optional,
  readBoolean,
  readChoice,
  readList,
  readMap,
  readNumber,
  readObject,
  readText,
  refuse,
} from '../document.ts';
import { readIp } from '../ip.ts';

/** Address in a pool for the one that the host chooses, where none is configured. */
export const HOST_ADDRESS = 'default';

/** The pool of mail that names none. Where no document lists it, it has every IP that is in no exclusive pool. */
export const DEFAULT_POOL = 'default';

export interface PoolIp {
  /** Empty: the address that the host chooses. */
  readonly ip: string;
  /** Share of the pool's mail, relative to the other IPs. 0: none. */
  readonly weight: number;
  /** Whether it has sent mail before, so that it needs no warm-up when a document adds it. */
  readonly warm?: boolean;
}

/** A configuration set by its tenant and name. */
export interface SetName {
  readonly tenant: string;
  readonly set: string;
}

/** A mail server by name or address. */
export interface Smarthost {
  readonly host: string;
  readonly port: number;
}

export interface Pool {
  readonly name: string;
  readonly ips: readonly PoolIp[];
  /** `weighted`: in turn, by weight. `least-loaded`: the one with the fewest deliveries in flight, by weight. */
  readonly choice: 'weighted' | 'least-loaded';
  /** Whether each tenant has an IP of its own while that may send; `choice` has no effect then. */
  readonly sticky: boolean;
  /** Whether its IPs are in no other pool. */
  readonly exclusive: boolean;
  /** Owners whose mail it sends, even if the mail names another pool; it sends no other mail. */
  readonly dedicatedTo:
    | { readonly tenants: readonly string[]; readonly sets: readonly SetName[] }
    | undefined;
  /** Another server that takes all of its mail and delivers it; the connections come from its IPs. */
  readonly smarthost?: Smarthost;
  /** Pool that sends when none of its IPs may. */
  readonly overflow: string | undefined;
  /** Mail over the budget of a warming IP is sent by warm IPs of the pool (or its overflow), or waits. */
  readonly overBudget: 'warmed' | 'wait';
  /** Whether an address that was in no pool begins a warm-up when it comes here (SES's managed pools). */
  readonly managed?: boolean;
  /** For whoever manages pools by SES's API; mail does not depend on them. */
  readonly tags?: readonly { readonly Key: string; readonly Value: string }[];
}

/** A pool in an installation's settings: its addresses, or a pool in the form of routing documents. */
export type PoolSetting =
  | readonly string[]
  | {
      readonly ips: readonly (string | { readonly ip: string; readonly weight?: number })[];
      readonly dedicatedTo?: {
        readonly tenants?: readonly string[];
        readonly configurationSets?: readonly SetName[];
      };
      readonly exclusive?: boolean;
    };

/** The sender properties by which a pool can be dedicated. */
export interface PoolUser {
  readonly tenant: string;
  readonly configurationSet?: string;
}

/** Whether a sender's mail may name a pool: a dedicated pool is open to its owners alone. */
export function isOpenTo({ dedicatedTo }: Pool, { tenant, configurationSet }: PoolUser): boolean {
  if (dedicatedTo === undefined || dedicatedTo.tenants.includes(tenant)) return true;
  return dedicatedTo.sets.some((one) => one.tenant === tenant && one.set === configurationSet);
}

/** Converts pools of settings to a routing document. */
export function poolDocument(pools: Readonly<Record<string, PoolSetting>>): Record<string, object> {
  return Object.fromEntries(
    Object.entries(pools).map(([name, pool]) => [name, Array.isArray(pool) ? { ips: [...pool] } : pool]),
  );
}

/** Names of SES's dedicated IP pools, also safe in the name of a lane. */
const NAME = /^[a-zA-Z0-9_-]{1,64}$/;
const MEMBERS = [
  'ips',
  'smarthost',
  'choice',
  'sticky',
  'exclusive',
  'dedicatedTo',
  'overflow',
  'overBudget',
  'managed',
  'tags',
] as const;

/**
 * Parses all pools together, because most faults lie between them.
 * @param value pools by name: `{ news: { ips: ['203.0.113.1', { ip: '203.0.113.2', weight: 3 }] } }`.
 * @throws PosternError with path and reason.
 */
export function readPools(value: unknown, path: string): ReadonlyMap<string, Pool> {
  const pools = readMap(value, path, readPool);
  refuseSharedIps(pools, path);
  refuseSharedOwners(pools, path);
  for (const pool of pools.values()) refuseOverflow(pools, pool, path);
  return pools;
}

function readPool(value: unknown, path: string, name: string): Pool {
  if (!NAME.test(name))
    refuse(path, 'is no name for a pool; use 1 to 64 of the characters a-z, A-Z, 0-9, _ and -.');
  const given = readObject(value, path, MEMBERS);
  const dedicatedTo = optional(given.dedicatedTo, `${path}.dedicatedTo`, undefined, readOwners);
  const pool: Pool = {
    name,
    ips: readList(given.ips, `${path}.ips`, readPoolIp),
    choice: optional(given.choice, `${path}.choice`, 'weighted', (choice, at) =>
      readChoice(choice, at, ['weighted', 'least-loaded'] as const),
    ),
    sticky: optional(given.sticky, `${path}.sticky`, false, readBoolean),
    // A tenant that pays for an IP of its own does not expect other tenants' mail on it.
    exclusive: optional(given.exclusive, `${path}.exclusive`, dedicatedTo !== undefined, readBoolean),
    dedicatedTo,
    overflow: optional(given.overflow, `${path}.overflow`, undefined, readText),
    overBudget: optional(given.overBudget, `${path}.overBudget`, 'warmed', (what, at) =>
      readChoice(what, at, ['warmed', 'wait'] as const),
    ),
    ...(given.managed !== undefined && { managed: readBoolean(given.managed, `${path}.managed`) }),
  };
  if (pool.managed === true && !pool.exclusive)
    refuse(`${path}.managed`, 'a managed pool has its addresses for itself: set exclusive, too.');
  return {
    ...checkedBudget(pool, path),
    ...(given.smarthost !== undefined && { smarthost: readSmarthost(given.smarthost, `${path}.smarthost`) }),
    ...(given.tags !== undefined && { tags: readTags(given.tags, `${path}.tags`) }),
  };
}

function readSmarthost(value: unknown, path: string): Smarthost {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+)):(\d{1,5})$/i.exec(readText(value, path));
  const port = Number(parts?.[3]);
  if (parts === null || port < 1 || port > 65_535) {
    refuse(path, `${JSON.stringify(value)} is not host:port, as relay.example.com:587 or [2001:db8::1]:25.`);
  }
  return { host: parts[1] ?? parts[2]!, port };
}

function readTags(value: unknown, path: string): NonNullable<Pool['tags']> {
  return readList(value, path, (tag, at) => {
    const { Key, Value } = readObject(tag, at, ['Key', 'Value']);
    return {
      Key: readText(Key, `${at}.Key`),
      Value: typeof Value === 'string' ? Value : readText(Value, `${at}.Value`),
    };
  });
}

function checkedBudget(pool: Pool, path: string): Pool {
  if (pool.overBudget === 'wait' && pool.choice === 'least-loaded' && !pool.sticky) {
    // An IP with a spent budget has the fewest deliveries in flight, so all mail would choose it and wait.
    refuse(
      `${path}.overBudget`,
      '"wait" does not go with the choice "least-loaded"; choose "weighted", or sticky.',
    );
  }
  return pool;
}

function readPoolIp(value: unknown, path: string): PoolIp {
  // What the host chooses is in use already, so it does not warm up.
  if (value === HOST_ADDRESS) return { ip: '', weight: 1, warm: true };
  if (typeof value === 'string') return { ip: readIp(value, path), weight: 1 };
  const { ip, weight, warm } = readObject(value, path, ['ip', 'weight', 'warm']);
  return {
    ip: readIp(ip, `${path}.ip`),
    weight: optional(weight, `${path}.weight`, 1, (given, at) =>
      readNumber(given, at, { min: 0, max: 1000 }),
    ),
    ...(warm === undefined ? {} : { warm: readBoolean(warm, `${path}.warm`) }),
  };
}

function readOwners(value: unknown, path: string): NonNullable<Pool['dedicatedTo']> {
  const { tenants, configurationSets } = readObject(value, path, ['tenants', 'configurationSets']);
  const owners = {
    tenants: optional(tenants, `${path}.tenants`, [], (list, at) => readList(list, at, readText)),
    sets: optional(configurationSets, `${path}.configurationSets`, [], (list, at) =>
      readList(list, at, readSetName),
    ),
  };
  if (owners.tenants.length + owners.sets.length === 0) {
    refuse(path, 'names nobody; list tenants or configurationSets, or leave it out.');
  }
  return owners;
}

function readSetName(value: unknown, path: string): SetName {
  const { tenant, set } = readObject(value, path, ['tenant', 'set']);
  return { tenant: readText(tenant, `${path}.tenant`), set: readText(set, `${path}.set`) };
}

function refuseSharedIps(pools: ReadonlyMap<string, Pool>, path: string): void {
  const first = new Map<string, Pool>();
  for (const pool of pools.values()) {
    for (const [i, { ip }] of pool.ips.entries()) {
      const at = `${path}.${pool.name}.ips[${i}]`;
      const other = first.get(ip);
      if (other === pool) refuse(at, `${ip} is in this pool twice; give it a weight of 2 instead.`);
      if (other !== undefined && (other.exclusive || pool.exclusive)) {
        const whose = other.exclusive
          ? `pool "${other.name}", which is`
          : `pool "${other.name}", and this one is`;
        refuse(at, `${ip} is in ${whose} exclusive; take it out of one of them.`);
      }
      first.set(ip, other?.exclusive === true ? other : pool);
    }
  }
}

function refuseSharedOwners(pools: ReadonlyMap<string, Pool>, path: string): void {
  const owned = new Map<string, string>();
  for (const { name, dedicatedTo } of pools.values()) {
    const at = `${path}.${name}.dedicatedTo`;
    const rows = [
      ...(dedicatedTo?.tenants ?? []).map(
        (tenant, i) => [`tenant "${tenant}"`, `${at}.tenants[${i}]`] as const,
      ),
      ...(dedicatedTo?.sets ?? []).map(
        ({ tenant, set }, i) =>
          [`set "${set}" of tenant "${tenant}"`, `${at}.configurationSets[${i}]`] as const,
      ),
    ];
    for (const [owner, where] of rows) {
      const other = owned.get(owner);
      if (other !== undefined) refuse(where, `pool "${other}" is dedicated to ${owner} already.`);
      owned.set(owner, name);
    }
  }
}

function refuseOverflow(pools: ReadonlyMap<string, Pool>, pool: Pool, path: string): void {
  const at = `${path}.${pool.name}.overflow`;
  const way = [pool.name];
  for (let next = pool.overflow; next !== undefined; ) {
    const target = pools.get(next);
    if (target === undefined) refuse(at, `there is no pool "${next}".`);
    if (target.dedicatedTo !== undefined) refuse(at, `pool "${next}" is dedicated to others.`);
    if (target.smarthost !== undefined)
      refuse(at, `pool "${next}" sends by a smarthost; split to it, or reroute.`);
    way.push(next);
    if (way.indexOf(next) < way.length - 1) refuse(at, `leads in a circle: ${way.join(' → ')}.`);
    next = target.overflow;
  }
}
