/** The shares of this process in limits over IPs and nodes, and their part in the division of each. */
import { Cache } from '../cache.ts';
import type { Leases } from '../engine/ports.ts';
import type { SharedCounts, SharedHeld } from '../observe/limit-figures.ts';
import type { Holding } from '../shaping/division/holding.ts';
import type { SharedLimit } from '../shaping/limits/limit.ts';
import type { MailLimits } from '../shaping/limits/terms.ts';
import { SharedBucket, type ShareHost } from '../shaping/shared-bucket.ts';
import { SharedPermits } from '../shaping/shared-permits.ts';
import type { SharedParts } from '../shaping/stream-limiter.ts';
import type { Clock, Random } from '../time.ts';
import { Sharing } from './sharing.ts';

const MAX_KEPT = 100_000;

export interface SharedLimitsOptions {
  leases: Leases;
  clock: Clock;
  random: Random;
  /** Name of this node among those that share the engine. */
  node: string;
  counts: SharedCounts;
}

export class SharedLimits {
  readonly #options: SharedLimitsOptions;
  readonly #start: number;
  readonly #buckets = new Cache<string, SharedBucket>(MAX_KEPT);
  readonly #permits = new Cache<string, SharedPermits>(MAX_KEPT);
  readonly #active = new Map<Holding, Sharing>();
  /** The one of each name that may divide. */
  readonly #named = new Map<string, Holding>();
  #holders = 0;
  readonly #host: ShareHost;

  constructor(options: SharedLimitsOptions) {
    this.#options = options;
    this.#start = options.clock.now();
    const { node } = options;
    this.#host = {
      // Each is a holder of its own: what one holds ends beside what its successor begins with.
      holder: () => ({
        node,
        start: this.#start,
        holder: `${node}/${this.#start.toString(36)}/${(this.#holders += 1)}`,
      }),
      ask: (holding, granted) => this.#sharing(holding, granted).ask(),
    };
  }

  /** What mail under these terms counts against. */
  readonly partsOf = ({ shared }: MailLimits): SharedParts => {
    const buckets: SharedBucket[] = [];
    const permits: SharedPermits[] = [];
    for (const { key, limit } of shared) {
      if (limit.concurrency === undefined) buckets.push(this.#bucketOf(key, limit));
      else permits.push(this.#permitsAt(key, limit));
    }
    return { buckets, permits };
  };

  #bucketOf(key: string, limit: SharedLimit): SharedBucket {
    const now = this.#options.clock.now();
    const known = this.#buckets.get(key);
    if (known !== undefined) {
      known.setLimit(limit, now);
      return known;
    }
    const bucket = new SharedBucket(key, limit, this.#host, now);
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #permitsAt(key: string, limit: SharedLimit): SharedPermits {
    const known = this.#permits.get(key);
    if (known !== undefined) {
      known.setLimit(limit);
      return known;
    }
    const permits = new SharedPermits(key, limit, this.#host, this.#options.clock.now());
    this.#permits.set(key, permits);
    return permits;
  }

  #sharing(holding: Holding, granted: (now: number) => void = () => {}): Sharing {
    const known = this.#active.get(holding);
    if (known !== undefined) return known;
    const { name } = holding;
    if (!this.#named.has(name)) this.#named.set(name, holding);
    const sharing = new Sharing(holding, {
      ...this.#options,
      mayDivide: () => this.#named.get(name) === holding,
      granted,
    });
    this.#active.set(holding, sharing);
    return sharing;
  }

  /** What is in hand. */
  held(now: number): SharedHeld {
    const held = { rate: 0, quota: 0, concurrency: 0 };
    for (const bucket of this.#buckets.values()) {
      held[bucket.limit.rate === undefined ? 'quota' : 'rate'] += bucket.held(now);
    }
    for (const permits of this.#permits.values()) held.concurrency += permits.held(now);
    return held;
  }

  /** Once a second. */
  tick(now: number): void {
    for (const permits of this.#permits.values()) permits.tick(now);
    for (const [holding, sharing] of this.#active) {
      if (holding.idle(now)) void this.#leave(sharing);
      else sharing.tick(now);
    }
  }

  async #leave(sharing: Sharing): Promise<void> {
    const { holding } = sharing;
    holding.retired = true;
    this.#active.delete(holding);
    try {
      await sharing.leave();
    } catch {
      // Then it is divided among others when its term is over.
      this.#options.counts.bucketFailures += 1;
    }
    if (this.#named.get(holding.name) === holding) this.#named.delete(holding.name);
  }

  /** Gives back what is held: nothing is under way any more. */
  async stop(): Promise<void> {
    await Promise.all(Array.from(this.#active.values(), (sharing) => this.#leave(sharing)));
  }
}
