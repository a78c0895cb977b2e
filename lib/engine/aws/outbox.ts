/**
 * Puts copies of deliveries where they are found in time: into their lanes, with SQS's own delay when they are due
 * within fifteen minutes, else into the ledger.
 *
 * Every put is safe to repeat: a row of the ledger has the key of its delivery and generation, and of two equal
 * copies in a lane the claim lets one through.
 */
import { createHash } from 'node:crypto';
import { PosternError } from '../../errors.ts';
import { type Clock, DAY } from '../../time.ts';
import { bytes, type Item, type Key, text, ttlOf } from './attributes.ts';
import { each } from './concurrency.ts';
import { deliveryKey, doubt } from './deliveries.ts';
import type { DeliveryTable } from './delivery-table.ts';
import { type BodyPlace, type LaneEnvelope, writeEnvelope } from './envelope.ts';
import { type Lanes, LONGEST_DELAY, type Outgoing, SendError } from './lanes.ts';
import { decodeRecord, encodeRecord } from './record-codec.ts';
import { laneQueue, PARKED_INDEX } from './schema.ts';
import type { Tables } from './tables.ts';

/** A copy to put into a lane or the ledger. */
export interface Parcel {
  envelope: LaneEnvelope;
  /** Base64 of the compressed bytes, when they travel in the envelope. Never for the ledger. */
  body?: string;
  /** Earliest time of the next attempt. */
  due: number;
}

/**
 * Parts of the ledger. DynamoDB takes a thousand write units a second of each (developer guide, "Best practices for
 * designing partition keys"), and a row is written and deleted: together 32,000 rows a second. A row that was written
 * when there were sixteen is in one of the first sixteen, and moves with the rows of its shard.
 */
export const SHARDS = 64;
/** How long a row outlives its delivery's expiry, ms: TTL is for forgotten rows, not for late ones. */
const FORGOTTEN = 30 * DAY;

export const shardKey = (shard: number): string => `s#${String(shard).padStart(2, '0')}`;

/** Start of the sort key of rows due at a time. */
export const dueKey = (due: number): string => String(Math.max(0, Math.floor(due))).padStart(15, '0');

/** Partitions of the index of parked rows for each site: a node parks 1,000 rows a second in each. */
export const SITE_PARTS = 8;

export const siteKey = (site: string, part: number): string => `${site}#${part}`;

const digestOf = (messageId: string): Buffer => createHash('md5').update(messageId).digest();

/** Where the row of a copy is. */
export function ledgerKey(messageId: string, n: number, generation: number, due: number): Key {
  const shard = digestOf(messageId)[0]! % SHARDS;
  return { pk: shardKey(shard), sk: `${dueKey(due)}#${messageId}#${n}#${generation}` };
}

/** Seconds of SQS delay until a time: never early, for SQS counts whole seconds. */
function delayUntil(due: number, now: number): number {
  return Math.min(LONGEST_DELAY, Math.max(0, Math.ceil((due - now) / 1000)));
}

/** Whether a time is too far for SQS's delay. */
export function isFar(due: number, now: number): boolean {
  return due - now > LONGEST_DELAY * 1000;
}

export interface OutboxParts {
  lanes: Lanes;
  tables: Tables;
  deliveries: DeliveryTable;
  clock: Clock;
  /** How long records are kept after their deliveries' expiry, ms. */
  retention: number;
  /** Whether every copy is claimed before it is handed out, so that two equal ones do no harm. */
  claimBeforeSend: boolean;
}

/** Delay of a second copy behind a first that SQS may have accepted after all, s: by then most have left. */
const SECOND_COPY = 3;
/**
 * Time after which every reader finds a mark, ms: reads are eventually consistent ("usually within one second or less",
 * DynamoDB developer guide), and clocks differ by seconds.
 */
const MARK_SHOWS = 15_000;
const WIDTH = 32;

export class CopyOutbox {
  readonly #parts: OutboxParts;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** Durable when it resolves. @throws SendError: `open` when some may have been taken. */
  async put(parcels: readonly Parcel[]): Promise<void> {
    const { clock, tables } = this.#parts;
    const now = clock.now();
    const far = parcels.filter(({ due }) => isFar(due, now));
    if (far.length > 0) await tables.putAll('ledger', far.map(rowOf));
    await this.toLanes(parcels.filter(({ due }) => !isFar(due, now))).catch((error: unknown) => {
      throw far.length > 0 && error instanceof SendError ? new SendError(error, true) : error;
    });
  }

  /** Marks the deliveries of unclaimed copies as ones that may have two. */
  async doubt(parcels: readonly Parcel[]): Promise<void> {
    const { deliveries, retention } = this.#parts;
    const unclaimed = parcels.filter(({ envelope }) => !envelope.claim);
    await each(unclaimed, WIDTH, ({ envelope: { item, generation } }) =>
      deliveries.update(deliveryKey(item.messageId, item.n), doubt(generation, item.expiresAt + retention)),
    );
  }

  /**
   * Puts copies of which a lane may have one already. Unless every copy is claimed, they come fifteen minutes late and
   * claimed: by then an attempt with the first copy has ended, and this one is dropped. A first copy that is handed out
   * after the mark is claimed too. SQS has no query for a message, so nothing shorter is safe, but for a delivery that was
   * put back to a time which is not near: its item is read before its first copy is handed out, and the mark is found
   * there, so that the second copy keeps the time.
   */
  async putAgain(parcels: readonly Parcel[]): Promise<void> {
    if (this.#parts.claimBeforeSend) return this.put(parcels);
    await this.doubt(parcels);
    const marked = this.#parts.clock.now();
    const late = marked + LONGEST_DELAY * 1000;
    await this.put(
      parcels.map((parcel) => {
        const { envelope, due } = parcel;
        if (envelope.claim) return parcel;
        const isRead = envelope.generation > 0 && due > marked + MARK_SHOWS;
        return { ...parcel, envelope: { ...envelope, claim: true }, due: isRead ? due : Math.max(late, due) };
      }),
    );
  }

  /** Puts copies into their lanes at any due time. */
  async toLanes(parcels: readonly Parcel[]): Promise<void> {
    const cut = await this.#send(parcels, 0);
    if (cut.length === 0) return;
    if (this.#parts.claimBeforeSend) return this.#sendAgain(cut, 0);
    await this.doubt(cut);
    const claimed = cut.map((parcel) => ({ ...parcel, envelope: { ...parcel.envelope, claim: true } }));
    await this.#sendAgain(claimed, SECOND_COPY);
  }

  async #sendAgain(parcels: readonly Parcel[], delay: number): Promise<void> {
    const cut = await this.#send(parcels, delay);
    if (cut.length === 0) return;
    const error = new PosternError('storage_unavailable', 'SQS closes every connection. Try again.');
    throw new SendError(error, true);
  }

  /** @param delay minimum, s. @returns copies whose requests were cut off. */
  async #send(parcels: readonly Parcel[], delay: number): Promise<Parcel[]> {
    const { clock, lanes } = this.#parts;
    const now = clock.now();
    const queues = new Map<string, (Outgoing & { parcel: Parcel })[]>();
    for (const parcel of parcels) {
      const { envelope, body, due } = parcel;
      const queue = laneQueue(envelope.item.lane);
      let list = queues.get(queue);
      if (!list) queues.set(queue, (list = []));
      list.push({
        text: writeEnvelope(envelope, body),
        group: envelope.item.tenant,
        delay: Math.max(delay, delayUntil(due, now)),
        parcel,
      });
    }
    const sent = await Promise.allSettled([...queues].map(([queue, list]) => lanes.send(queue, list)));
    const failed = sent.filter((one) => one.status === 'rejected').map(({ reason }) => reason as SendError);
    if (failed.length > 0)
      throw new SendError(failed[0]!, failed.length < sent.length || failed.some(({ open }) => open));
    return sent.flatMap((one) => (one.status === 'fulfilled' ? one.value.map(({ parcel }) => parcel) : []));
  }
}

interface OutboxRow {
  v: number;
  item: LaneEnvelope['item'];
  g: number;
  at: BodyPlace;
}

function rowOf({ envelope, due }: Parcel): Item {
  const { item, generation, at } = envelope;
  const key = ledgerKey(item.messageId, item.n, generation, due);
  return {
    pk: text(key.pk),
    sk: text(key.sk),
    e: bytes(encodeRecord({ v: item.v, item, g: generation, at } satisfies Partial<OutboxRow>)),
    ttl: ttlOf(item.expiresAt + FORGOTTEN),
    ...(item.site !== undefined && {
      [PARKED_INDEX.partitionKey]: text(siteKey(item.site, digestOf(item.messageId)[1]! % SITE_PARTS)),
    }),
  };
}

/** The copy of a row. @throws PosternError `storage_damaged`, `storage_too_new`. */
export function parcelOf(row: Item): Parcel {
  const { item, g, at } = decodeRecord<OutboxRow>(row.e!.B!, 'a row of the ledger');
  return { envelope: { item, generation: g, claim: true, at }, due: item.due };
}

/** When a row is due. */
export function rowDue(row: Item): number {
  return Number(row.sk!.S!.slice(0, 15));
}
