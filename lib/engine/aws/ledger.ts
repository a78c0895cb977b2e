/**
 * The ledger port: deliveries that are due in more than fifteen minutes are rows of a table, by shard and due
 * time. What is due sooner is in its lane already, under SQS's own delay.
 *
 * ```
 *  each minute:  plan ──► a message for each shard with due rows ──► workers, a shard each (shard-mover.ts)
 *                              ▲                                        │
 *                              └────── more due after half a minute ────┘
 * ```
 * A message that is lost, or comes twice, does no harm: the next plan sends another, and a worker that finds its shard
 * claimed ends. So each shard has one worker at a time, and there are as many workers as shards with a backlog.
 */
import type { Log } from '../../log.ts';
import type { Clock } from '../../time.ts';
import { type Outcome, SCHEMA_VERSION } from '../items.ts';
import type { Ledger, Promotion, WaitingFigures, WaitingMatch } from '../ports.ts';
import { CANCELLED } from '../states.ts';
import { type Item, number, text, ttlOf } from './attributes.ts';
import { each } from './concurrency.ts';
import { deliveryKey, placeOf, readStatus } from './deliveries.ts';
import type { DeliveryTable } from './delivery-table.ts';
import type { Feed } from './feed.ts';
import type { Lanes } from './lanes.ts';
import { LedgerMatching } from './matching.ts';
import { type CopyOutbox, ledgerKey, rowDue, SHARDS, shardKey } from './outbox.ts';
import { Recalling } from './recalling.ts';
import type { LeasedHere } from './receipt.ts';
import type { MessageRecords } from './records.ts';
import { DUE_QUEUE } from './schema.ts';
import { type Closed, ShardMover, type ShardResult } from './shard-mover.ts';
import type { Tables } from './tables.ts';

export interface LedgerParts {
  tables: Tables;
  deliveries: DeliveryTable;
  lanes: Pick<Lanes, 'send'>;
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

/** Maximum time for which a worker moves rows of its shard, ms: then the shard waits its turn among the others. */
export const SHIFT = 30_000;
/** How long before its time a copy in a lane counts as handed out, ms: clocks differ. */
const SOON = 5_000;
const WIDTH = 8;
/** All names of shards. */
const ALL = Array.from({ length: SHARDS }, (_, shard) => shardKey(shard));

/** The ledger with the parts of its work: a planner and workers, each in a process of its own. */
export interface ShardedLedger extends Ledger {
  /**
   * Sends a message to the queue of due shards for each shard that has due rows.
   * @returns the number of those shards, and the due time of the earliest row.
   */
  plan(): Promise<{ shards: number; next?: number }>;
  /**
   * Moves the due rows of a shard, at most until a time (ms since the epoch), unless another worker does. What is due
   * then is left to a further message. @throws PosternError when a lane took nothing, after all others did.
   */
  work(shard: string, until: number): Promise<ShardResult>;
}

export class AwsLedger implements ShardedLedger {
  readonly #parts: LedgerParts;
  readonly #matching: LedgerMatching;
  readonly #recalling: Recalling;
  readonly #mover: ShardMover;

  constructor(parts: LedgerParts) {
    this.#parts = parts;
    this.#mover = new ShardMover(parts);
    this.#matching = new LedgerMatching(parts);
    this.#recalling = new Recalling(parts);
  }

  count(match: WaitingMatch): Promise<WaitingFigures> {
    return this.#matching.count(match);
  }

  hasten(match: WaitingMatch): Promise<number> {
    return this.#matching.hasten(match);
  }

  recall(site: string, max: number): Promise<{ recalled: number; more: boolean }> {
    return this.#recalling.recall(site, max);
  }

  /** Rows of the ledger, counted up to about 2,000 a shard, without those under SQS's delay. */
  async waiting(): Promise<{ count: number; next?: number }> {
    const { tables } = this.#parts;
    const shards = await Promise.all(
      ALL.map(async (pk) => {
        const first = await this.#mover.first(pk);
        if (!first) return { count: 0, next: Number.POSITIVE_INFINITY };
        return { count: await tables.count('ledger', pk, '0', '9~'), next: rowDue(first) };
      }),
    );
    const next = Math.min(...shards.map((shard) => shard.next));
    const count = shards.reduce((sum, shard) => sum + shard.count, 0);
    return Number.isFinite(next) ? { count, next } : { count };
  }

  async plan(): Promise<{ shards: number; next?: number }> {
    const firsts = await this.#look();
    const due = firsts.filter((first) => this.#mover.isDue(first.due));
    await this.#send(due.map(({ shard }) => shard));
    return { shards: due.length, next: earliest(firsts.map((first) => first.due)) };
  }

  async work(shard: string, until: number): Promise<ShardResult> {
    const closed: Closed = new Map();
    const result = await this.#mover.move(shard, until, closed);
    if (result.more) await this.#send([shard]);
    for (const error of closed.values()) throw error;
    return result;
  }

  /**
   * Moves rows that are due within the maximum delay of SQS, which makes the time exact to the second: all of them, in
   * this process.
   */
  async promote(): Promise<Promotion> {
    let moved = 0;
    const times: (number | undefined)[] = [];
    const closed: Closed = new Map();
    const failures: unknown[] = [];
    await each(await this.#look(), WIDTH, async ({ shard, due }) => {
      if (!this.#mover.isDue(due)) return times.push(due);
      try {
        const one = await this.#mover.move(shard, this.#parts.clock.now() + SHIFT, closed);
        moved += one.moved;
        times.push(one.next);
      } catch (error) {
        failures.push(error);
      }
    });
    const [failure] = [...failures, ...closed.values()];
    if (failure !== undefined) throw failure;
    const next = earliest(times);
    return next === undefined ? { moved } : { moved, next };
  }

  /** Shards that have rows, each with the time of its earliest. */
  async #look(): Promise<{ shard: string; due: number }[]> {
    const firsts: { shard: string; due: number }[] = [];
    await each(ALL, WIDTH, async (shard) => {
      const first = await this.#mover.first(shard);
      if (first) firsts.push({ shard, due: rowDue(first) });
    });
    return firsts;
  }

  /** Asks for a worker for each of these shards. A message that is sent twice does no harm. */
  async #send(shards: readonly string[]): Promise<void> {
    const messages = shards.map((text) => ({ text, delay: 0 }));
    const cut = await this.#parts.lanes.send(DUE_QUEUE, messages);
    if (cut.length > 0) await this.#parts.lanes.send(DUE_QUEUE, cut);
  }

  async cancel(messageId: string): Promise<number[]> {
    const { messages, deliveries, clock, steady, feed, leasedHere, claimBeforeSend, retention } = this.#parts;
    const message = await messages.find(messageId);
    if (!message) return [];
    const now = clock.now();
    const { record } = message;
    const items = new Map(message.deliveries.map((item) => [placeOf(item), item]));
    const here = leasedHere.places(record.id, steady());
    const over = new Set(message.settled?.map((one) => one.n));
    const cancelled: number[] = [];
    await each([...record.recipients.keys()], 32, async (n) => {
      const item = items.get(n);
      // A delivery without an item, or one that only may have two copies, may be under lease without a trace.
      const tracked = claimBeforeSend || (item !== undefined && isTracked(item, now));
      if (!tracked || here.has(n) || over.has(n)) return;
      const { done } = await deliveries.update(deliveryKey(record.id, n), {
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
}

/** Whether a delivery that waits cannot be handed out without a trace: not yet, or not at all. */
function isTracked(item: Item, now: number): boolean {
  if (item.s?.S !== 'deferred') return false;
  return item.o === undefined || (item.q === undefined && Number(item.u?.N) - now > SOON);
}

function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length > 0 ? Math.min(...known) : undefined;
}
