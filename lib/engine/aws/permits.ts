/**
 * Permits that several processes share: one item for a name, with every holder in it, written on condition that
 * it is the one that was read.
 *
 * Each request of a holder raises its own count in the item. Another may pass over a holder whose count it has
 * seen unchanged for the length of that holder's lease, on its own steady clock: no wall clocks are compared
 * (`lease-table.ts`). The holder counts its lease from before its request, so that it ends first.
 */
import { type Clock, DAY } from '../../time.ts';
import { type PermitRequest, type Permits, sharePermits } from '../permits.ts';
import { type Item, number, numberOf, text, ttlOf } from './attributes.ts';
import { type Pacing, pause } from './concurrency.ts';
import type { Tables } from './tables.ts';

const PERMITS = 'permits';
/** Items unused for this time are deleted. */
const UNUSED = 30 * DAY;
const TRIES = 20;

export interface PermitParts extends Pacing {
  tables: Tables;
  clock: Clock;
  /** A clock in ms that never goes back, and advances while the process is stopped. */
  steady: () => number;
}

/** A holder in the item. */
interface Holder {
  owner: string;
  held: number;
  want: number;
  /** Number of its requests. */
  count: number;
  /** Length of its lease, ms. */
  ttl: number;
}

export class AwsPermits {
  readonly #parts: PermitParts;
  /** Items as last seen, and since when each holder's count was seen in them. */
  readonly #known = new Map<string, { version: number; holders: readonly Holder[] }>();
  readonly #seen = new Map<string, Map<string, { count: number; since: number }>>();

  constructor(parts: PermitParts) {
    this.#parts = parts;
  }

  async permits(name: string, owner: string, request: PermitRequest): Promise<Permits> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      // Other processes request too; each round one of them wins.
      if (tries > 4) await pause(this.#parts, tries - 5);
      const known = this.#known.get(name) ?? (await this.#read(name));
      const live = known.holders.filter((one) => one.owner === owner || !this.#isOver(name, one));
      const shared = sharePermits(owner, request, live);
      const others = live.filter((one) => one.owner !== owner);
      const count = (live.find((one) => one.owner === owner)?.count ?? 0) + 1;
      const { want, ttl } = request;
      const own = { owner, held: shared.held, want, count, ttl };
      const holders = shared.held > 0 || want > 0 ? [...others, own] : others;
      if (!(await this.#write(name, known.version, holders))) continue;
      if (shared.held === 0 && want === 0) this.#forget(name);
      return shared;
    }
    return { held: 0, share: 0 };
  }

  #isOver(name: string, { owner, count, ttl }: Holder): boolean {
    const seen = this.#seen.get(name)?.get(owner);
    return seen !== undefined && seen.count === count && this.#parts.steady() >= seen.since + ttl;
  }

  #forget(name: string): void {
    this.#known.delete(name);
    this.#seen.delete(name);
  }

  async #read(name: string): Promise<{ version: number; holders: readonly Holder[] }> {
    const item = await this.#parts.tables.get('leases', { pk: name, sk: PERMITS });
    return this.#learn(name, numberOf(item?.n), item === undefined ? [] : holdersOf(item));
  }

  #learn(
    name: string,
    version: number,
    holders: readonly Holder[],
  ): { version: number; holders: readonly Holder[] } {
    const before = this.#seen.get(name);
    const now = this.#parts.steady();
    const seen = new Map<string, { count: number; since: number }>();
    for (const { owner, count } of holders) {
      const last = before?.get(owner);
      seen.set(owner, last?.count === count ? last : { count, since: now });
    }
    this.#seen.set(name, seen);
    const known = { version, holders };
    this.#known.set(name, known);
    return known;
  }

  /** @returns false when the item had changed; the new one is recorded then. */
  async #write(name: string, version: number, holders: readonly Holder[]): Promise<boolean> {
    const { tables, clock } = this.#parts;
    const { done, item } = await tables.update(
      'leases',
      { pk: name, sk: PERMITS },
      {
        update: 'SET h = :h, n = :next, #ttl = :ttl',
        condition: version === 0 ? 'attribute_not_exists(pk)' : 'n = :n',
        names: { '#ttl': 'ttl' },
        values: {
          ':h': text(JSON.stringify(holders)),
          ':next': number(version + 1),
          ':ttl': ttlOf(clock.now() + UNUSED),
          ...(version > 0 && { ':n': number(version) }),
        },
      },
    );
    if (done) this.#learn(name, version + 1, holders);
    else if (item) this.#learn(name, numberOf(item.n), holdersOf(item));
    else this.#known.delete(name);
    return done;
  }
}

function holdersOf(item: Item): Holder[] {
  return JSON.parse(item.h!.S!) as Holder[];
}
