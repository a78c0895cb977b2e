/**
 * The leases port. No wall clock of one process is ever compared with that of another.
 *
 * **Ownership.** The item of a name holds its owner, a version that every acquisition raises, and the length of
 * the lease. Another process may take it over when it has seen the same version for that length on its own
 * steady clock: then the owner, whatever its clock says, has not renewed for so long.
 *
 * ```
 *  owner    acquire v1 ────── renew v2 ──── ✕ dies
 *  other         sees v1 ───────── sees v2 ─────────── ttl ──────────► acquire v3, if still v2
 * ```
 * The owner counts its lease from before its request, on a clock that also runs while the process is stopped: one
 * that was paused past its lease knows at its first step. A name that is seen for the first time is free after
 * one length of the lease, not at once.
 *
 * **Checkpoints** carry the version of the lease under which they were read or written last, and only go up: who
 * takes a name over reads its checkpoint, and from then on whoever had it before writes in vain. So no write pays
 * for a look at the lease.
 *
 * **Buckets.** Tokens come back with the bucket's own time, a number in its item that only advances. Each process
 * knows how far its steady clock is behind that time at most (the greatest difference it has ever seen), so its
 * estimate is never ahead: what is granted in any time is at most `burst` and what came back in that time. A
 * process that sees a bucket for the first time adds nothing until it has seen it twice.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../time.ts';
import { leaseLost } from '../lease-lost.ts';
import type { PermitRequest, Permits } from '../permits.ts';
import type { LeaseHolder, Leases } from '../ports.ts';
import { type Pacing, pause } from './pause.ts';
import { AwsPermits } from './permits.ts';
import { type Item, number, numberOf, type Tables, text, ttlOf, type Update } from './tables.ts';

const LEASE = 'lease';
const BUCKET = 'bucket';
const CHECKPOINT = 'checkpoint';
/** Items that nobody uses for so long are forgotten. */
const UNUSED = 30 * 86_400_000;
const TRIES = 20;

export interface LeasesParts extends Pacing {
  tables: Tables;
  clock: Clock;
  /** Milliseconds that never go back, and go on while the process is stopped. */
  steady: () => number;
}

/** What this process knows of a bucket. */
interface KnownBucket {
  tokens: number;
  /** The bucket's time, as of its item. */
  at: number;
  version: number;
  /** Bucket's time less own steady time, at least. */
  ahead: number;
}

export class AwsLeases implements Leases {
  readonly #parts: LeasesParts;
  /** Versions that others hold, and since when they are seen. */
  readonly #seen = new Map<string, { version: number; since: number }>();
  /** Versions that this process has, by holder. */
  readonly #held = new Map<string, number>();
  readonly #buckets = new Map<string, KnownBucket>();
  readonly #permits: AwsPermits;

  constructor(parts: LeasesParts) {
    this.#parts = parts;
    this.#permits = new AwsPermits(parts);
  }

  async acquire(name: string, owner: string, ttl: number): Promise<number | undefined> {
    const { tables, clock } = this.#parts;
    const key = { pk: name, sk: LEASE };
    const seen = this.#seen.get(name);
    const end = clock.now() + ttl;
    const { done, item } = await tables.update('leases', key, {
      update: 'SET o = :o, n = if_not_exists(n, :start) + :one, l = :l, #ttl = :ttl',
      condition: `attribute_not_exists(o) OR o = :o${this.#isOver(name) ? ' OR n = :n' : ''}`,
      names: { '#ttl': 'ttl' },
      values: {
        ':o': text(owner),
        ':l': number(ttl),
        // Above every version that the name had before, should its item have been forgotten.
        ':start': number(clock.now()),
        ':one': number(1),
        ':ttl': this.#unused(),
        ...(this.#isOver(name) && { ':n': number(seen!.version) }),
      },
      returns: true,
    });
    const holder = holderKey({ lease: name, owner });
    if (done) {
      this.#seen.delete(name);
      this.#held.set(holder, numberOf(item!.n));
      return end;
    }
    this.#held.delete(holder);
    this.#observe(name, item);
    return undefined;
  }

  async release(name: string, owner: string): Promise<void> {
    this.#held.delete(holderKey({ lease: name, owner }));
    await this.#parts.tables.update(
      'leases',
      { pk: name, sk: LEASE },
      { update: 'REMOVE o', condition: 'o = :o', values: { ':o': text(owner) } },
    );
  }

  async take(
    bucket: string,
    want: number,
    rate: number,
    burst: number,
  ): Promise<{ granted: number; wait: number }> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      // Others take from it too; each round one of them wins.
      if (tries > 4) await pause(this.#parts, tries - 5);
      const known = this.#buckets.get(bucket) ?? (await this.#readBucket(bucket));
      const now = known && Math.max(known.at, this.#parts.steady() + known.ahead);
      const tokens = known ? Math.min(burst, known.tokens + ((now! - known.at) * rate) / 1000) : burst;
      const granted = Math.max(0, Math.min(Math.floor(tokens), want));
      if (granted === 0) {
        if (want <= 0) return { granted, wait: 0 };
        // Empty as of the item that is known, which others can only have emptied further: no need to look.
        return {
          granted,
          wait: rate > 0 ? Math.ceil(((1 - tokens) / rate) * 1000) : Number.POSITIVE_INFINITY,
        };
      }
      if (await this.#writeBucket(bucket, known, tokens - granted, now)) return { granted, wait: 0 };
    }
    return { granted: 0, wait: 1_000 };
  }

  permits(name: string, owner: string, request: PermitRequest): Promise<Permits> {
    return this.#permits.permits(name, owner, request);
  }

  async checkpoint(name: string, holder?: LeaseHolder): Promise<unknown> {
    const item = holder
      ? await this.#fence(name, holder, { update: 'SET f = :f, #ttl = :ttl', returns: true })
      : await this.#parts.tables.get('leases', { pk: name, sk: CHECKPOINT });
    return item?.v && JSON.parse(item.v.S!);
  }

  async saveCheckpoint(name: string, value: unknown, holder?: LeaseHolder): Promise<void> {
    const { tables } = this.#parts;
    const v = text(JSON.stringify(value));
    if (holder)
      await this.#fence(name, holder, { update: 'SET v = :v, f = :f, #ttl = :ttl', values: { ':v': v } });
    else await tables.putAll('leases', [{ pk: text(name), sk: text(CHECKPOINT), v, ttl: this.#unused() }]);
  }

  /** Changes a checkpoint, unless an owner of a later version of the lease has been at it. */
  async #fence(name: string, holder: LeaseHolder, change: Update): Promise<Item | undefined> {
    const version = this.#held.get(holderKey(holder));
    if (version === undefined) throw leaseLost(name, holder);
    const { done, item } = await this.#parts.tables.update(
      'leases',
      { pk: name, sk: CHECKPOINT },
      {
        ...change,
        condition: 'attribute_not_exists(f) OR f <= :f',
        names: { '#ttl': 'ttl' },
        values: { ...change.values, ':f': number(version), ':ttl': this.#unused() },
      },
    );
    if (!done) throw leaseLost(name, holder);
    return item;
  }

  #unused() {
    return ttlOf(this.#parts.clock.now() + UNUSED);
  }

  /** Whether the version that another holds has been seen for the length of its lease. */
  #isOver(name: string): boolean {
    const seen = this.#seen.get(name);
    return seen !== undefined && this.#parts.steady() >= seen.since;
  }

  #observe(name: string, item: Item | undefined): void {
    if (!item) return;
    const version = numberOf(item.n);
    if (this.#seen.get(name)?.version === version) return;
    this.#seen.set(name, { version, since: this.#parts.steady() + numberOf(item.l) });
  }

  async #readBucket(bucket: string): Promise<KnownBucket | undefined> {
    const item = await this.#parts.tables.get('leases', { pk: bucket, sk: BUCKET });
    return item && this.#learn(bucket, item);
  }

  #learn(bucket: string, item: Item): KnownBucket {
    const at = numberOf(item.at);
    const ahead = Math.max(
      at - this.#parts.steady(),
      this.#buckets.get(bucket)?.ahead ?? Number.NEGATIVE_INFINITY,
    );
    const known = { tokens: numberOf(item.k), at, version: numberOf(item.n), ahead };
    this.#buckets.set(bucket, known);
    return known;
  }

  /** @returns false when the item was another than known; it is known then. */
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
          ':ttl': this.#unused(),
          ...(known && { ':n': number(known.version) }),
        },
      },
    );
    if (done) this.#buckets.set(bucket, { tokens, at, version, ahead: known?.ahead ?? at - steady() });
    else if (item) this.#learn(bucket, item);
    else this.#buckets.delete(bucket);
    return done;
  }
}

function holderKey({ lease, owner }: LeaseHolder): string {
  return `${lease}\0${owner}`;
}
