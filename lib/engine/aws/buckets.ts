/**
 * Token buckets that several processes share: one item for a bucket, written on condition that it is unchanged since
 * it was read.
 *
 * Tokens come back with the bucket's own time, a number in its item that only advances. Each process records the
 * greatest difference between that time and its steady clock, so its estimate is never ahead: the grants of any
 * period are at most `burst` and the tokens that came back in it. A process that sees a bucket for the first time
 * adds nothing until it has seen it twice.
 */
import { randomBytes } from 'node:crypto';
import { type Clock, DAY } from '../../time.ts';
import { type Item, number, numberOf, text, ttlOf } from './attributes.ts';
import { type Pacing, pause } from './concurrency.ts';
import type { Tables } from './tables.ts';

const BUCKET = 'bucket';
/** Items unused for this time are deleted. */
const UNUSED = 30 * DAY;
const TRIES = 20;
/** Maximum number of buckets in memory, the last used: quotas have another one each hour. */
const REMEMBERED = 50_000;

export interface BucketParts extends Pacing {
  tables: Tables;
  clock: Clock;
  /** A clock in ms that never goes back, and advances while the process is stopped. */
  steady: () => number;
}

/** A bucket as this process last saw it. */
interface KnownBucket {
  tokens: number;
  /** The bucket's time, as of its item. */
  at: number;
  version: number;
  /** Minimum of the bucket's time less own steady time. */
  ahead: number;
}

export class AwsBuckets {
  readonly #parts: BucketParts;
  /** The last used at the end. */
  readonly #known = new Map<string, KnownBucket>();

  constructor(parts: BucketParts) {
    this.#parts = parts;
  }

  async take(
    bucket: string,
    want: number,
    rate: number,
    burst: number,
  ): Promise<{ granted: number; wait: number }> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      // Other processes take from it too; each round one of them wins.
      if (tries > 4) await pause(this.#parts, tries - 5);
      const known = this.#known.get(bucket) ?? (await this.#readBucket(bucket));
      const now = known && Math.max(known.at, this.#parts.steady() + known.ahead);
      const tokens = known ? Math.min(burst, known.tokens + ((now! - known.at) * rate) / 1000) : burst;
      const granted = Math.max(0, Math.min(Math.floor(tokens), want));
      if (granted === 0) {
        if (want <= 0) return { granted, wait: 0 };
        // Empty as of the last seen item, which others can only have emptied further: no need to read it.
        return {
          granted,
          wait: rate > 0 ? Math.ceil(((1 - tokens) / rate) * 1000) : Number.POSITIVE_INFINITY,
        };
      }
      if (await this.#writeBucket(bucket, known, tokens - granted, now)) return { granted, wait: 0 };
    }
    return { granted: 0, wait: 1_000 };
  }

  async #readBucket(bucket: string): Promise<KnownBucket | undefined> {
    const item = await this.#parts.tables.get('leases', { pk: bucket, sk: BUCKET });
    return item && this.#learn(bucket, item);
  }

  #learn(bucket: string, item: Item): KnownBucket {
    const at = numberOf(item.at);
    const ahead = Math.max(
      at - this.#parts.steady(),
      this.#known.get(bucket)?.ahead ?? Number.NEGATIVE_INFINITY,
    );
    const known = { tokens: numberOf(item.k), at, version: numberOf(item.n), ahead };
    this.#remember(bucket, known);
    return known;
  }

  /** @returns false when the item had changed; the new one is recorded then. */
  async #writeBucket(
    bucket: string,
    known: KnownBucket | undefined,
    tokens: number,
    now: number | undefined,
  ): Promise<boolean> {
    const { tables, steady } = this.#parts;
    const at = now ?? steady();
    const by = randomBytes(6).toString('base64url');
    const version = (known?.version ?? 0) + 1;
    const { done, item } = await tables.update(
      'leases',
      { pk: bucket, sk: BUCKET },
      {
        update: 'SET k = :k, #at = :at, n = :next, b = :b, #ttl = :ttl',
        condition: `${known ? 'n = :n' : 'attribute_not_exists(pk)'} OR b = :b`,
        names: { '#at': 'at', '#ttl': 'ttl' },
        values: {
          ':k': number(tokens),
          ':at': number(at),
          ':next': number(version),
          ':b': text(by),
          ':ttl': ttlOf(this.#parts.clock.now() + UNUSED),
          ...(known && { ':n': number(known.version) }),
        },
      },
    );
    if (done) this.#remember(bucket, { tokens, at, version, ahead: known?.ahead ?? at - steady() });
    else if (item) this.#learn(bucket, item);
    else this.#known.delete(bucket);
    return done;
  }

  #remember(bucket: string, known: KnownBucket): void {
    this.#known.delete(bucket);
    this.#known.set(bucket, known);
    if (this.#known.size <= REMEMBERED) return;
    for (const [oldest] of this.#known) {
      this.#known.delete(oldest);
      break;
    }
  }
}
