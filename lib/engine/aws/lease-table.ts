/**
 * The leases port. No wall clock of one process is ever compared with that of another.
 *
 * **Ownership.** The item of a name holds its owner, a version that every acquisition raises, and the length of
 * the lease. Another process may take it over when it has seen the same version for that length on its own
 * steady clock: then the owner has not renewed for that time, by any clock.
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
 * takes a name over reads its checkpoint, and from then on writes of earlier owners fail. So no write pays
 * for a look at the lease.
 *
 * **Reports** are items of their own under the name, so that holders do not write to one item.
 */
import { type Clock, DAY } from '../../time.ts';
import { leaseLost } from '../lease-lost.ts';
import type { LeaseHolder, Leases, StoredReport } from '../ports.ts';
import { type Item, number, numberOf, text, ttlOf } from './attributes.ts';
import type { Tables, Update } from './tables.ts';

const LEASE = 'lease';
const CHECKPOINT = 'checkpoint';
/** Start of the sort key of a report; the name of its holder follows. */
const REPORT = 'report#';
/** Items unused for this time are deleted. */
const UNUSED = 30 * DAY;
/** The same of reports, whose holders end after seconds. */
const REPORT_UNUSED = 2 * DAY;

export interface LeasesParts {
  tables: Tables;
  clock: Clock;
  /** A clock in ms that never goes back, and advances while the process is stopped. */
  steady: () => number;
}

export class AwsLeases implements Leases {
  readonly #parts: LeasesParts;
  /** Versions that other owners hold, and since when they are seen. */
  readonly #seen = new Map<string, { version: number; since: number }>();
  /** Versions that this process holds, by holder. */
  readonly #held = new Map<string, number>();

  constructor(parts: LeasesParts) {
    this.#parts = parts;
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
        // Above every earlier version of the name, should its item have been deleted.
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

  async holder(name: string): Promise<string | undefined> {
    return (await this.#parts.tables.get('leases', { pk: name, sk: LEASE }))?.o?.S;
  }

  async report(name: string, holder: string, count: number, value: unknown): Promise<void> {
    await this.#parts.tables.update(
      'leases',
      { pk: name, sk: REPORT + holder },
      {
        update: 'SET c = :c, v = :v, #ttl = :ttl',
        condition: 'attribute_not_exists(c) OR c < :c',
        names: { '#ttl': 'ttl' },
        values: {
          ':c': number(count),
          ':v': text(JSON.stringify(value)),
          ':ttl': ttlOf(this.#parts.clock.now() + REPORT_UNUSED),
        },
      },
    );
  }

  async reports(name: string): Promise<StoredReport[]> {
    const items = await this.#parts.tables.query('leases', name, { from: REPORT, to: `${REPORT}\uffff` });
    return items.map((item) => ({ holder: item.sk!.S!.slice(REPORT.length), value: JSON.parse(item.v!.S!) }));
  }

  async forget(name: string, holder: string, count: number): Promise<void> {
    const key = { pk: name, sk: REPORT + holder };
    await this.#parts.tables.remove('leases', key, { condition: 'c = :c', values: { ':c': number(count) } });
  }

  async checkpoint(name: string, holder?: LeaseHolder): Promise<unknown> {
    const item = holder
      ? await this.#fence(name, holder, { update: 'SET f = :f, #ttl = :ttl', returns: true })
      : await this.#parts.tables.get('leases', { pk: name, sk: CHECKPOINT });
    return item?.v && JSON.parse(item.v.S!);
  }

  async saveCheckpoint(name: string, value: unknown, holder?: LeaseHolder): Promise<void> {
    const v = text(JSON.stringify(value));
    if (holder) {
      await this.#fence(name, holder, { update: 'SET v = :v, f = :f, #ttl = :ttl', values: { ':v': v } });
      return;
    }
    await this.#parts.tables.update(
      'leases',
      { pk: name, sk: CHECKPOINT },
      {
        update: 'SET v = :v, #ttl = :ttl',
        names: { '#ttl': 'ttl' },
        values: { ':v': v, ':ttl': this.#unused() },
      },
    );
  }

  /** Changes a checkpoint, unless an owner of a later version of the lease has touched it. */
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

  /** Whether the version of another owner has been seen for the length of its lease. */
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
}

function holderKey({ lease, owner }: LeaseHolder): string {
  return `${lease}\0${owner}`;
}
