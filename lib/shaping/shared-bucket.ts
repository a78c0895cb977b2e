/**
 * This node's part of a limit that is counted over all IPs and nodes. Tokens come in chunks from the bucket in
 * the engine, are spent smoothly, and go stale: no remote call for a message, and the limit holds whatever
 * each node does.
 *
 * A rate holds over any minute (over its own period, if longer). Of a chunk of c tokens that go stale after D,
 * at most r·(P + D) + c can be spent in a window P by all nodes together; the bucket is filled at the r for
 * which that is the limit. A quota is a bucket for each calendar hour or day that is never filled again.
 */

import { HOUR } from '../time.ts';
import type { SharedLimit } from './limits/limit.ts';
import { type Pace, Pacer, paceOf } from './rate.ts';

/** What to ask the engine's `leases.take` for. */
export interface ChunkRequest {
  bucket: string;
  want: number;
  /** Tokens a second that the bucket is filled with, and its capacity. */
  rate: number;
  burst: number;
}

const MINUTE = 60_000;
/** A chunk lasts a two-hundredth of the window; beyond this it would be stale before it is here. */
const SHORTEST_CHUNK = 100;
/** Time for a chunk to arrive and be spent, beside its own length, ms. */
const SLACK = 250;
/** Interval of looks for a chunk that is on its way, ms. */
const POLL = 10;
/** Quota tokens that a node may hold unspent: lost to the others if it dies. */
const QUOTA_CHUNK = 100;

export class SharedBucket {
  readonly key: string;
  readonly limit: SharedLimit;
  readonly #pacer = new Pacer();
  readonly #pace: Pace;
  /** Tokens of a request at full, the rate at which the bucket is filled, and how long tokens keep. */
  readonly #chunk: number;
  readonly #fill: number;
  readonly #keeps: number;
  /** In hand: the older chunk and the newer. */
  #tokens = 0;
  #staleAt = 0;
  #newer = 0;
  #newerStaleAt = 0;
  #asked = false;
  /** The bucket had nothing left until then. */
  #emptyUntil = 0;
  readonly #lease: (bucket: SharedBucket) => void;

  /** @param lease is called when a chunk is needed: it takes `request` to the engine. */
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

  /** Milliseconds until a message may count against it. */
  wait(now: number): number {
    this.#age(now);
    if (this.#wanting(now)) this.#lease(this);
    if (this.#tokens > 0) return this.#pacer.wait(now, this.#pace);
    return Math.max(POLL, this.#emptyUntil - now);
  }

  /** Tokens in hand. */
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

  /** What to ask the engine for; then `granted` or `failed` must be called. */
  request(now: number): ChunkRequest {
    this.#asked = true;
    const { quota } = this.limit;
    if (quota === undefined) {
      return { bucket: `rate/${this.key}`, want: this.#chunk, rate: this.#fill * 1000, burst: this.#chunk };
    }
    const period = new Date(now).toISOString().slice(0, quota.per === 'hour' ? 13 : 10);
    return { bucket: `quota/${this.key}/${period}`, want: this.#chunk, rate: 0, burst: quota.count };
  }

  /** @param wait ms until the bucket has something, when it granted nothing. @param askedAt time of the request. */
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

  /** The engine did not answer: nothing is known, and nothing may be spent. */
  failed(now: number): void {
    this.#asked = false;
    this.#emptyUntil = now + 1000;
  }
}

function periodEnd(now: number, per: 'hour' | 'day'): number {
  const length = per === 'hour' ? HOUR : 24 * HOUR;
  return (Math.floor(now / length) + 1) * length;
}
