/**
 * The connections of one source IP, counted by all that they are part of (`lib/shaping/connection-shares.ts`), and the
 * connection pools that wait for one.
 *
 * A limit of one of these counts makes a pool wait until a connection leaves it. A limit of the site makes it wait
 * for the other pools of the same site (same IP, but another pool of IPs, TLS requirement or connection class): an
 * idle connection of theirs is closed for it, and the next one that closes is its turn.
 */
import {
  type ConnectionRequest,
  type ConnectionShare,
  connectionShares,
} from '../shaping/connection-shares.ts';
import { type Constraint, LOOK_AGAIN } from '../shaping/constraint.ts';
import type { Resolved } from '../shaping/limits/terms.ts';
import { DAY } from '../time.ts';

/** A tenant that has used the IP is expected to come again for this time, ms. */
const TENANT_KEPT = DAY;
/** New sites get the deadlines of scarcity from this part of their connections on. */
const SCARCE = 0.5;

/** Connections that are counted together. */
export interface ShareCount {
  readonly key: string;
  open: number;
  /** Pools that wait for one of them, longest wait first, and how many there may be for each. */
  readonly waiting: Map<Claimant, number>;
}

/** A connection, by what it is counted in. */
export interface ConnectionClaim {
  readonly shares: readonly ShareCount[];
  /** Those in which it counts until it is answered. */
  unproven: readonly ShareCount[];
  /** Few connections are left for sites like this one. */
  readonly scarce: boolean;
}

/** A connection pool, as far as it competes for connections. */
export interface Claimant {
  readonly site: { readonly name: string };
  /** Connections open or being opened. */
  readonly connections: number;
  /** Deliveries that wait. */
  readonly waiting: number;
  /** Opens connections and begins messages within the limits. */
  pump(): void;
  /** Closes a connection that is not needed: one that counts in a share, if one is named. @returns whether there was one. */
  closeIdle(share?: ShareCount): boolean;
}

/** The pools of one site. */
interface Neighbours {
  readonly all: Set<Claimant>;
  /** Those that have mail and no connection, because the others hold all that the site may have. */
  readonly starved: Set<Claimant>;
}

const NONE: readonly ShareCount[] = [];

export class ConnectionLimits {
  /** Connections open or being opened. */
  open = 0;
  /** How often pools wait for a connection: each once for a share or its site. */
  waiters = 0;
  readonly #shares = new Map<string, ShareCount>();
  readonly #bySite = new Map<string, Neighbours>();
  /** Pools with connections. */
  readonly #connected = new Set<Claimant>();
  /** Who used the IP last, and until when it counts as used by several. */
  #tenant: string | undefined;
  #contendedUntil = 0;

  add(claimant: Claimant): void {
    const { name } = claimant.site;
    const neighbours = this.#bySite.get(name) ?? { all: new Set(), starved: new Set() };
    this.#bySite.set(name, neighbours);
    neighbours.all.add(claimant);
  }

  remove(claimant: Claimant): void {
    const { name } = claimant.site;
    const neighbours = this.#bySite.get(name);
    neighbours?.all.delete(claimant);
    if (neighbours?.starved.delete(claimant)) this.waiters -= 1;
    if (neighbours?.all.size === 0) this.#bySite.delete(name);
  }

  /**
   * Counts one more connection, for the first of the tenants for which all limits allow it.
   * @returns undefined when there is none: the pool is pumped when a connection closes, and an idle connection of
   *   another pool is closed for it.
   */
  connect(
    claimant: Claimant,
    tenants: Iterable<string>,
    request: Pick<ConnectionRequest, 'provider' | 'proven' | 'address'>,
    resolved: Pick<Resolved, 'limits'>,
    now: number,
  ): ConnectionClaim | undefined {
    for (const tenant of tenants) {
      this.#used(tenant, now);
      const contended = now < this.#contendedUntil;
      const shares = [...connectionShares({ ...request, tenant, contended }, resolved)];
      const used = shares.find(({ key, most }) => this.#openIn(key) >= most);
      if (used === undefined) return this.#count(claimant, shares);
      this.#wait(claimant, used);
      if (!used.ofTenant) return undefined;
    }
    return undefined;
  }

  #used(tenant: string, now: number): void {
    if (this.#tenant !== undefined && this.#tenant !== tenant) this.#contendedUntil = now + TENANT_KEPT;
    this.#tenant = tenant;
  }

  #openIn(key: string): number {
    return this.#shares.get(key)?.open ?? 0;
  }

  #share(key: string): ShareCount {
    const share = this.#shares.get(key) ?? { key, open: 0, waiting: new Map() };
    this.#shares.set(key, share);
    return share;
  }

  #count(claimant: Claimant, shares: readonly ConnectionShare[]): ConnectionClaim {
    this.open += 1;
    this.#connected.add(claimant);
    const enter = ({ key }: ConnectionShare): ShareCount => {
      const share = this.#share(key);
      share.open += 1;
      return share;
    };
    const unproven = shares.filter((share) => share.unproven);
    const [first] = unproven;
    return {
      scarce: first !== undefined && this.#openIn(first.key) >= first.most * SCARCE,
      shares: shares.filter((share) => !share.unproven).map(enter),
      unproven: unproven.map(enter),
    };
  }

  #wait(claimant: Claimant, { key, most }: ConnectionShare): void {
    const share = this.#share(key);
    if (share.waiting.has(claimant)) return;
    share.waiting.set(claimant, most);
    this.waiters += 1;
    for (const other of this.#connected) if (other !== claimant && other.closeIdle(share)) return;
  }

  /** A connection has been answered: it no longer counts among those of unproven sites. */
  answered(claim: ConnectionClaim): void {
    const { unproven } = claim;
    claim.unproven = NONE;
    for (const share of unproven) this.#leave(share);
  }

  /** A connection has closed: those that waited for it are pumped, starved neighbours before the others. */
  disconnected(claimant: Claimant, { shares, unproven }: ConnectionClaim): void {
    this.open -= 1;
    if (claimant.connections === 0) this.#connected.delete(claimant);
    for (const share of [...unproven, ...shares]) share.open -= 1;
    for (const share of [...unproven, ...shares]) this.#wake(share);
    const neighbours = this.#bySite.get(claimant.site.name);
    for (const starved of [...(neighbours?.starved ?? [])]) starved.pump();
    for (const other of [...(neighbours?.all ?? [])]) other.pump();
  }

  #leave(share: ShareCount): void {
    share.open -= 1;
    this.#wake(share);
  }

  #wake(share: ShareCount): void {
    for (const [claimant, most] of share.waiting) {
      if (claimant.waiting > 0 && share.open >= most) continue;
      share.waiting.delete(claimant);
      this.waiters -= 1;
      claimant.pump();
    }
    if (share.open === 0 && share.waiting.size === 0) this.#shares.delete(share.key);
  }

  /** Constraints on opening a connection. @param open connections of the requesting pool. */
  *constraints(
    request: Omit<ConnectionRequest, 'contended'>,
    resolved: Resolved,
    open: number,
    now: number,
  ): Iterable<Constraint> {
    const contended = now < this.#contendedUntil;
    for (const share of connectionShares({ ...request, contended }, resolved)) {
      const { key, limit, word, most, from, text } = share;
      const count = this.#openIn(key);
      const origin = resolved.origins[from] ?? 'built-in';
      yield {
        limit,
        word,
        value: `${most}`,
        origin,
        used: `${count} of ${most} open`,
        wait: open === 0 && count >= most ? LOOK_AGAIN : 0,
        code: 'site_limit',
        text: `${text} (${from}, ${origin}).`,
      };
    }
  }

  /** The site bears no further connection, and the pool has none: an idle one of its neighbours is closed. */
  starve(claimant: Claimant): void {
    const neighbours = this.#bySite.get(claimant.site.name);
    if (neighbours === undefined) return;
    if (!neighbours.starved.has(claimant)) this.waiters += 1;
    neighbours.starved.add(claimant);
    for (const other of neighbours.all) if (other !== claimant && other.closeIdle()) return;
  }

  /** The pool is about to try for a connection. */
  unstarve(claimant: Claimant): void {
    if (this.#bySite.get(claimant.site.name)?.starved.delete(claimant)) this.waiters -= 1;
  }

  /** Whether another pool waits for a connection that this one holds. */
  isWanted(claimant: Claimant, { shares, unproven }: ConnectionClaim): boolean {
    for (const some of [shares, unproven]) {
      for (const { waiting } of some) {
        for (const other of waiting.keys()) {
          if (other !== claimant && other.waiting > 0) return true;
          waiting.delete(other);
          this.waiters -= 1;
        }
      }
    }
    for (const starved of this.#bySite.get(claimant.site.name)?.starved ?? [])
      if (starved.waiting > 0) return true;
    return false;
  }
}
