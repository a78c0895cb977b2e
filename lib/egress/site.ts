import { RateMeter } from '../shaping/rate-meter.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { Counts } from './counters.ts';
import type { Destinations, SiteAddress, Targets } from './destination.ts';

/** One destination: its hosts, their checked addresses, and the paths that lead to it. */
export class Site {
  readonly name: string;
  readonly provider: string;
  /** Named by a static route. */
  readonly routed: boolean;
  readonly counts: Counts;
  /** Deliveries in hand that go there. */
  held = 0;
  /** Deliveries that ended, by whatever result. */
  readonly drained: RateMeter;
  /** By source, TLS requirement and connections of their own. */
  readonly paths = new Map<string, ConnectionPool>();
  usedAt: number;
  #address: SiteAddress;
  #targets: Targets | undefined;
  #lookup: Promise<Targets> | undefined;

  constructor(address: SiteAddress, counts: Counts, now: number) {
    this.name = address.site;
    this.provider = address.provider;
    this.routed = address.routed;
    this.counts = counts;
    this.drained = new RateMeter(now);
    this.usedAt = now;
    this.#address = address;
  }

  /** The addresses that may be connected to, when they are known and their TTL has not passed. */
  targets(now: number): Targets | undefined {
    return this.#targets !== undefined && this.#targets.expiresAt > now ? this.#targets : undefined;
  }

  /** Looks the addresses up; callers at the same time share one lookup. Never rejects. */
  lookup(destinations: Destinations): Promise<Targets> {
    this.#lookup ??= destinations.targets(this.#address).then((targets) => {
      this.#lookup = undefined;
      this.#targets = targets;
      return targets;
    });
    return this.#lookup;
  }

  /** Domains of one site may rank its hosts differently; the latest ranking is followed. */
  follow(address: SiteAddress): void {
    this.#address = address;
  }
}
