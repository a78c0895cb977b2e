/**
 * The log of changes of the configuration: a row for each change, in partitions by minute and shard.
 *
 * ```
 *  change ─► [document + row log#<minute>#<shard>] in one transaction
 *
 *  follower:  ──────────────┬───────── place ────── now
 *                           └─ reads from OVERLAP before its place: rows that arrived late; each row counts once
 *             a place that is older than BEHIND, or MOST rows ─► everything counts as changed
 * ```
 * No item is written by more than one change, so writers wait for no other; two shards take a thousand changes a
 * second (a partition key takes 1,000 write units, a row in a transaction costs two).
 *
 * A row is placed by its writer's clock. One that is behind by less than OVERLAP, or a write that takes less, is found
 * all the same; a writer that took longer writes its row once more.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { type Clock, MINUTE, SECOND } from '../../time.ts';
import type { ConfigChange } from '../ports.ts';
import { type Item, text, ttlOf } from './attributes.ts';
import { LOG_PREFIX } from './schema.ts';
import type { Tables } from './tables.ts';

const SHARDS = 2;
/** How far before its place a follower reads again, ms. */
const OVERLAP = 5 * SECOND;
/** How long a write may take before its row is written once more, ms: the rest of OVERLAP is for clocks. */
const LATE = 3 * SECOND;
/** How old a place may be that is read on from, ms: four minutes of partitions at most. */
const BEHIND = 3 * MINUTE;
/** How long rows are kept, ms. */
const KEPT = 60 * MINUTE;
/** Rows of a partition from which on they are not read: everything counts as changed. */
const MOST = 300;
/** Changes of one kind at one time from which on the whole kind counts as changed. */
const MANY = 8;

export class ChangeLog {
  readonly #tables: Tables;
  readonly #clock: Clock;
  /** Rows that count no more, by sort key, with their times. */
  readonly #known = new Map<string, number>();
  /** Up to when the log was read; undefined: nothing is followed. */
  #place: number | undefined;

  constructor(tables: Tables, clock: Clock) {
    this.#tables = tables;
    this.#clock = clock;
  }

  /** The row of a change by this process, whose own listeners are told already. */
  row(kind: string, key: string): Item {
    const at = this.#clock.now();
    const sk = `${timeKey(at)}#${randomUUID().slice(0, 8)}`;
    if (this.#place !== undefined) this.#known.set(sk, at);
    return {
      pk: text(partition(Math.floor(at / MINUTE), randomInt(SHARDS))),
      sk: text(sk),
      k: text(kind),
      d: text(key),
      ttl: ttlOf(at + KEPT),
    };
  }

  /** Puts a change whose transaction began at `began` where followers still look. @throws PosternError of the storage group. */
  async stored(kind: string, key: string, began: number): Promise<void> {
    if (this.#clock.now() - began > LATE) await this.#tables.putAll('config', [this.row(kind, key)]);
  }

  /** Follows from now on. */
  begin(): void {
    this.#place ??= this.#clock.now();
  }

  end(): void {
    this.#place = undefined;
    this.#known.clear();
  }

  /** Changes since the last call, or since `begin`. @throws PosternError of the storage group. */
  async read(consistent: boolean): Promise<ConfigChange[]> {
    const now = this.#clock.now();
    const place = this.#place ?? now;
    const from = place - OVERLAP;
    // Time may have gone back, too.
    if (now - place > BEHIND || place - now > OVERLAP) return this.#skip(now);
    const rows = await this.#rows(from, now, consistent);
    if (rows === undefined) return this.#skip(now);
    const changes: ConfigChange[] = [];
    for (const item of rows) {
      const sk = item.sk!.S!;
      if (this.#known.has(sk)) continue;
      this.#known.set(sk, Number(sk.slice(0, sk.indexOf('#'))));
      changes.push({ kind: item.k!.S!, key: item.d!.S! });
    }
    for (const [sk, at] of this.#known) if (at < from) this.#known.delete(sk);
    this.#place = now;
    return together(changes);
  }

  /** Goes on from now, without what was missed. */
  #skip(now: number): ConfigChange[] {
    this.#known.clear();
    this.#place = now;
    return [{}];
  }

  /** Rows of a time; undefined when they are too many. */
  async #rows(from: number, to: number, consistent: boolean): Promise<Item[] | undefined> {
    const asked: Promise<Item[]>[] = [];
    for (let minute = Math.floor(from / MINUTE); minute <= Math.floor(to / MINUTE); minute += 1) {
      const range = { from: timeKey(Math.max(from, minute * MINUTE)), to: LAST, consistent, limit: MOST };
      for (let shard = 0; shard < SHARDS; shard += 1) {
        asked.push(this.#tables.query('config', partition(minute, shard), range));
      }
    }
    const found = await Promise.all(asked);
    return found.some(({ length }) => length === MOST) ? undefined : found.flat();
  }
}

/** Sorts behind every row. */
const LAST = '~';

function partition(minute: number, shard: number): string {
  return `${LOG_PREFIX}${minute}#${shard}`;
}

/** Sorts by time until the year 2286. */
function timeKey(at: number): string {
  return String(Math.floor(at)).padStart(13, '0');
}

/** Each change once; many of a kind as one of the kind. */
function together(changes: readonly ConfigChange[]): ConfigChange[] {
  return [...Map.groupBy(changes, ({ kind }) => kind)].flatMap(([kind, all]) => {
    const keys = new Set(all.map(({ key }) => key));
    return keys.size > MANY ? [{ kind }] : Array.from(keys, (key) => ({ kind, key }));
  });
}
