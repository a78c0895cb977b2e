/**
 * Routes a message to the pool (or smarthost) that sends it, and from there to an IP.
 *
 * ```
 *  named pool ─► dedicated to its set, else to its tenant? ─► split by percent? ─► IP of the pool ─► of its overflow
 *                     that pool                                another pool      └► its smarthost, if it has one
 * ```
 * Static routes decide the destination host of a domain's mail, not its source; they play no part here.
 */
import { readObject } from '../document.ts';
import { type IpStates, Picker, type Reach } from './picker.ts';
import { type Pool, readPools, type Smarthost } from './pools.ts';
import { readSplits, type Split, targetOf } from './splits.ts';

export interface RoutingTable {
  readonly pools: ReadonlyMap<string, Pool>;
  /** Splits by the pool whose mail they divide. */
  readonly splits: ReadonlyMap<string, Split>;
}

/** `{ pools: {…}, splits: […] }`. @throws PosternError with path and reason. */
export function readRouting(value: unknown, path: string): RoutingTable {
  const given = readObject(value, path, ['pools', 'splits']);
  const pools = readPools(given.pools ?? {}, `${path}.pools`);
  return { pools, splits: readSplits(given.splits ?? [], `${path}.splits`, pools) };
}

/** Facts of a message that decide its route. */
export interface Routable {
  /** Pool that the message or its configuration set names. */
  pool: string;
  tenant: string;
  configurationSet?: string;
  messageId: string;
  acceptedAt: number;
}

export type Way =
  | { readonly kind: 'pool'; readonly pool: string }
  /** Another server accepts it and delivers it; the connection comes from an IP of `pool`. */
  | ({ readonly kind: 'smarthost'; readonly pool: string } & Smarthost)
  | { readonly kind: 'refused'; readonly text: string };

export type Choice =
  | { kind: 'ip'; ip: string; pool: string }
  /** All IPs that could send it have spent their warm-up budgets; after `ms` one has room again. */
  | { kind: 'wait'; ms: number }
  /** No IP may be used. */
  | { kind: 'none' };

interface Dedicated {
  pool: string | undefined;
  readonly sets: Map<string, string>;
}

const NONE: Choice = { kind: 'none' };

export class Router {
  readonly #table: RoutingTable;
  readonly #states: IpStates;
  /** Represents all pools that no document names. */
  readonly #unnamed: Pool;
  readonly #dedicated = new Map<string, Dedicated>();
  readonly #ways = new Map<string, Exclude<Way, { kind: 'refused' }>>();
  /** Pickers by pool, then provider. */
  readonly #pickers = new Map<string, Map<string, Picker>>();

  /**
   * @param allIps IPs of this node. Pools that no document names use all of them that are in no exclusive pool. The
   * host's default address is the empty text.
   */
  constructor(table: RoutingTable, states: IpStates, allIps: readonly string[]) {
    this.#table = table;
    this.#states = states;
    const exclusive = [...table.pools.values()].filter((pool) => pool.exclusive);
    const taken = new Set(exclusive.flatMap(({ ips }) => ips.map(({ ip }) => ip)));
    this.#unnamed = poolOfAll(allIps.filter((ip) => !taken.has(ip)));
    for (const { name, smarthost } of table.pools.values())
      this.#ways.set(
        name,
        smarthost ? { kind: 'smarthost', pool: name, ...smarthost } : { kind: 'pool', pool: name },
      );
    for (const { name, dedicatedTo } of table.pools.values()) {
      for (const tenant of dedicatedTo?.tenants ?? []) this.#dedicatedTo(tenant).pool = name;
      for (const { tenant, set } of dedicatedTo?.sets ?? []) this.#dedicatedTo(tenant).sets.set(set, name);
    }
  }

  #dedicatedTo(tenant: string): Dedicated {
    let found = this.#dedicated.get(tenant);
    if (found === undefined) this.#dedicated.set(tenant, (found = { pool: undefined, sets: new Map() }));
    return found;
  }

  /** The pool or smarthost that sends a message; the same for each of its attempts. */
  route(message: Routable): Way {
    const { configurationSet, tenant } = message;
    const own = this.#dedicated.get(tenant);
    const bySet = configurationSet === undefined ? undefined : own?.sets.get(configurationSet);
    const dedicated = bySet ?? own?.pool;
    const name = dedicated ?? message.pool;
    if (dedicated === undefined && this.#table.pools.get(name)?.dedicatedTo !== undefined) {
      return { kind: 'refused', text: `Pool ${name} is dedicated to others than tenant ${tenant}.` };
    }
    const split = this.#table.splits.get(name);
    return this.wayOf((split && targetOf(split, message)) ?? name);
  }

  /** How mail of a pool leaves, whatever splits it. */
  wayOf(pool: string): Exclude<Way, { kind: 'refused' }> {
    return this.#ways.get(pool) ?? { kind: 'pool', pool };
  }

  /**
   * Chooses an IP of a pool, or of the pools that it overflows to, for one message to a provider.
   * @param reach selects the IPs that can reach the destination; absent: all of them.
   */
  choose(pool: string, tenant: string, provider: string, now: number, reach?: Reach): Choice {
    let least = Number.POSITIVE_INFINITY;
    for (let name: string | undefined = pool; name !== undefined; ) {
      const picker = this.#pickerOf(name, provider);
      const ip = picker.pick(tenant, now, reach);
      if (ip !== undefined) return { kind: 'ip', ip, pool: name };
      least = Math.min(least, picker.leastWait);
      const document: Pool | undefined = this.#table.pools.get(name);
      if (document?.overBudget === 'wait' && picker.leastWait < Number.POSITIVE_INFINITY) break;
      name = document?.overflow;
    }
    return least === Number.POSITIVE_INFINITY ? NONE : { kind: 'wait', ms: least };
  }

  #pickerOf(name: string, provider: string): Picker {
    const pool = this.#table.pools.get(name) ?? this.#unnamed;
    let byProvider = this.#pickers.get(pool.name);
    if (byProvider === undefined) this.#pickers.set(pool.name, (byProvider = new Map()));
    let picker = byProvider.get(provider);
    if (picker === undefined) {
      byProvider.set(provider, (picker = new Picker(pool, provider, this.#states)));
    }
    return picker;
  }
}

function poolOfAll(ips: readonly string[]): Pool {
  return {
    // No document has this name, because `readPools` refuses it.
    name: '',
    ips: ips.map((ip) => ({ ip, weight: 1 })),
    choice: 'weighted',
    sticky: false,
    exclusive: false,
    dedicatedTo: undefined,
    overflow: undefined,
    overBudget: 'warmed',
  };
}
