import { LoadMeter } from '../shaping/load-meter.ts';
import { RateMeter } from '../shaping/rate-meter.ts';
import type { Counts } from './counters.ts';
import type { Destinations, SiteAddress, Targets } from './destination.ts';

/** One destination: its hosts and their checked addresses, and its counts over all sources. */
export class Site {
  readonly name: string;
  readonly provider: string;
  /** Named by a static route. */
  readonly routed: boolean;
  readonly counts: Counts;
  /** Deliveries in flight to it. */
  held = 0;
  /** Deliveries that ended, by any result. */
  readonly drained: RateMeter;
  readonly load = new LoadMeter();
  usedAt: number;
  /** Domains of one site may rank its hosts differently: the latest ranking holds. */
  address: SiteAddress;
  #targets: Targets | undefined;
  #lookup: Promise<Targets> | undefined;

  constructor(address: SiteAddress, counts: Counts, now: number) {
    this.name = address.site;
    this.provider = address.provider;
    this.routed = address.routed;
    this.counts = counts;
    this.drained = new RateMeter(now);
    this.usedAt = now;
    this.address = address;
  }

  /** The addresses that may be connected to; undefined: they are to be looked up (again). */
  targets(now: number): Targets | undefined {
    return this.#targets !== undefined && this.#targets.expiresAt > now ? this.#targets : undefined;
  }

  /** Looks the addresses up; callers at the same time share one lookup. Never rejects. */
  lookup(destinations: Pick<Destinations, 'targets'>): Promise<Targets> {
    this.#lookup ??= destinations.targets(this.address).then((targets) => {
      this.#lookup = undefined;
      this.#targets = targets;
      return targets;
    });
    return this.#lookup;
  }
}
