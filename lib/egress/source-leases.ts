/**
 * The source addresses of this node: takes and renews their leases, and checks that the host really has them.
 *
 * ```
 *  owner    acquire ── renewal ── renewal ── ✕          usable until MARGIN before the end of its lease, by its
 *                                                       own steady clock: nothing is begun after that
 *  other       polls every second ────────── sees no change for LEASE ─► takes it
 * ```
 * A node that waits for an address looks often, because it can take it only a whole lease after it last saw the owner
 * renew: LEASE and two looks, under 15 s after a node has died.
 */
import { createServer } from 'node:net';
import type { Leases } from '../engine/ports.ts';
import type { Clock } from '../time.ts';
import { SourceAddress } from './source-address.ts';

const LEASE = 12_000;
const RENEWAL = 4_000;
/** Interval of attempts while another node has it, ms. */
const LOOK = 1_000;
/** Time for a renewal under way at stop, ms: its lease would outlive the release. */
const STOP_DEADLINE = 3_000;

export interface SourceLeasesOptions {
  leases: Leases;
  /** Its `now` never jumps: the end of a lease is measured on it. */
  clock: Clock;
  /** Name under which the leases are held: the same after a restart, another on another node. */
  node: string;
  /** Source addresses; empty: the host's default, which needs no lease. */
  ips: readonly string[];
  ehloName: string;
  /** EHLO name by IP, where it differs. */
  ehloNames: Readonly<Record<string, string>>;
  /** Address of this host by IP, where the network translates it. */
  localAddresses: Readonly<Record<string, string>>;
  /** Called when a source may be used; it is used when that resolves, and not when it rejects. */
  onAcquired: (source: SourceAddress) => Promise<void>;
  /** Called when a source may not be used any more. */
  onLost: (source: SourceAddress) => void;
  /** Called when the storage did not answer a renewal. */
  onRenewalFailed: () => void;
  /** Called before the lease of a source is given back. */
  onRelease: (source: SourceAddress) => Promise<void>;
}

export class SourceLeases {
  readonly all: readonly SourceAddress[];
  readonly #options: SourceLeasesOptions;
  readonly #byIp: ReadonlyMap<string, SourceAddress>;
  /** Renewals under way, or what cancels the next one. */
  readonly #renewals = new Map<SourceAddress, Promise<void>>();
  readonly #timers = new Map<SourceAddress, () => void>();
  /** Those that this host does not have. */
  readonly #absent = new Set<SourceAddress>();
  #stopped = false;

  constructor(options: SourceLeasesOptions) {
    this.#options = options;
    const { ips, ehloName, ehloNames, localAddresses, node } = options;
    this.all =
      ips.length === 0
        ? [new SourceAddress(undefined, ehloName)]
        : ips.map((ip) => {
            const holder = { lease: leaseOf(ip), owner: node };
            return new SourceAddress(ip, ehloNames[ip] ?? ehloName, localAddresses[ip], holder);
          });
    this.#byIp = new Map(this.all.map((source) => [source.ip ?? '', source]));
  }

  /** Takes the leases, and keeps them until `stop`. Resolves when each has been tried once. */
  async start(): Promise<void> {
    await Promise.all(this.all.map((source) => this.#keep(source)));
  }

  /** Renews a lease, and again later: a source whose renewal hangs does not hold up the others. */
  #keep(source: SourceAddress): Promise<void> {
    const renewal = this.#renew(source).then(() => {
      this.#renewals.delete(source);
      if (this.#stopped || source.heldUntil === Number.POSITIVE_INFINITY) return;
      const next = source.trouble === '' ? RENEWAL : LOOK;
      this.#timers.set(
        source,
        this.#options.clock.after(next, () => void this.#keep(source)),
      );
    });
    this.#renewals.set(source, renewal);
    return renewal;
  }

  async #renew(source: SourceAddress): Promise<void> {
    const { clock, onAcquired, onLost } = this.#options;
    const { ip } = source;
    try {
      if (!source.usable(clock.now())) await this.#checkHost(source);
      const end = ip === undefined ? Number.POSITIVE_INFINITY : await this.#acquire(ip);
      if (end !== undefined && !source.inUse) await onAcquired(source);
      source.heldUntil = end ?? 0;
      source.trouble = end === undefined ? `Another node holds the lease of ${ip}.` : '';
    } catch (error) {
      // The lease that is held goes on to its end: a storage that fails for a moment stops nothing.
      source.trouble = `${source.name}: ${(error as Error).message}`;
    }
    const usable = source.usable(clock.now());
    if (source.inUse && !usable) onLost(source);
    source.inUse = usable;
  }

  #acquire(ip: string): Promise<number | undefined> {
    const { leases, node, onRenewalFailed } = this.#options;
    return leases.acquire(leaseOf(ip), node, LEASE).catch((error: unknown) => {
      onRenewalFailed();
      throw error;
    });
  }

  async #checkHost(source: SourceAddress): Promise<void> {
    if (source.local === undefined) return;
    try {
      await bindable(source.local);
      this.#absent.delete(source);
    } catch (error) {
      this.#absent.add(source);
      throw error;
    }
  }

  /** A source of this node; the host's default is the empty text. */
  byIp(ip: string): SourceAddress | undefined {
    return this.#byIp.get(ip);
  }

  /**
   * Whether to lease mail that leaves from these addresses. Not while another node has them, or may have: that
   * one sends it. Mail for which there is no address at all is leased, to be put back with that as its reason.
   * @param ips those of a pool; undefined: all of this node.
   */
  mayLease(ips: readonly { readonly ip: string | undefined }[] | undefined, now: number): boolean {
    let absent = true;
    for (const { ip } of ips ?? this.all) {
      const source = this.#byIp.get(ip ?? '');
      if (source === undefined) continue;
      if (source.usable(now)) return true;
      absent &&= this.#absent.has(source);
    }
    return absent;
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
    for (const cancel of this.#timers.values()) cancel();
    const { leases, node, clock } = this.#options;
    let cancel = (): void => undefined;
    const deadline = new Promise<void>((resolve) => (cancel = clock.after(STOP_DEADLINE, resolve)));
    await Promise.race([Promise.all(this.#renewals.values()), deadline]);
    cancel();
    const held = this.all.filter((source) => source.heldUntil > 0);
    await Promise.allSettled(
      held.map(async (source) => {
        // A state that could not be written is read by the next owner as it was last written: nothing is exceeded.
        await this.#options.onRelease(source).catch(() => undefined);
        if (source.ip !== undefined) await leases.release(leaseOf(source.ip), node);
      }),
    );
  }
}

/** Name of the lease of an address. */
export function leaseOf(ip: string): string {
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
