/**
 * By which source a delivery goes to its site:
 *
 * ```
 *  pool of its lane ─► split, dedicated? ─► rerouted by a directive? ─► an IP that can reach the site, holds its
 *                        other pool, smarthost     other pool            lease, is not closed, has budget left
 * ```
 */
import type { Directive } from '../directives/directive.ts';
import type { DeliveryFacts } from '../directives/index.ts';
import type { Picker } from '../routing/picker.ts';
import { DEFAULT_POOL, isOpenTo, type PoolUser } from '../routing/pools.ts';
import { Router, type RoutingTable, type Way } from '../routing/router.ts';
import { RecheckPacer } from '../shaping/recheck.ts';
import type { WarmupBook } from '../warmup/book.ts';
import type { Delivery } from './delivery.ts';
import { routed, type Target } from './destination.ts';
import { type DirectiveView, describe } from './directive-view.ts';
import { reaches } from './mx-selection.ts';
import type { Site } from './site.ts';
import type { SourceAddress } from './source-address.ts';
import type { SourceLeases } from './source-leases.ts';

export type SourceChoice =
  | { kind: 'source'; source: SourceAddress; pool: string }
  /** A directive or the policy has sent it to a pool whose mail goes elsewhere: to its smarthost, or not to one. */
  | { kind: 'elsewhere' }
  /** A directive ends it. */
  | { kind: 'bounce'; by: Directive }
  | {
      kind: 'release';
      code: 'suspended' | 'warmup_limit' | 'no_source_ip';
      text: string;
      /** When it is looked at again. */
      until: number;
      /** Until when it is kept, if that is known and later. */
      lasts?: number;
      /** Pool of other nodes, into whose lane it goes. */
      pool?: string;
    };

export const NO_SOURCE_DELAY = 30_000;
/** A budget that is spent for longer may be raised meanwhile, ms. */
const PATIENCE = 60_000;

export class SourceSelector {
  readonly #sources: SourceLeases;
  readonly #directives: DirectiveView;
  readonly #warmup: WarmupBook | undefined;
  readonly #othersServe: boolean;
  #router!: Router;
  readonly #rechecks = new RecheckPacer(PATIENCE);
  /** Whether pools are dedicated or split, or send by a smarthost. */
  #divided = false;
  /** Whether a pool sends by a smarthost. */
  #smarthosts = false;
  #table!: RoutingTable;
  /** State of the addresses; read by the picker through `reach`. */
  readonly #states: ConstructorParameters<typeof Picker>[2];

  constructor(
    sources: SourceLeases,
    directives: DirectiveView,
    warmup: WarmupBook | undefined,
    table: RoutingTable,
    othersServe: boolean,
  ) {
    this.#sources = sources;
    this.#directives = directives;
    this.#warmup = warmup;
    this.#othersServe = othersServe;
    this.#states = {
      usable: (ip, _provider, now) => {
        const source = sources.byIp(ip);
        return source?.usable(now) ?? false;
      },
      wait: (ip, provider, now) => warmup?.wait(ip, provider, now) ?? 0,
      warming: (ip, provider) => warmup?.warming(ip, provider) ?? false,
      load: (ip) => sources.byIp(ip)?.held ?? 0,
    };
    this.setTable(table);
  }

  /** Replaces pools and splits. */
  setTable(table: RoutingTable): void {
    this.#table = table;
    this.#router = new Router(
      table,
      this.#states,
      this.#sources.all.map(({ ip }) => ip ?? ''),
    );
    const pools = [...table.pools.values()];
    this.#smarthosts = pools.some(({ smarthost }) => smarthost !== undefined);
    this.#divided =
      table.splits.size > 0 || this.#smarthosts || pools.some(({ dedicatedTo }) => dedicatedTo !== undefined);
  }

  /** Pools that the document describes. */
  get pools(): Iterable<string> {
    return this.#table.pools.keys();
  }

  /** Whether mail of a pool's lane may leave from here now: from any address where tenants have pools of their own. */
  mayLease(pool: string, now: number): boolean {
    return this.#sources.mayLease(this.#divided ? undefined : this.#table.pools.get(pool)?.ips, now);
  }

  /** The pool or smarthost of a delivery. */
  route(delivery: Delivery): Way | undefined {
    if (!this.#divided) return undefined;
    // Where a directive has sent it, the document's splits do not send it back.
    if (delivery.moved) return this.#router.wayOf(delivery.pool);
    const { tenant, item } = delivery;
    const { configurationSet, messageId, acceptedAt } = item;
    return this.#router.route({
      pool: delivery.lane.pool,
      tenant,
      configurationSet,
      messageId,
      acceptedAt,
    });
  }

  /** How mail of a pool leaves. */
  wayOf(pool: string): Exclude<Way, { kind: 'refused' }> {
    return this.#router.wayOf(pool);
  }

  /** Whether mail may be sent on to a pool; one without a description would be all addresses of this node. */
  hasPool(name: string, sender?: PoolUser): boolean {
    const pool = this.#table.pools.get(name);
    if (pool === undefined) return name === DEFAULT_POOL;
    return sender === undefined || isOpenTo(pool, sender);
  }

  select(delivery: Delivery, site: Site, targets: readonly Target[], now: number): SourceChoice {
    const directives = this.#directives;
    let { pool } = delivery;
    if (!directives.isEmpty) {
      const ruling = directives.match(factsOf(delivery, site, pool, undefined), now);
      if (ruling.action === 'bounce') return { kind: 'bounce', by: ruling.by! };
      if (ruling.action === 'suspend') return suspended(directives.suspension(ruling.by!, now));
      if (ruling.action === 'reroute') {
        if (!this.#isHere(ruling.pool!)) return this.#nowhere(ruling.pool!, ruling.by!, now);
        pool = this.#move(delivery, ruling.pool!);
      }
    }
    for (;;) {
      if (this.#smarthosts && this.#leadsElsewhere(delivery, pool, site)) return { kind: 'elsewhere' };
      let closed: { by: Directive; bounce: boolean; pool?: string } | undefined;
      const reach = (ip: string): boolean => {
        const source = this.#sources.byIp(ip);
        if (source === undefined) return false;
        if (source.family !== 0 && !targets.some((target) => reaches(target, source.family))) return false;
        if (directives.isEmpty) return true;
        const ruling = directives.match(factsOf(delivery, site, pool, source.name), now);
        if (ruling.action === 'none') return true;
        closed ??= { by: ruling.by!, bounce: ruling.action === 'bounce', pool: ruling.pool };
        return false;
      };
      const choice = this.#router.choose(pool, delivery.tenant, site.provider, now, reach);
      if (choice.kind === 'ip') {
        const source = this.#sources.byIp(choice.ip)!;
        return { kind: 'source', source, pool: choice.pool };
      }
      if (choice.kind === 'wait') return this.#warmsUp(pool, site, choice.ms, now);
      if (closed?.pool !== undefined && !delivery.moved) {
        if (!this.#isHere(closed.pool)) return this.#nowhere(closed.pool, closed.by, now);
        pool = this.#move(delivery, closed.pool);
        continue;
      }
      if (closed !== undefined) {
        return closed.bounce
          ? { kind: 'bounce', by: closed.by }
          : suspended(directives.suspension(closed.by, now));
      }
      const text = this.#sources.trouble(this.ipsOf(pool), pool, now);
      return { kind: 'release', code: 'no_source_ip', text, until: now + NO_SOURCE_DELAY };
    }
  }

  /** Whether a pool that the document did not choose for a delivery sends its mail to another site. */
  #leadsElsewhere(delivery: Delivery, pool: string, site: Site): boolean {
    const way = this.#router.wayOf(pool);
    if (way.kind === 'smarthost') return site.name !== routed(way).site;
    return delivery.toSmarthost;
  }

  /** Whether mail that is sent on to a pool leaves from here. */
  #isHere(name: string): boolean {
    if (!this.#othersServe) return this.hasPool(name);
    return this.ipsOf(name)?.some((ip) => this.#sources.byIp(ip) !== undefined) ?? false;
  }

  /** A directive sends mail to a pool without an address here. */
  #nowhere(pool: string, by: Directive, now: number): SourceChoice {
    if (this.#othersServe) {
      const text = `It was sent on to pool "${pool}": ${describe(by)}`;
      return { kind: 'release', code: 'no_source_ip', text, until: now, pool };
    }
    const text = `It is sent on to pool "${pool}", which does not exist here: ${describe(by)}`;
    return { kind: 'release', code: 'no_source_ip', text, until: now + NO_SOURCE_DELAY };
  }

  #move(delivery: Delivery, pool: string): string {
    delivery.pool = pool;
    delivery.moved = true;
    return pool;
  }

  /** The addresses of a pool; undefined: no document describes it, and it has all of this node's. */
  ipsOf(pool: string): readonly string[] | undefined {
    return this.#table.pools.get(pool)?.ips.map(({ ip }) => ip);
  }

  /** The addresses from which mail of a pool may leave, with those of the pools that it overflows to. */
  addressesOf(pool: string): { pool: string; sources: SourceAddress[] }[] {
    const { pools } = this.#table;
    const exclusive = new Set(
      [...pools.values()].filter((one) => one.exclusive).flatMap(({ name }) => this.ipsOf(name)),
    );
    const found: { pool: string; sources: SourceAddress[] }[] = [];
    for (let name: string | undefined = pool; name !== undefined; name = pools.get(name)?.overflow) {
      const ips = this.ipsOf(name);
      const has = (ip: string): boolean => (ips === undefined ? !exclusive.has(ip) : ips.includes(ip));
      found.push({ pool: name, sources: this.#sources.all.filter(({ ip }) => has(ip ?? '')) });
    }
    return found;
  }

  /** The pool of a tenant's mail whose lane is not known. @param ip the address that it is to leave from, if named. */
  poolOf(tenant: string, ip: string | undefined): string {
    const pools = [...this.#table.pools.values()];
    const dedicated = pools.find(({ dedicatedTo }) => dedicatedTo?.tenants?.includes(tenant));
    if (dedicated !== undefined) return dedicated.name;
    const own = this.ipsOf(DEFAULT_POOL);
    if (ip === undefined || own === undefined || own.includes(ip)) return DEFAULT_POOL;
    return pools.find(({ ips }) => ips.some((each) => each.ip === ip))?.name ?? DEFAULT_POOL;
  }

  #warmsUp(pool: string, site: Site, ms: number, now: number): SourceChoice {
    const ips = this.ipsOf(pool) ?? this.#sources.all.map(({ ip }) => ip ?? '');
    const ip = ips.find((one) => this.#warmup?.warming(one, site.provider)) ?? '';
    const text = this.#warmup?.explain(ip, site.provider, now) ?? '';
    const until = ms <= PATIENCE ? now + ms : Math.min(now + ms, this.#rechecks.next(now));
    return { kind: 'release', code: 'warmup_limit', text, until, lasts: now + ms };
  }
}

function factsOf(
  { tenant, campaign, domain, moved }: Delivery,
  { name, provider }: Site,
  pool: string,
  ip: string | undefined,
): DeliveryFacts {
  return { tenant, campaign, domain, provider, site: name, pool, ip, moved };
}

function suspended(suspension: { text: string; until: number; lasts?: number }): SourceChoice {
  return { kind: 'release', code: 'suspended', ...suspension };
}
