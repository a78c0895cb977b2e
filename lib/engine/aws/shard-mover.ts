/**
 * Moves the due rows of one shard of the ledger into their lanes.
 *
 * ```
 *  look ──► claim the shard ──► rows to their lanes ──► rows deleted ──► the next rows … ──► claim given back
 *                 ▲ [claimed]           ▲ [sent]
 * ```
 * **[claimed]** Other workers leave the shard alone until the claim is over.
 * **[sent]** The rows are sent again by the next worker. Copies from the ledger are claimed before they are handed
 * out, so of two equal ones the second is dropped. For the same reason two workers at once, whatever their clocks
 * say, do no harm: the claim of a shard saves requests, and nothing depends on it.
 *
 * What cannot be moved (a row of a newer version, or that SQS refuses; a lane that is gone) stays, and is passed over: up
 * to nine thousand rows of a shard hold up nothing behind them.
 */
import { randomBytes } from 'node:crypto';
import { asPosternError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../time.ts';
import type { LaneName } from '../items.ts';
import type { Promotion } from '../ports.ts';
import { type Item, number, text } from './attributes.ts';
import { chunks } from './concurrency.ts';
import { LONGEST_DELAY } from './lanes.ts';
import { type CopyOutbox, dueKey, type Parcel, parcelOf, rowDue } from './outbox.ts';
import type { Tables } from './tables.ts';

export interface ShardMoverParts {
  tables: Tables;
  outbox: CopyOutbox;
  clock: Clock;
  log: Pick<Log, 'error'>;
}

/** Rows of a page. */
const ROWS = 1_000;
/** Maximum number of pages in which nothing can be moved before the shard is left to the next worker. */
const STUCK_PAGES = 9;
/**
 * Deletes of a shard: with all shards at work 25,600 a second, so that of the 40,000 write units that DynamoDB allows a
 * table the rest is for rows that are written. (50 million rows an hour are 13,900 a second.) Throttled batches would
 * cost more than the pace.
 */
const DELETES_A_SECOND = 400;
const DELETED_AT_ONCE = 100;
/** How long a claim holds, ms: twice the time for which a worker moves rows. */
const CLAIM = 60_000;
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
  /** Earliest row that stays. */
  refused?: Item;
}

/** Lanes that refuse rows, with the reason: each is tried once in a run, or all would wait for one that is missing. */
export type Closed = Map<LaneName, unknown>;

/** The result of working on a shard. */
export interface ShardResult extends Promotion {
  /** Whether the time was up while more rows were due. */
  more: boolean;
}

export class ShardMover {
  readonly #parts: ShardMoverParts;

  constructor(parts: ShardMoverParts) {
    this.#parts = parts;
  }

  /** The earliest row: half a read unit, because a minute's delay in seeing it would do no harm. */
  async first(pk: string): Promise<Item | undefined> {
    const range = { from: '0', to: '9~', limit: 1, onePage: true, consistent: false };
    const [first] = await this.#parts.tables.query('ledger', pk, range);
    return first;
  }

  /** Whether a row that is due then can go into its lane, under SQS's own delay. */
  isDue(due: number): boolean {
    return due <= this.#until();
  }

  /**
   * Moves the rows of a shard that are due, unless another worker does.
   * @param until when no further page is begun, ms since the epoch. @param closed collects lanes that refuse rows.
   */
  async move(pk: string, until: number, closed: Closed): Promise<ShardResult> {
    const { tables, clock } = this.#parts;
    const by = randomBytes(9).toString('base64url');
    if (!(await this.#claim(pk, by))) return { moved: 0, more: false };
    let moved = 0;
    let refused: Item | undefined;
    let from = '0';
    let more = true;
    for (let stuck = 0; ; ) {
      const rows = await tables.query('ledger', pk, { from, to: `${dueKey(this.#until())}~`, limit: ROWS });
      const done = await this.#movePage(pk, rows, closed);
      moved += done.moved;
      refused ??= done.refused;
      if (done.moved === 0) stuck += 1;
      if (rows.length < ROWS || stuck > STUCK_PAGES) more = false;
      if (!more || clock.now() >= until) break;
      from = `${rows.at(-1)!.sk!.S!}!`;
    }
    await tables.remove('ledger', { pk, sk: CLAIM_ROW }, { condition: 'b = :b', values: { ':b': text(by) } });
    return { moved, more, next: refused && rowDue(refused) };
  }

  #until(): number {
    return this.#parts.clock.now() + LONGEST_DELAY * 1000;
  }

  /** Moves rows lane by lane. */
  async #movePage(pk: string, rows: readonly Item[], closed: Closed): Promise<Moved> {
    const { log } = this.#parts;
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
    await this.#delete(
      pk,
      sent.map((row) => row.sk!.S!),
    );
    return { moved: sent.length, refused: refused[0] };
  }

  /** Deletes rows at a pace that leaves the key of the shard room for new ones. */
  async #delete(pk: string, sortKeys: readonly string[]): Promise<void> {
    const { tables, clock } = this.#parts;
    const begun = clock.now();
    let deleted = 0;
    for (const part of chunks(sortKeys, DELETED_AT_ONCE)) {
      const ahead = begun + (deleted / DELETES_A_SECOND) * 1000 - clock.now();
      if (ahead > 0) await new Promise<void>((resolve) => void clock.after(ahead, resolve));
      await tables.deleteAll(
        'ledger',
        part.map((sk) => ({ pk, sk })),
      );
      deleted += part.length;
    }
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

  async #claim(pk: string, by: string): Promise<boolean> {
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
