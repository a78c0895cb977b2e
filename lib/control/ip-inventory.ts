/**
 * Pools and source addresses as one inventory: the routing and warm-up documents, over the settings with which the
 * installation was started. A change of it is a new version of one of the two documents, checked like any other.
 */
import { PosternError } from '../errors.ts';
import { canonicalIp } from '../ip.ts';
import {
  DEFAULT_POOL,
  HOST_ADDRESS,
  isOpenTo,
  type PoolSetting,
  type PoolUser,
  poolDocument,
} from '../routing/pools.ts';
import { type RoutingTable, readRouting } from '../routing/router.ts';
import type { WarmupPlan } from '../warmup/plan.ts';
import { DOCUMENT, ROUTING, WARMUP } from './config-kinds.ts';
import type { DocumentChange, Documents, DocumentVersion } from './documents.ts';

/** Settings that apply where no document sets another value. */
export interface Installed {
  /** Source addresses of this process. */
  ips: readonly string[];
  /** Source addresses by pool; absent: each node has its own, unknown to this process. */
  pools?: Readonly<Record<string, PoolSetting>>;
  /** Pools that have lanes, and no others can have mail; absent: a lane is made when mail comes. */
  lanes?: readonly string[];
}

/** A tag of a pool, as SES writes it. */
interface PoolTag {
  Key: string;
  Value: string;
}

interface StoredPool {
  ips: (string | { ip: string; weight?: number; warm?: boolean })[];
  exclusive?: boolean;
  managed?: boolean;
  tags?: PoolTag[];
}

interface StoredRouting {
  pools?: Record<string, StoredPool>;
  splits?: unknown;
}

type StoredPlans = Record<string, { progress?: { percent: number; at: string } }>;

export class IpInventory {
  readonly #documents: Documents;
  readonly #installed: Installed;
  readonly #table: RoutingTable;
  /** Names of pools. */
  readonly pools: readonly string[];
  /** Warm-up plans by address. */
  readonly plans: ReadonlyMap<string, WarmupPlan>;

  constructor(documents: Documents, installed: Installed) {
    this.#documents = documents;
    this.#installed = installed;
    const { pools, lanes = [] } = installed;
    const routing = documents.read(ROUTING, DOCUMENT);
    this.#table = routing ?? readRouting({ pools: poolDocument(pools ?? {}) }, 'routing');
    this.pools = routing === undefined && pools === undefined ? lanes : [...this.#table.pools.keys()];
    this.plans = documents.read(WARMUP, DOCUMENT) ?? new Map();
  }

  /** Every known address. */
  get ips(): string[] {
    const { ips, pools = {} } = this.#installed;
    const routed = [...this.#table.pools.values()].flatMap((pool) => pool.ips.map(({ ip }) => ip));
    const installed = Object.values(pools).flatMap((pool) => ('ips' in pool ? pool.ips : pool));
    const known = [...ips, ...installed.map(addressOf), ...routed, ...this.plans.keys()];
    // The address that the host chooses is no address of the inventory.
    return [...new Set(known.map(canonicalIp))].filter((ip) => ip !== '' && ip !== HOST_ADDRESS);
  }

  /** Pools that list an address. When there are none, mail that names no pool may use it. */
  poolsOf(ip: string): string[] {
    const pools = [...this.#table.pools.values()];
    return pools.filter((pool) => pool.ips.some((one) => one.ip === ip)).map(({ name }) => name);
  }

  /** Whether a pool exists, has lanes and is open to a sender. */
  isOpen(name: string, sender: PoolUser): boolean {
    if (this.#installed.lanes?.includes(name) === false) return false;
    const pool = this.#table.pools.get(name);
    if (pool === undefined) return name === DEFAULT_POOL || this.pools.includes(name);
    return isOpenTo(pool, sender);
  }

  // — changes: durable and in force when they resolve —

  /**
   * Creates a pool without addresses. An address that is moved into it leaves all others.
   * @throws `already_exists`, `bad_request`, `config_conflict`, the storage group.
   */
  async createPool(
    name: string,
    by: string,
    { tags = [], managed = false }: { tags?: PoolTag[]; managed?: boolean } = {},
  ): Promise<void> {
    const { lanes } = this.#installed;
    if (name === DEFAULT_POOL || this.pools.includes(name)) {
      throw new PosternError('already_exists', `Dedicated IP pool <${name}> already exists.`);
    }
    if (lanes !== undefined && !lanes.includes(name)) {
      throw new PosternError(
        'bad_request',
        `Pool <${name}> has no lanes; there are lanes for ${lanes.join(', ')}. Add it to the stage configuration and deploy.`,
      );
    }
    await this.#route(by, (pools) => ({
      ...pools,
      [name]: {
        ips: [],
        exclusive: true,
        ...(managed && { managed }),
        ...(tags.length > 0 && { tags }),
      },
    }));
  }

  /** Whether addresses that were in no pool begin a warm-up in this one. */
  isManaged(name: string): boolean {
    return this.#table.pools.get(name)?.managed === true;
  }

  /**
   * Makes a pool a managed one: its addresses are for it alone from then on. @throws `not_found`, `bad_request` for a pool
   * that is in no document, or whose addresses others have; `config_conflict`, the storage group.
   */
  async manage(name: string, by: string): Promise<void> {
    this.requirePool(name);
    await this.#route(by, (pools) => {
      const pool = pools[name];
      if (!pool) throw new PosternError('not_found', `Dedicated IP pool <${name}> does not exist.`);
      return { ...pools, [name]: { ...pool, exclusive: true, managed: true } };
    });
  }

  /** Tags of a pool. @throws `not_found` */
  tagsOf(name: string): PoolTag[] {
    this.requirePool(name);
    return [...(this.#table.pools.get(name)?.tags ?? [])];
  }

  /**
   * Changes the tags of a pool. @throws `not_found`, `bad_request` for a pool that is in no document, `config_conflict`,
   * the storage group.
   */
  async tagPool(name: string, change: (tags: PoolTag[]) => PoolTag[], by: string): Promise<void> {
    this.requirePool(name);
    await this.#route(by, (pools) => {
      const pool = pools[name];
      if (!pool) throw new PosternError('not_found', `Dedicated IP pool <${name}> does not exist.`);
      return { ...pools, [name]: { ...pool, tags: change(pool.tags ?? []) } };
    });
  }

  /**
   * Deletes a pool; its addresses are in no pool afterwards. @throws `not_found`, `bad_request`, `config_conflict`,
   * the storage group.
   */
  async deletePool(name: string, by: string): Promise<void> {
    this.requirePool(name);
    await this.#route(by, (pools) =>
      Object.fromEntries(Object.entries(pools).filter(([one]) => one !== name)),
    );
  }

  /**
   * Moves an address into a pool, out of all others. One that was in no pool begins a warm-up in a managed one.
   * @throws `not_found`, `bad_request`, `config_conflict`, the storage group.
   */
  async moveIp(given: string, pool: string, by: string): Promise<void> {
    const ip = this.requireIp(given);
    if (pool !== DEFAULT_POOL) this.requirePool(pool);
    // First of all, so that it never sends cold.
    if (this.isManaged(pool) && this.poolsOf(ip).length === 0) await this.#warm([ip], by);
    await this.#route(by, (pools) => {
      let entry: StoredPool['ips'][number] = ip;
      const left = Object.entries(pools).map(([name, { ips, ...rest }]): [string, StoredPool] => {
        // The entry keeps its weight.
        entry = ips.find((one) => addressOf(one) === ip) ?? entry;
        return [name, { ...rest, ips: ips.filter((one) => addressOf(one) !== ip) }];
      });
      for (const [name, { ips }] of left) if (name === pool) ips.push(entry);
      return Object.fromEntries(left);
    });
  }

  /**
   * Sets the progress of an address's warm-up; begins one if it has none.
   * @param percent 0 to 100; 100 ends it. @throws `not_found`, `config_conflict`, the storage group.
   */
  async warmTo(given: string, percent: number, by: string, now: number): Promise<void> {
    const ip = this.requireIp(given);
    const before = this.#documents.get('warmup', DOCUMENT);
    const plans = (before?.value ?? {}) as StoredPlans;
    const name = Object.keys(plans).find((one) => canonicalIp(one) === ip) ?? ip;
    // A progress entry is applied once, by its time; two in the same millisecond must stay two.
    const last = this.plans.get(ip)?.progress?.at ?? 0;
    const progress = { percent, at: new Date(Math.max(now, last + 1)).toISOString() };
    const changed = { ...plans, [name]: { ...plans[name], progress } };
    await this.#documents.put('warmup', DOCUMENT, changed, { by, expect: before?.version ?? 0 });
  }

  /**
   * Stores a routing document. Addresses that it adds are cold: each gets a warm-up plan first, unless the document
   * marks it `warm`, or `autoWarmup` is off. In an installation that leaves addresses to its nodes, none is known before its first document,
   * and none of that document counts as new.
   * @throws as `Documents.put`.
   */
  async putRouting(value: unknown, change: DocumentChange, autoWarmup = true): Promise<DocumentVersion> {
    const { version: current = 0, value: routing } = this.#documents.get('routing', DOCUMENT) ?? {};
    const { ips, pools } = this.#installed;
    const first = !autoWarmup || (routing === undefined && pools === undefined && ips.length === 0);
    const known = new Set(this.ips);
    const added = first ? [] : coldIps(value).filter((ip) => !known.has(ip));
    if (added.length > 0 && (change.expect ?? current) === current) {
      await this.#warm(added, change.by);
    }
    return this.#documents.put('routing', DOCUMENT, value, change);
  }

  /** Begins the warm-up of addresses that have no plan. */
  async #warm(ips: readonly string[], by: string): Promise<void> {
    const cold = ips.filter((ip) => !this.plans.has(ip));
    if (cold.length === 0) return;
    const before = this.#documents.get('warmup', DOCUMENT);
    const plans = { ...(before?.value as StoredPlans | undefined) };
    for (const ip of cold) plans[ip] = {};
    await this.#documents.put('warmup', DOCUMENT, plans, { by, expect: before?.version ?? 0 });
  }

  /** The canonical form of a known address. @throws `not_found` */
  requireIp(given: string): string {
    const ip = canonicalIp(given);
    if (this.ips.includes(ip)) return ip;
    throw new PosternError('not_found', `Dedicated IP <${given.slice(0, 64)}> does not exist.`);
  }

  /** @throws `not_found` */
  requirePool(name: string): void {
    if (this.pools.includes(name)) return;
    throw new PosternError('not_found', `Dedicated IP pool <${name}> does not exist.`);
  }

  async #route(by: string, change: (pools: Record<string, StoredPool>) => object): Promise<void> {
    const before = this.#documents.get('routing', DOCUMENT);
    const { pools } = this.#installed;
    if (before?.value === undefined && pools === undefined) {
      throw new PosternError(
        'bad_request',
        'Each node has the pools of the stage configuration. Store a routing document that lists all of them first (PUT /v1/config/routing/default).',
      );
    }
    const routing = (before?.value ?? { pools: poolDocument(pools!) }) as StoredRouting;
    const changed = { ...routing, pools: change(routing.pools ?? {}) };
    await this.#documents.put('routing', DOCUMENT, changed, { by, expect: before?.version ?? 0 });
  }
}

/**
 * Checks for every message whether its sender may name a pool: the pool has lanes, the routing document, if there is
 * one, lists it, and it is open to the sender. Mail for a deleted pool would leave by the addresses of others.
 */
export function poolsWithLanes(
  documents: Documents,
  lanes: readonly string[],
): (name: string, sender: PoolUser) => boolean {
  let routing: ReadonlyMap<string, unknown> | undefined;
  let book: IpInventory;
  return (name, sender) => {
    if (routing !== documents.running('routing')) {
      routing = documents.running('routing');
      book = new IpInventory(documents, { ips: [], lanes });
    }
    return book.isOpen(name, sender);
  };
}

/** The addresses of a routing document that are not marked warm; none of a document that will be refused. */
function coldIps(value: unknown): string[] {
  try {
    const entries = [...ROUTING.read(value, DOCUMENT).pools.values()].flatMap((pool) => pool.ips);
    const warm = new Set(entries.filter((entry) => entry.warm === true).map(({ ip }) => ip));
    return [...new Set(entries.map(({ ip }) => ip))].filter((ip) => !warm.has(ip));
  } catch (error) {
    if (error instanceof PosternError && error.code === 'bad_request') return [];
    throw error;
  }
}

function addressOf(entry: StoredPool['ips'][number]): string {
  return canonicalIp(typeof entry === 'string' ? entry : entry.ip);
}
