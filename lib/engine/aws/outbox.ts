/**
 * Puts copies of deliveries where they will be looked at in time: into their lanes, with SQS's own delay when
 * they are due within fifteen minutes, else into the ledger.
 *
 * Every put is safe to repeat: a row of the ledger has the key of its delivery and generation, and of two equal
 * copies in a lane the claim lets one through.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../time.ts';
import { bytes, type Item, type Key, text, ttlOf } from './attributes.ts';
import { type BodyPlace, type Envelope, writeEnvelope } from './envelope.ts';
import { type Lanes, LONGEST_DELAY, type Outgoing, SendError } from './lanes.ts';
import { squeeze, unsqueeze } from './record-codec.ts';
import { laneQueue } from './schema.ts';
import type { Tables } from './tables.ts';

/** A copy to be put somewhere. */
export interface Parcel {
  envelope: Envelope;
  /** Base64 of the compressed bytes, when they travel in the envelope. Never for the ledger. */
  body?: string;
  /** Not before this time. */
  due: number;
}

/** Parts of the ledger, so that no partition of the table is written to more than a thousand times a second. */
export const SHARDS = 16;
/** A row outlives its delivery's expiry by a month: TTL is for what was forgotten, not for what is late. */
const FORGOTTEN = 30 * 86_400_000;

export const shardKey = (shard: number): string => `s#${String(shard).padStart(2, '0')}`;

/** Start of the sort key of what is due at a time. */
export const dueKey = (due: number): string => String(Math.max(0, Math.floor(due))).padStart(15, '0');

/** Where the row of a copy is. */
export function ledgerKey(messageId: string, n: number, generation: number, due: number): Key {
  const shard = createHash('md5').update(messageId).digest()[0]! % SHARDS;
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

export class Outbox {
  readonly #lanes: Lanes;
  readonly #tables: Tables;
  readonly #clock: Clock;

  constructor(lanes: Lanes, tables: Tables, clock: Clock) {
    this.#lanes = lanes;
    this.#tables = tables;
    this.#clock = clock;
  }

  /** Durable when it resolves. @throws SendError: `open` when some may have been taken. */
  async put(parcels: readonly Parcel[]): Promise<void> {
    const now = this.#clock.now();
    const far = parcels.filter(({ due }) => isFar(due, now));
    if (far.length > 0) await this.#tables.putAll('ledger', far.map(rowOf));
    await this.toLanes(parcels.filter(({ due }) => !isFar(due, now))).catch((error: unknown) => {
      throw far.length > 0 && error instanceof SendError ? new SendError(error, true) : error;
    });
  }

  /** To their lanes, whenever they are due. */
  async toLanes(parcels: readonly Parcel[]): Promise<void> {
    const now = this.#clock.now();
    const queues = new Map<string, Outgoing[]>();
    for (const { envelope, body, due } of parcels) {
      const queue = laneQueue(envelope.item.lane);
      let list = queues.get(queue);
      if (!list) queues.set(queue, (list = []));
      list.push({
        text: writeEnvelope(envelope, body),
        group: envelope.item.tenant,
        delay: delayUntil(due, now),
      });
    }
    const sent = await Promise.allSettled([...queues].map(([queue, list]) => this.#lanes.send(queue, list)));
    const failed = sent.filter((one) => one.status === 'rejected').map(({ reason }) => reason as SendError);
    if (failed.length === 0) return;
    throw new SendError(failed[0]!, failed.length < sent.length || failed.some(({ open }) => open));
  }
}

interface Row {
  v: number;
  item: Envelope['item'];
  g: number;
  at: BodyPlace;
}

function rowOf({ envelope, due }: Parcel): Item {
  const { item, generation, at } = envelope;
  const key = ledgerKey(item.messageId, item.n, generation, due);
  return {
    pk: text(key.pk),
    sk: text(key.sk),
    e: bytes(squeeze({ v: item.v, item, g: generation, at } satisfies Partial<Row>)),
    ttl: ttlOf(item.expiresAt + FORGOTTEN),
  };
}

/** The copy of a row. @throws PosternError `storage_damaged`, `storage_too_new`. */
export function parcelOf(row: Item): Parcel {
  const { item, g, at } = unsqueeze<Row>(row.e!.B!, 'a row of the ledger');
  return { envelope: { item, generation: g, claim: true, at }, due: item.due };
}

/** When a row is due. */
export function rowDue(row: Item): number {
  return Number(row.sk!.S!.slice(0, 15));
}
