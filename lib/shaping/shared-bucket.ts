/**
 * This node's share of a limit that is counted over all IPs and nodes. Tokens come in chunks from the bucket in the
 * engine, are spent smoothly, and expire: no remote call for a message, and the limit holds even when nodes fail.
 *
 * A rate holds over any minute (over its own period, if longer). Of a chunk of c tokens that expire after D, at most
 * r·(P + D) + c can be spent in a window P by all nodes together; the bucket is filled at the r for which that equals
 * the limit. A quota is a bucket for each calendar hour or day that is never refilled.
 */

import { DAY, HOUR, MINUTE } from '../time.ts';
import type { SharedLimit } from './limits/limit.ts';
import { type Pace, Pacer, paceOf } from './rate.ts';

/** Arguments of the engine's `leases.take`. */
export interface ChunkRequest {
  bucket: string;
  want: number;
  /** Fill rate of the bucket, tokens a second, and its capacity. */
  rate: number;
  burst: number;
}

/**
 * Minimum lifetime of a chunk, ms: it lasts a two-hundredth of the window; a shorter one would expire before it
 * arrives.
 */
const SHORTEST_CHUNK = 100;
/** Time for a chunk to arrive and be spent, beside its own length, ms. */
const SLACK = 250;
/** Interval of checks for a chunk that is on its way, ms. */
const POLL = 10;
/** Maximum number of unspent quota tokens of a node: lost to the others if it crashes. */
const QUOTA_CHUNK = 100;

export class SharedBucket {
  readonly key: string;
  readonly limit: SharedLimit;
  readonly #pacer = new Pacer();
  readonly #pace: Pace;
  /** Tokens of a full request, the fill rate of the bucket, and how long tokens last. */
  readonly #chunk: number;
  readonly #fill: number;
  readonly #keeps: number;
  /** Unspent tokens: the older chunk and the newer. */
  #tokens = 0;
  #staleAt = 0;
  #newer = 0;
  #newerStaleAt = 0;
  #asked = false;
  /** Until when the bucket is empty. */
  #emptyUntil = 0;
  readonly #lease: (bucket: SharedBucket) => void;

  /** @param lease called when a chunk is needed: it sends `request` to the engine. */
  constructor(key: string, limit: SharedLimit, lease: (bucket: SharedBucket) => void) {
    this.key = key;
    this.limit = limit;
    this.#lease = lease;
    this.#pace = paceOf(limit.rate);
    if (limit.rate === undefined) {
      this.#chunk = Math.max(1, Math.min(QUOTA_CHUNK, Math.floor(limit.quota!.count / 100)));
      this.#fill = 0;
      this.#keeps = Number.POSITIVE_INFINITY;
    } else {
      const { count, per } = limit.rate;
      const window = Math.max(per, MINUTE);
      const allowed = (count * window) / per;
      const length = Math.max(SHORTEST_CHUNK, window / 200);
      this.#chunk = Math.max(1, Math.floor((count / per) * length));
      this.#keeps = Math.max(length, (this.#chunk * per) / count) + SLACK;
      // A limit of one token a window has nothing to spare for a chunk: it is the chunk.
      this.#fill = Math.max(allowed - this.#chunk, allowed / 2) / (window + this.#keeps);
    }
  }

  /** Wait until a message may count against the limit, ms. */
  wait(now: number): number {
    this.#age(now);
    if (this.#wanting(now)) this.#lease(this);
    if (this.#tokens > 0) return this.#pacer.wait(now, this.#pace);
    return Math.max(POLL, this.#emptyUntil - now);
  }

  /** Unspent tokens. */
  held(now: number): number {
    this.#age(now);
    return this.#tokens + (now < this.#newerStaleAt ? this.#newer : 0);
  }

  /** Counts one message. The caller called `wait` before. */
  take(now: number): void {
    this.#tokens -= 1;
    this.#pacer.take(now, this.#pace);
  }

  #age(now: number): void {
    if (this.#tokens > 0 && now < this.#staleAt) return;
    this.#tokens = now < this.#newerStaleAt ? this.#newer : 0;
    this.#staleAt = this.#newerStaleAt;
    this.#newer = 0;
  }

  #wanting(now: number): boolean {
    return !this.#asked && now >= this.#emptyUntil && this.#newer === 0 && this.#tokens <= this.#chunk / 2;
  }

  /** The request for the engine; `granted` or `failed` must follow. */
  request(now: number): ChunkRequest {
    this.#asked = true;
    const { quota } = this.limit;
    if (quota === undefined) {
      return { bucket: `rate/${this.key}`, want: this.#chunk, rate: this.#fill * 1000, burst: this.#chunk };
    }
    const period = new Date(now).toISOString().slice(0, quota.per === 'hour' ? 13 : 10);
    return { bucket: `quota/${this.key}/${period}`, want: this.#chunk, rate: 0, burst: quota.count };
  }

  /** @param wait time until the bucket has tokens, when it granted none, ms. @param askedAt time of the request. */
  granted(count: number, wait: number, askedAt: number, now: number): void {
    this.#asked = false;
    if (count > 0) {
      const { quota } = this.limit;
      this.#newer = count;
      this.#newerStaleAt = quota === undefined ? askedAt + this.#keeps : periodEnd(askedAt, quota.per);
    } else {
      const { quota } = this.limit;
      this.#emptyUntil = quota === undefined ? now + Math.max(POLL, wait) : periodEnd(askedAt, quota.per);
    }
  }

  /** Handles a request without an answer: the grant is unknown, and nothing of it may be spent. */
  failed(now: number): void {
    this.#asked = false;
    this.#emptyUntil = now + 1000;
  }
}

function periodEnd(now: number, per: 'hour' | 'day'): number {
  const length = per === 'hour' ? HOUR : DAY;
  return (Math.floor(now / length) + 1) * length;
}
