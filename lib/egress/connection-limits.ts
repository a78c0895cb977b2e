/**
 * The connections of one source IP, counted by provider and site, and the connection pools that wait for one.
 *
 * A limit of the IP or the provider makes a pool wait until any connection closes. A limit of the site makes it wait
 * for the other pools of the same site (same IP, but another pool of IPs, TLS requirement or connection class): an
 * idle connection of theirs is closed for it, and the next one that closes is its turn.
 */
import { type Constraint, LOOK_AGAIN } from '../shaping/constraint.ts';
import type { Limits } from '../shaping/limits/limit.ts';
import type { Resolved } from '../shaping/limits/terms.ts';

/** A connection pool, as far as it competes for connections. */
export interface Claimant {
  readonly site: { readonly name: string; readonly provider: string };
  /** Connections open or being opened. */
  readonly connections: number;
  /** Deliveries that wait. */
  readonly waiting: number;
  /** Opens connections and begins messages within the limits. */
  pump(): void;
  /** Closes a connection that is not needed. @returns whether there was one. */
  closeIdle(): boolean;
}

/** The pools of one site. */
interface Neighbours {
  readonly all: Set<Claimant>;
  /** Those that have mail and no connection, because the others hold all that the site may have. */
  readonly starved: Set<Claimant>;
}

export class ConnectionLimits {
  /** Connections open or being opened. */
  open = 0;
  readonly #byProvider = new Map<string, number>();
  readonly #bySite = new Map<string, Neighbours>();
  /** Pools that wait for a connection of the IP or the provider, longest wait first. */
  readonly #blocked = new Map<Claimant, Limits>();
  /** Pools with connections. */
  readonly #connected = new Set<Claimant>();

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
    neighbours?.starved.delete(claimant);
    if (neighbours?.all.size === 0) this.#bySite.delete(name);
    this.#blocked.delete(claimant);
  }

  /** Connections open to a provider. */
  toProvider(provider: string): number {
    return this.#byProvider.get(provider) ?? 0;
  }

  /**
   * Whether one more connection is within the limits of the IP and the provider. If not, the pool is pumped when a
   * connection closes; an idle connection of another pool is closed for it.
   */
  mayConnect(claimant: Claimant, limits: Limits): boolean {
    const { provider } = claimant.site;
    const full = this.open >= limits.ipConnections;
    if (!full && this.toProvider(provider) < limits.providerConnections) return true;
    if (!this.#blocked.has(claimant)) {
      this.#blocked.set(claimant, limits);
      for (const other of this.#connected) {
        if (other !== claimant && (full || other.site.provider === provider) && other.closeIdle()) break;
      }
    }
    return false;
  }

  /** What keeps a connection to a provider from being opened. @param open connections of the pool that asks. */
  *constraints(provider: string, { limits, origins }: Resolved, open: number): Iterable<Constraint> {
    const used: ['providerConnections' | 'ipConnections', number][] = [
      ['providerConnections', this.toProvider(provider)],
      ['ipConnections', this.open],
    ];
    for (const [limit, count] of used) {
      const most = limits[limit];
      yield {
        limit,
        word: limit,
        value: `${most}`,
        origin: origins[limit] ?? 'built-in',
        used: `${count} of ${most} open`,
        wait: open === 0 && count >= most ? LOOK_AGAIN : 0,
        code: 'site_limit',
        text: `All ${most} connections are in use (${limit}, ${origins[limit]}).`,
      };
    }
  }

  /** The site bears no further connection, and the pool has none: an idle one of its neighbours is closed. */
  starve(claimant: Claimant): void {
    const neighbours = this.#bySite.get(claimant.site.name);
    if (neighbours === undefined) return;
    neighbours.starved.add(claimant);
    for (const other of neighbours.all) if (other !== claimant && other.closeIdle()) return;
  }

  isStarved(claimant: Claimant): boolean {
    return this.#bySite.get(claimant.site.name)?.starved.has(claimant) ?? false;
  }

  /** The pool is about to try for a connection. */
  unstarve(claimant: Claimant): void {
    this.#bySite.get(claimant.site.name)?.starved.delete(claimant);
  }

  /** Whether another pool waits for a connection that this one holds. */
  isWanted(claimant: Claimant): boolean {
    const { name, provider } = claimant.site;
    for (const [blocked, { ipConnections }] of this.#blocked) {
      if (this.open >= ipConnections) return true;
      if (blocked !== claimant && blocked.site.provider === provider) return true;
    }
    for (const starved of this.#bySite.get(name)?.starved ?? []) if (starved.waiting > 0) return true;
    return false;
  }

  connected(claimant: Claimant): void {
    const { provider } = claimant.site;
    this.open += 1;
    this.#byProvider.set(provider, this.toProvider(provider) + 1);
    this.#connected.add(claimant);
  }

  /** A connection has closed: those that waited for it are pumped, starved neighbours before the others. */
  disconnected(claimant: Claimant): void {
    const { name, provider } = claimant.site;
    this.open -= 1;
    this.#byProvider.set(provider, this.toProvider(provider) - 1);
    if (claimant.connections === 0) this.#connected.delete(claimant);
    for (const blocked of [...this.#blocked.keys()]) {
      this.#blocked.delete(blocked);
      blocked.pump();
    }
    const neighbours = this.#bySite.get(name);
    for (const starved of [...(neighbours?.starved ?? [])]) starved.pump();
    for (const other of [...(neighbours?.all ?? [])]) other.pump();
  }
}
