/** Takes chunks of shared limits from the engine, ahead of their use, so that no message waits for a call. */
import type { Leases } from '../lib/engine/ports.ts';
import type { Terms } from '../lib/shaping/limits/book.ts';
import { SharedBucket } from '../lib/shaping/shared-bucket.ts';
import type { Clock } from '../lib/time.ts';

const MAX_BUCKETS = 100_000;

export class SharedLimits {
  readonly #leases: Leases;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, SharedBucket>();

  constructor(leases: Leases, clock: Clock) {
    this.#leases = leases;
    this.#clock = clock;
  }

  /** The buckets that mail under these terms counts against. */
  readonly bucketsOf = (terms: Terms): SharedBucket[] =>
    terms.shared.map(({ key, limit }) => {
      const known = this.#buckets.get(key);
      if (known?.limit === limit) return known;
      if (this.#buckets.size >= MAX_BUCKETS) this.#buckets.clear();
      const bucket = new SharedBucket(key, limit, (wanting) => void this.#lease(wanting));
      this.#buckets.set(key, bucket);
      return bucket;
    });

  async #lease(bucket: SharedBucket): Promise<void> {
    const askedAt = this.#clock.now();
    const { bucket: name, want, rate, burst } = bucket.request(askedAt);
    try {
      const { granted, wait } = await this.#leases.take(name, want, rate, burst);
      bucket.granted(granted, wait, askedAt, this.#clock.now());
    } catch {
      bucket.failed(this.#clock.now());
    }
  }
}
