/** The leases port. */
import type { Clock } from '../../time.ts';
import { leaseLost } from '../lease-lost.ts';
import { type PermitHolder, type PermitRequest, type Permits, sharePermits } from '../permits.ts';
import type { LeaseHolder, Leases } from '../ports.ts';
import { readJson } from './json.ts';
import type { Link } from './link.ts';

export class EmbeddedLeases implements Leases {
  readonly #link: Link;
  readonly #clock: Clock;
  /** Not stored: what permits count are connections and messages under way, which end with this process. */
  readonly #permits = new Map<string, (PermitHolder & { until: number })[]>();

  constructor(link: Link, clock: Clock) {
    this.#link = link;
    this.#clock = clock;
  }

  acquire(name: string, owner: string, ttl: number): Promise<number | undefined> {
    return this.#link.call('acquire', { name, owner, now: this.#clock.now(), ttl });
  }

  release(name: string, owner: string): Promise<void> {
    return this.#link.call('release', { name, owner });
  }

  take(
    bucket: string,
    want: number,
    rate: number,
    burst: number,
  ): Promise<{ granted: number; wait: number }> {
    return this.#link.call('take', { bucket, want, rate, burst, now: this.#clock.now() });
  }

  async permits(name: string, owner: string, request: PermitRequest): Promise<Permits> {
    const now = this.#clock.now();
    const holders = this.#permits.get(name) ?? [];
    const live = holders.filter((one) => one.until > now);
    const shared = sharePermits(owner, request, live);
    const others = live.filter((one) => one.owner !== owner);
    const { want, ttl } = request;
    if (shared.held > 0 || want > 0) others.push({ owner, held: shared.held, want, until: now + ttl });
    if (others.length > 0) this.#permits.set(name, others);
    else this.#permits.delete(name);
    return shared;
  }

  async checkpoint(name: string, holder?: LeaseHolder): Promise<unknown> {
    const json = await this.#link.call('checkpoint', { name, holder });
    if (json === false) throw leaseLost(name, holder!);
    return json === undefined ? undefined : readJson(json, `the checkpoint ${name}`);
  }

  async saveCheckpoint(name: string, value: unknown, holder?: LeaseHolder): Promise<void> {
    const saved = await this.#link.call('saveCheckpoint', { name, value: JSON.stringify(value), holder });
    if (!saved) throw leaseLost(name, holder!);
  }
}
