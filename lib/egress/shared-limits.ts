/** Takes chunks of shared limits from the engine, ahead of their use, so that no message waits for a call. */
import { Cache } from '../cache.ts';
import type { Leases } from '../engine/ports.ts';
import type { SharedCounts, SharedHeld } from '../observe/limit-figures.ts';
import type { SharedLimit } from '../shaping/limits/limit.ts';
import type { MailLimits } from '../shaping/limits/terms.ts';
import { SharedBucket } from '../shaping/shared-bucket.ts';
import { SharedPermits } from '../shaping/shared-permits.ts';
import type { SharedParts } from '../shaping/stream-limiter.ts';
import type { Clock } from '../time.ts';

const MAX_KEPT = 100_000;

export class SharedLimits {
  readonly #leases: Leases;
  readonly #clock: Clock;
  readonly #node: string;
  readonly #buckets = new Cache<string, SharedBucket>(MAX_KEPT);
  readonly #permits = new Cache<string, SharedPermits>(MAX_KEPT);
  /** Permits that are used, held or waited for, each with the name under which it holds them. */
  readonly #active = new Map<SharedPermits, string>();
  #holders = 0;
  readonly #counts: SharedCounts;

  /** @param node its name among those that share the engine. */
  constructor(leases: Leases, clock: Clock, node: string, counts: SharedCounts) {
    this.#counts = counts;
    this.#leases = leases;
    this.#clock = clock;
    this.#node = node;
  }

  /** What mail under these terms counts against. */
  readonly partsOf = ({ shared }: MailLimits): SharedParts => {
    const buckets: SharedBucket[] = [];
    const permits: SharedPermits[] = [];
    for (const { key, limit } of shared) {
      if (limit.concurrency === undefined) buckets.push(this.#bucketOf(key, limit));
      else permits.push(this.#permitsOf(key, limit));
    }
    return { buckets, permits };
  };

  #bucketOf(key: string, limit: SharedLimit): SharedBucket {
    return kept(
      this.#buckets,
      key,
      limit,
      () => new SharedBucket(key, limit, (wanting) => void this.#lease(wanting)),
    );
  }

  #permitsOf(key: string, limit: SharedLimit): SharedPermits {
    return kept(
      this.#permits,
      key,
      limit,
      () => new SharedPermits(key, limit, (wanting) => void this.#hold(wanting)),
    );
  }

  async #lease(bucket: SharedBucket): Promise<void> {
    const askedAt = this.#clock.now();
    const { bucket: name, want, rate, burst } = bucket.request(askedAt);
    this.#counts.bucketRequests += 1;
    try {
      const { granted, wait } = await this.#leases.take(name, want, rate, burst);
      if (granted === 0) this.#counts.bucketsEmpty += 1;
      bucket.granted(granted, wait, askedAt, this.#clock.now());
    } catch {
      this.#counts.bucketFailures += 1;
      bucket.failed(this.#clock.now());
    }
  }

  async #hold(permits: SharedPermits): Promise<void> {
    let holder = this.#active.get(permits);
    // Each is a holder of its own: the permits of a limit that was changed end beside those of its successor.
    if (holder === undefined) this.#active.set(permits, (holder = `${this.#node}/${(this.#holders += 1)}`));
    const askedAt = this.#clock.now();
    this.#counts.bucketRequests += 1;
    try {
      const request = permits.request();
      const { held, share } = await this.#leases.permits(`permits/${permits.key}`, holder, request);
      if (held === 0 && request.want > 0) this.#counts.bucketsEmpty += 1;
      permits.granted(held, share, askedAt, this.#clock.now());
    } catch {
      this.#counts.bucketFailures += 1;
      permits.failed(this.#clock.now());
    }
  }

  /** What is in hand. */
  held(now: number): SharedHeld {
    const held = { rate: 0, quota: 0, concurrency: 0 };
    for (const bucket of this.#buckets.values()) {
      held[bucket.limit.rate === undefined ? 'quota' : 'rate'] += bucket.held(now);
    }
    for (const permits of this.#active.keys()) held.concurrency += permits.held(now);
    return held;
  }

  /** Once a second. */
  tick(now: number): void {
    for (const permits of this.#active.keys()) {
      permits.tick(now);
      if (permits.idle) this.#active.delete(permits);
    }
  }

  /** Gives back what is held: nothing is under way any more. */
  async stop(): Promise<void> {
    await Promise.allSettled(
      [...this.#active].map(([{ key }, holder]) =>
        this.#leases.permits(`permits/${key}`, holder, { keep: 0, want: 0, limit: 0, ttl: 0 }),
      ),
    );
  }
}

/** One for each key, until its limit is changed. */
function kept<T extends { limit: SharedLimit }>(
  all: Cache<string, T>,
  key: string,
  limit: SharedLimit,
  make: () => T,
): T {
  const known = all.get(key);
  if (known?.limit === limit) return known;
  const made = make();
  all.set(key, made);
  return made;
}
