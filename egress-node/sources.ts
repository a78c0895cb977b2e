/**
 * The source addresses of this node: takes and renews their leases, and checks that the host really has them.
 */
import { createServer } from 'node:net';
import type { Leases } from '../lib/engine/ports.ts';
import type { Clock } from '../lib/time.ts';
import { Source } from './source.ts';

const LEASE = 30_000;
const RENEWAL = 10_000;

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
  /** Called when a source may be used; it is used when that resolves, and not when it rejects. */
  taken: (source: Source) => Promise<void>;
  /** Called when a source may not be used any more. */
  lost: (source: Source) => void;
  /** Called before the lease of a source is given back. */
  givenUp: (source: Source) => Promise<void>;
}

export class Sources {
  readonly all: readonly Source[];
  readonly #options: SourcesOptions;
  readonly #byIp: ReadonlyMap<string, Source>;
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
    this.#byIp = new Map(this.all.map((source) => [source.ip ?? '', source]));
  }

  /** Takes the leases, and keeps them until `stop`. Resolves when each has been asked for once. */
  async start(): Promise<void> {
    await Promise.all(this.all.map((source) => this.#renew(source)));
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.after(RENEWAL, () => void this.start());
  }

  async #renew(source: Source): Promise<void> {
    const { leases, node, clock, taken, lost } = this.#options;
    if (source.ip === undefined) return;
    try {
      await bindable(source.ip);
      const end = await leases.acquire(leaseOf(source.ip), node, LEASE);
      if (end !== undefined && !source.inUse) await taken(source);
      source.heldUntil = end ?? 0;
      source.trouble = end === undefined ? `Another node holds the lease of ${source.ip}.` : '';
    } catch (error) {
      // The lease that is held goes on to its end: a storage that fails for a moment stops nothing.
      source.trouble = `${source.ip}: ${(error as Error).message}`;
    }
    const usable = source.usable(clock.now());
    if (source.inUse && !usable) lost(source);
    source.inUse = usable;
  }

  /** A source of this node; the host's default is the empty text. */
  byIp(ip: string): Source | undefined {
    return this.#byIp.get(ip);
  }

  /**
   * Why no source of a pool can be used.
   * @param ips those of the pool; undefined: all of this node.
   */
  trouble(ips: readonly string[] | undefined, pool: string, now: number): string {
    const sources = this.all.filter(({ ip }) => ips === undefined || ips.includes(ip ?? ''));
    if (sources.length === 0) return `Pool ${pool} has no IP on this node.`;
    if (sources.some((source) => source.usable(now))) {
      return `No IP of pool ${pool} has the address family of the destination.`;
    }
    return sources.map((source) => source.trouble).join(' ');
  }

  /** Gives the leases back, so that another node need not wait for their end. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    const { leases, node } = this.#options;
    const held = this.all.filter((source) => source.ip !== undefined && source.heldUntil > 0);
    await Promise.allSettled(
      held.map(async (source) => {
        // A state that could not be written is read by the next owner as it was last written: nothing is exceeded.
        await this.#options.givenUp(source).catch(() => undefined);
        await leases.release(leaseOf(source.ip!), node);
      }),
    );
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
