/** The leases port. */
import type { Clock } from '../../time.ts';
import type { Leases } from '../ports.ts';
import { readJson } from './json.ts';
import type { Link } from './link.ts';

export class EmbeddedLeases implements Leases {
  readonly #link: Link;
  readonly #clock: Clock;

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

  async checkpoint(name: string): Promise<unknown> {
    const json = await this.#link.call('checkpoint', name);
    return json === undefined ? undefined : readJson(json, `the checkpoint ${name}`);
  }

  saveCheckpoint(name: string, value: unknown): Promise<void> {
    return this.#link.call('saveCheckpoint', { name, value: JSON.stringify(value) });
  }
}
