/**
 * The hours of a sender from which its rates are taken. What was read is remembered: an hour that is over changes no more,
 * so that a later look reads the last hours alone.
 */
import { Cache } from '../cache.ts';
import type { Rows } from '../engine/ports.ts';
import { type RatedHour, REPUTATION_WINDOW } from '../outcome/protection.ts';
import { type Clock, HOUR } from '../time.ts';
import { StatisticsReader } from './reader.ts';

/** Tenants whose hours are remembered: 720 hours of each at most. */
const REMEMBERED = 500;
/** Hours that are read again, because outcomes are counted some seconds after they happened, and on AWS some minutes. */
const AGAIN = 2 * HOUR;

interface RememberedHours {
  hours: Map<number, RatedHour>;
  /** Hours before this one are complete. */
  until: number;
}

export class ReputationHours {
  readonly #reader: StatisticsReader;
  readonly #clock: Clock;
  readonly #remembered = new Cache<string, RememberedHours>(2 * REMEMBERED);

  constructor({ rows, clock }: { rows: Pick<Rows, 'query'>; clock: Clock }) {
    this.#reader = new StatisticsReader(rows);
    this.#clock = clock;
  }

  /** Hours of the window with any figure, in the order of time. @throws PosternError of the storage group. */
  async of(tenant: string): Promise<RatedHour[]> {
    const now = this.#clock.now();
    const first = now - (now % HOUR) - REPUTATION_WINDOW;
    const known = this.#remembered.get(tenant);
    const from = known === undefined ? first : Math.max(first, known.until);
    const points = await this.#reader.series({ tenant, from, before: now + HOUR, granularity: 'hour' });
    const hours = known?.hours ?? new Map<number, RatedHour>();
    for (const { at, counts } of points) {
      const { ratedSent: sent = 0, ratedBounces: bounces = 0, ratedComplaints: complaints = 0 } = counts;
      if (sent + bounces + complaints > 0) hours.set(at, { at, sent, bounces, complaints });
    }
    for (const at of hours.keys()) if (at < first) hours.delete(at);
    this.#remembered.set(tenant, { hours, until: now - (now % HOUR) - AGAIN });
    return [...hours.values()].sort((a, b) => a.at - b.at);
  }
}
