/** The leases port. */
import type { Clock } from '../../time.ts';
import { leaseLost } from '../lease-lost.ts';
import type { LeaseHolder, Leases, StoredReport } from '../ports.ts';
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

  holder(name: string): Promise<string | undefined> {
    return this.#link.call('leaseHolder', { name, now: this.#clock.now() });
  }

  report(name: string, holder: string, count: number, value: unknown): Promise<void> {
    return this.#link.call('report', { name, holder, count, value: JSON.stringify(value) });
  }

  async reports(name: string): Promise<StoredReport[]> {
    const rows = await this.#link.call('reports', name);
    return rows.map(({ holder, value }) => ({ holder, value: readJson(value, `the report of ${holder}`) }));
  }

  forget(name: string, holder: string, count: number): Promise<void> {
    return this.#link.call('forgetReport', { name, holder, count });
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
