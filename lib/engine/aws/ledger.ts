/**
 * The ledger port: deliveries that are due in more than fifteen minutes are rows of a table, by shard and due
 * time. What is due sooner is in its lane already, under SQS's own delay.
 *
 * ```
 *  promote, for each shard:  look ──► claim the shard ──► rows to their lanes ──► rows deleted ──► the next rows
 *                                           ▲ [claimed]           ▲ [sent]
 * ```
 * **[claimed]** Another run leaves the shard alone until the claim is over.
 * **[sent]** The rows are sent again by the next run. Copies from the ledger are claimed before they are handed
 * out, so of two equal ones the second is dropped. For the same reason two runs at once, whatever their clocks
 * say, do no harm: the claim of a shard saves requests, and nothing depends on it.
 *
 * What cannot be moved (a row of a newer version, or that SQS refuses; a lane that is gone) stays, and is passed over: up to nine thousand
 * rows of a shard hold up nothing behind them. The run fails when it has done what it could.
 */
import { randomBytes } from 'node:crypto';
import { asPosternError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../time.ts';
import { type LaneName, type Outcome, SCHEMA_VERSION } from '../items.ts';
import type { Ledger, Promotion, WaitingFigures, WaitingMatch } from '../ports.ts';
import { CANCELLED } from '../states.ts';
import { type Item, number, text, ttlOf } from './attributes.ts';
import { each } from './concurrency.ts';
import { deliveryKey, placeOf, readStatus } from './deliveries.ts';
import type { Feed } from './feed.ts';
import { LONGEST_DELAY } from './lanes.ts';
import { LedgerMatching } from './matching.ts';
import {
  type CopyOutbox,
  dueKey,
  ledgerKey,
  type Parcel,
  parcelOf,
  rowDue,
  SHARDS,
  shardKey,
} from './outbox.ts';
import type { LeasedHere } from './receipt.ts';
import type { MessageRecords } from './records.ts';
import type { Tables } from './tables.ts';

export interface LedgerParts {
  tables: Tables;
  outbox: CopyOutbox;
  feed: Feed;
  messages: MessageRecords;
  leasedHere: LeasedHere;
  steady: () => number;
  clock: Clock;
  log: Pick<Log, 'error'>;
  claimBeforeSend: boolean;
  /** How long records are kept after their deliveries' expiry, ms. */
  retention: number;
}

/** Maximum number of rows that one call moves from a shard, or a page more: the work within one claim. */
const ROWS = 1_000;
/** Maximum number of pages that one call reads of a shard where it has moved fewer rows. */
const PAGES = 10;
const CLAIM = 60_000;
const WIDTH = 4;
/** Sorts before every row's key, which begins with a digit. */
const CLAIM_ROW = '!claim';

/** A row that was read. */
interface LaneRow {
  row: Item;
  parcel: Parcel;
}

/** The result of moving rows. */
interface Moved {
  moved: number;
  /** Earliest row that this version cannot read. */
  refused?: Item;
}
/** Lanes that refuse rows, with the reason: each is tried once in a run, or all would wait for one that is missing. */
type Closed = Map<LaneName, unknown>;

export class AwsLedger implements Ledger {
  readonly #parts: LedgerParts;
  readonly #matching: LedgerMatching;

  constructor(parts: LedgerParts) {
    this.#parts = parts;
    this.#matching = new LedgerMatching(parts);
  }

  count(match: WaitingMatch): Promise<WaitingFigures> {
    return this.#matching.count(match);
  }

  hasten(match: WaitingMatch): Promise<number> {
    return this.#matching.hasten(match);
  }

  /** Rows of the ledger, counted up to about 2,000 a shard, without those under SQS's delay. */
  async waiting(): Promise<{ count: number; next?: number }> {
    const { tables } = this.#parts;
    const shards = await Promise.all(
      Array.from({ length: SHARDS }, async (_, shard) => {
        const pk = shardKey(shard);
        const first = await this.#first(pk);
        if (!first) return { count: 0, next: Number.POSITIVE_INFINITY };
        return { count: await tables.count('ledger', pk, '0', '9~'), next: rowDue(first) };
      }),
    );
    const next = Math.min(...shards.map((shard) => shard.next));
    const count = shards.reduce((sum, shard) => sum + shard.count, 0);
    return Number.isFinite(next) ? { count, next } : { count };
  }

  /** Moves rows that are due within the maximum delay of SQS, which makes the time exact to the second. */
  async promote(): Promise<Promotion> {
    let moved = 0;
    let next = Number.POSITIVE_INFINITY;
    const closed: Closed = new Map();
    const failures: unknown[] = [];
    const shards = Array.from({ length: SHARDS }, (_, shard) => shard);
    await each(shards, WIDTH, async (shard) => {
      try {
        const one = await this.#promoteShard(shardKey(shard), closed);
        moved += one.moved;
        next = Math.min(next, one.next ?? next);
      } catch (error) {
        failures.push(error);
      }
    });
    const [failure] = [...failures, ...closed.values()];
    if (failure !== undefined) throw failure;
    return Number.isFinite(next) ? { moved, next } : { moved };
  }

  async cancel(messageId: string): Promise<number[]> {
    const { messages, tables, clock, steady, feed, leasedHere, claimBeforeSend, retention } = this.#parts;
    const message = await messages.find(messageId);
    if (!message) return [];
    const now = clock.now();
    const { record } = message;
    const items = new Map(message.deliveries.map((item) => [placeOf(item), item]));
    const here = leasedHere.places(record.id, steady());
    const cancelled: number[] = [];
    await each([...record.recipients.keys()], 32, async (n) => {
      const item = items.get(n);
      // A delivery without an item, or one that only may have two copies, may be under lease without a trace.
      const tracked = item?.s?.S === 'deferred' || claimBeforeSend;
      if (!tracked || here.has(n)) return;
      const { done } = await tables.update('records', deliveryKey(record.id, n), {
        update: 'SET s = :cancelled, r = :cancelled, x = :x, #ttl = if_not_exists(#ttl, :ttl) REMOVE u',
        condition:
          '(attribute_not_exists(s) OR s IN (:queued, :deferred)) AND (attribute_not_exists(h) OR hu < :now)',
        names: { '#ttl': 'ttl' },
        values: {
          ':cancelled': text('cancelled'),
          ':x': text(CANCELLED),
          ':queued': text('queued'),
          ':deferred': text('deferred'),
          ':now': number(now),
          ':ttl': ttlOf(record.expiresAt + retention),
        },
      });
      if (!done) return;
      cancelled.push(n);
      if (item?.u) await this.#forget(record.id, n, item);
    });
    cancelled.sort((a, b) => a - b);
    const { tenant } = record;
    await feed.emit(
      cancelled.map(
        (n): Outcome => ({ v: SCHEMA_VERSION, messageId: record.id, n, at: now, kind: 'cancelled', tenant }),
      ),
    );
    return cancelled;
  }

  /** Deletes the row of a cancelled delivery, if it has one; a remaining copy is dropped at its claim. */
  async #forget(messageId: string, n: number, item: Item): Promise<void> {
    const { generation } = readStatus(item, 0);
    await this.#parts.tables.deleteAll('ledger', [ledgerKey(messageId, n, generation, Number(item.u!.N))]);
  }

  async #promoteShard(pk: string, closed: Closed): Promise<Promotion> {
    const { tables, clock } = this.#parts;
    const first = await this.#first(pk);
    if (!first) return { moved: 0 };
    const next = rowDue(first);
    const until = clock.now() + LONGEST_DELAY * 1000;
    if (next > until) return { moved: 0, next };
    const by = randomBytes(9).toString('base64url');
    if (!(await this.#claimShard(pk, by))) return { moved: 0, next };
    let moved = 0;
    let refused: Item | undefined;
    let from = '0';
    for (let page = 0; page < PAGES && moved < ROWS; page += 1) {
      const rows = await tables.query('ledger', pk, { from, to: `${dueKey(until)}~`, limit: ROWS });
      const done = await this.#move(pk, rows, closed);
      moved += done.moved;
      refused ??= done.refused;
      if (rows.length < ROWS) break;
      from = `${rows.at(-1)!.sk!.S!}!`;
    }
    await tables.remove('ledger', { pk, sk: CLAIM_ROW }, { condition: 'b = :b', values: { ':b': text(by) } });
    return { moved, next: refused && rowDue(refused) };
  }

  /** Moves rows lane by lane. */
  async #move(pk: string, rows: readonly Item[], closed: Closed): Promise<Moved> {
    const { tables, log } = this.#parts;
    const lanes = new Map<LaneName, LaneRow[]>();
    const refused: Item[] = [];
    let reason: unknown;
    for (const row of rows) {
      try {
        const parcel = parcelOf(row);
        const { lane } = parcel.envelope.item;
        if (!lanes.has(lane)) lanes.set(lane, []);
        lanes.get(lane)!.push({ row, parcel });
      } catch (error) {
        refused.push(row);
        reason ??= error;
      }
    }
    // A newer version moves them.
    if (refused.length > 0) {
      log.error('rows of the ledger refused; they stay', { rows: refused.length, error: reason });
    }
    const sent: Item[] = [];
    await Promise.all(
      Array.from(lanes, async ([lane, all]) => {
        if (closed.has(lane)) return;
        try {
          const done = await this.#toLane(all);
          sent.push(...done.sent);
          refused.push(...done.refused);
        } catch (error) {
          closed.set(lane, error);
        }
      }),
    );
    await tables.deleteAll(
      'ledger',
      sent.map((row) => ({ pk, sk: row.sk!.S! })),
    );
    return { moved: sent.length, refused: refused[0] };
  }

  /** Sends the rows of a lane. A row that SQS refuses for good is found by halving, stays, and holds up no other. */
  async #toLane(rows: readonly LaneRow[]): Promise<{ sent: Item[]; refused: Item[] }> {
    try {
      await this.#parts.outbox.toLanes(rows.map(({ parcel }) => parcel));
      return { sent: rows.map(({ row }) => row), refused: [] };
    } catch (error) {
      if (asPosternError(error).code !== 'storage_refused') throw error;
      if (rows.length === 1) {
        this.#parts.log.error('a row of the ledger is refused by its lane; it stays', {
          row: rows[0]!.row.sk,
          error,
        });
        return { sent: [], refused: [rows[0]!.row] };
      }
      const middle = rows.length >> 1;
      const first = await this.#toLane(rows.slice(0, middle));
      const second = await this.#toLane(rows.slice(middle));
      return { sent: [...first.sent, ...second.sent], refused: [...first.refused, ...second.refused] };
    }
  }

  /** The earliest row: half a read unit, because a minute's delay in seeing it would do no harm. */
  async #first(pk: string): Promise<Item | undefined> {
    const range = { from: '0', to: '9~', limit: 1, onePage: true, consistent: false };
    const [first] = await this.#parts.tables.query('ledger', pk, range);
    return first;
  }

  async #claimShard(pk: string, by: string): Promise<boolean> {
    const now = this.#parts.clock.now();
    const { done } = await this.#parts.tables.update(
      'ledger',
      { pk, sk: CLAIM_ROW },
      {
        update: 'SET b = :b, e = :e',
        condition: 'attribute_not_exists(pk) OR e < :now OR b = :b',
        values: { ':b': text(by), ':e': number(now + CLAIM), ':now': number(now) },
      },
    );
    return done;
  }
}
