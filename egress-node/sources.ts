/**
 * The source addresses of this node: takes and renews their leases, checks that the host really has them, and
 * picks one for each delivery by its pool.
 */
import { createServer } from 'node:net';
import type { Leases } from '../lib/engine/ports.ts';
import type { Clock } from '../lib/time.ts';
import { Source } from './source.ts';

const LEASE = 30_000;
const RENEWAL = 10_000;
/** A lease is not used up to its last moment: transactions end before another node may begin. */
const MARGIN = 5_000;

export interface SourcesOptions {
  leases: Leases;
  clock: Clock;
  /** Name under which the leases are held: the same after a restart, another on another node. */
  node: string;
  /** Source addresses; empty: the host's default, which needs no lease. */
  ips: readonly string[];
  ehloName: string;
  /** EHLO name by IP, where it differs. */
  ehloNames: Readonly<Record<string, string>>;
  /** IPs by pool; a pool that is not named here uses all. */
  pools: Readonly<Record<string, readonly string[]>>;
  /** Called when a source may not be used any more. */
  lost: (source: Source) => void;
}

export class Sources {
  readonly all: readonly Source[];
  readonly #options: SourcesOptions;
  readonly #byPool = new Map<string, { sources: Source[]; turn: number }>();
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: SourcesOptions) {
    this.#options = options;
    const { ips, ehloName, ehloNames } = options;
    this.all =
      ips.length === 0
        ? [new Source(undefined, ehloName)]
        : ips.map((ip) => new Source(ip, ehloNames[ip] ?? ehloName));
    if (ips.length === 0) this.all[0]!.heldUntil = Number.POSITIVE_INFINITY;
  }

  /** Takes the leases, and keeps them until `stop`. Resolves when each has been asked for once. */
  async start(): Promise<void> {
    await Promise.all(this.all.map((source) => this.#renew(source)));
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.after(RENEWAL, () => void this.start());
  }

  async #renew(source: Source): Promise<void> {
    const { leases, node, clock, lost } = this.#options;
    if (source.ip === undefined) return;
    try {
      await bindable(source.ip);
      const end = await leases.acquire(leaseOf(source.ip), node, LEASE);
      source.heldUntil = end ?? 0;
      source.trouble = end === undefined ? `Another node holds the lease of ${source.ip}.` : '';
    } catch (error) {
      // The lease that is held goes on to its end: a storage that fails for a moment stops nothing.
      source.trouble = `${source.ip}: ${(error as Error).message}`;
    }
    const usable = this.usable(source, clock.now());
    if (source.inUse && !usable) lost(source);
    source.inUse = usable;
  }

  usable(source: Source, now: number): boolean {
    return source.heldUntil - MARGIN > now;
  }

  /**
   * The next usable source of a pool, in turn.
   * @param reach tells whether a source's address family can reach the destination.
   * @returns the source, or why there is none.
   */
  pick(pool: string, now: number, reach: (source: Source) => boolean): Source | string {
    const entry = this.#pool(pool);
    for (let n = 0; n < entry.sources.length; n += 1) {
      const source = entry.sources[entry.turn]!;
      entry.turn = (entry.turn + 1) % entry.sources.length;
      if (this.usable(source, now) && reach(source)) return source;
    }
    if (entry.sources.length === 0) return `Pool ${pool} has no IP on this node.`;
    const usable = entry.sources.filter((source) => this.usable(source, now));
    if (usable.length > 0) return `No IP of pool ${pool} has the address family of the destination.`;
    return entry.sources.map((source) => source.trouble).join(' ');
  }

  #pool(pool: string): { sources: Source[]; turn: number } {
    let entry = this.#byPool.get(pool);
    if (entry === undefined) {
      const ips = this.#options.pools[pool];
      const sources = this.all.filter((source) => ips === undefined || ips.includes(source.ip ?? ''));
      this.#byPool.set(pool, (entry = { sources, turn: 0 }));
    }
    return entry;
  }

  /** Gives the leases back, so that another node need not wait for their end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    const { leases, node } = this.#options;
    const held = this.all.filter((source) => source.ip !== undefined && source.heldUntil > 0);
    await Promise.allSettled(held.map((source) => leases.release(leaseOf(source.ip!), node)));
  }
}

function leaseOf(ip: string): string {
  return `egress-ip:${ip}`;
}

/** Rejects unless this host can send from the address. */
function bindable(ip: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', () => reject(new Error('this host does not have the address')));
    server.listen({ host: ip, port: 0, exclusive: true }, () => server.close(() => resolve()));
  });
}
