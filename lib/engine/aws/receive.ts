/**
 * Hands out what a lane has.
 *
 * ```
 *  receive ─► read ─┬─ first hand-out, young ──────────────────────────────────► body ─► leased
 *               │   ├─ … older than AGED, or put back ─► the only copy? ── yes ──► body
 *               │   └─ handed out before, one of two ──────┐       └── no ──┐
 *               │                                          ▼                │
 *               │                                        claim ◄────────────┘
 *               │                        claimed ──────────┼────────────────────► body
 *               │                        over ─────────────┤ outcome again, if this copy ended it; deleted
 *               │                        superseded ───────┤ put back again, if this copy was; deleted
 *               │                        held by another ──┘ hidden until that may have ended
 *               └─ cannot be read ─► stays, hidden; a newer version reads it, or it becomes a dead letter
 * ```
 * A claim costs a write, so the common path does without: it is safe as long as SQS hands a message to one
 * receiver at a time, and a message was sent once. Other copies are claimed: all that were handed out before, that come
 * from the ledger, and what an interrupted call or settlement may have sent twice: its second copy comes fifteen minutes
 * late, and the item of the delivery tells so. `claimBeforeSend` claims everything.
 */
import { randomBytes } from 'node:crypto';
import type { Message } from '@aws-sdk/client-sqs';
import type { Log } from '../../log.ts';
import type { Clock } from '../../time.ts';
import { type Outcome, type QueueItem, SCHEMA_VERSION } from '../items.ts';
import type { LeasedItem, LeaseRequest } from '../ports.ts';
import type { MessageBodies } from './bodies.ts';
import { each, type Pacing, pause } from './concurrency.ts';
import {
  type Copy,
  claim,
  type DeliveryStatus,
  deliveryKey,
  isOnlyCopy,
  isOver,
  placeOf,
  readStatus,
} from './deliveries.ts';
import type { DeliveryTable } from './delivery-table.ts';
import { decompress, type LaneEnvelope, readEnvelope } from './envelope.ts';
import type { Feed } from './feed.ts';
import type { Lanes } from './lanes.ts';
import { type CopyOutbox, isFar } from './outbox.ts';
import { ledgerPlace, SQS_BATCH } from './placement.ts';
import { freshDone, type LeasedHere, type Receipt } from './receipt.ts';
import { laneQueue } from './schema.ts';

export interface ReceiverParts extends Pacing {
  deliveries: DeliveryTable;
  lanes: Lanes;
  bodies: MessageBodies;
  outbox: CopyOutbox;
  feed: Feed;
  clock: Clock;
  leasedHere: LeasedHere;
  steady: () => number;
  log: Pick<Log, 'warn' | 'error'>;
  /** Whether everything is claimed before it is handed out. */
  claimBeforeSend: boolean;
  /** How long records are kept after their deliveries' expiry, ms. */
  retention: number;
  /** Maximum size of a message, bytes. */
  maxMessageBytes: number;
}

/**
 * Age from which a message of a lane is looked up, ms. Copies that the repeat of an interrupted call sends come
 * fifteen minutes late: twelve minutes after this, time for the longest attempt.
 */
const AGED = 180_000;
/** Delay until an unreadable message, or one that another copy holds, is tried again, s. */
const LATER = 60;
/** Maximum number of parallel receives: a full lane is emptied at the pace of the network, not of one round trip. */
const WIDTH = 8;
const CLAIMS = 32;

/** A message as received. */
interface Arrival {
  copy: Copy;
  envelope: LaneEnvelope;
  packed?: Buffer;
  handle: string;
  sentAt: number;
  /** Whether its delivery has no item. */
  fresh: boolean;
  nonce?: string;
}

type ClaimVerdict = 'take' | 'drop' | 'later';

export class Receiver {
  readonly #parts: ReceiverParts;

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
  }

  async lease({ lane, max, visibility, wait, signal }: LeaseRequest): Promise<LeasedItem[]> {
    const { clock, steady } = this.#parts;
    const queue = laneQueue(lane);
    const end = clock.now() + wait;
    for (let tries = 0; max > 0 && !signal?.aborted; tries += 1) {
      // From before the request: on the safe side, wherever in it the leases began.
      const until = steady() + visibility;
      const left = Math.max(0, end - clock.now());
      let messages: Message[];
      try {
        messages = await this.#receive(queue, max, visibility, left / 1000, signal);
      } catch (error) {
        if (!isOverLimit(error)) throw error;
        this.#parts.log.warn('lane has as much in flight as SQS allows; nothing is handed out', { lane });
        await pause(this.#parts, tries + 3);
        messages = [];
      }
      const leased = await this.#sort(queue, messages, until);
      if (leased.length > 0 || clock.now() >= end) return leased;
    }
    return [];
  }

  /** The first receive waits; while receives come back full, more and more run at a time. */
  async #receive(
    queue: string,
    max: number,
    visibility: number,
    wait: number,
    signal?: AbortSignal,
  ): Promise<Message[]> {
    const { lanes } = this.#parts;
    const all = await lanes.receive(queue, max, visibility, Math.ceil(wait), signal);
    let full = all.length === SQS_BATCH;
    for (let width = 1; full && all.length < max; width = Math.min(WIDTH, width * 2)) {
      const asked = Math.min(width, Math.ceil((max - all.length) / SQS_BATCH));
      const room = max - all.length;
      const sizes = Array.from({ length: asked }, (_, at) => Math.min(SQS_BATCH, room - at * SQS_BATCH));
      const got = await Promise.allSettled(
        sizes.map((size) => lanes.receive(queue, size, visibility, 0, signal)),
      );
      // Received messages are not lost for a neighbour's failure; that shows again at the next lease.
      for (const one of got) if (one.status === 'fulfilled') all.push(...one.value);
      full = got.every((one) => one.status === 'fulfilled' && one.value.length === SQS_BATCH);
    }
    return all;
  }

  async #sort(queue: string, messages: readonly Message[], until: number): Promise<LeasedItem[]> {
    const { clock, claimBeforeSend, lanes, log } = this.#parts;
    const now = clock.now();
    const take: Arrival[] = [];
    const doubtful: Arrival[] = [];
    const uncertain: Arrival[] = [];
    const later: string[] = [];
    for (const message of messages) {
      const arrival = this.#read(message);
      if (!arrival) later.push(message.ReceiptHandle!);
      else if (claimBeforeSend || arrival.envelope.claim || arrival.copy.receives > 1) doubtful.push(arrival);
      else if (arrival.copy.generation > 0 || now - arrival.sentAt > AGED) uncertain.push(arrival);
      else take.push(arrival);
    }
    if (uncertain.length > 0) {
      const only = await this.#onlyCopies(uncertain);
      for (const arrival of uncertain) (only.has(arrival) ? take : doubtful).push(arrival);
    }
    const drop: string[] = [];
    await each(doubtful, CLAIMS, async (arrival) => {
      const verdict = await this.#claim(arrival).catch((error: unknown) => {
        log.warn('delivery cannot be claimed; it is looked at again later', {
          messageId: arrival.copy.item.messageId,
          error,
        });
        return 'later' as const;
      });
      if (verdict === 'take') take.push(arrival);
      else (verdict === 'drop' ? drop : later).push(arrival.handle);
    });
    const leased: LeasedItem[] = [];
    await each(take, CLAIMS, async (arrival) => {
      const one = await this.#leased(queue, arrival, until);
      if (one) leased.push(one);
      else later.push(arrival.handle);
    });
    // Messages that stay for a failure here come again and are judged again; that must not cost the leased ones.
    const tidied = await Promise.allSettled([
      ...(drop.length > 0 ? [lanes.remove(queue, drop)] : []),
      ...(later.length > 0 ? [lanes.hide(queue, later, LATER)] : []),
    ]);
    for (const one of tidied) if (one.status === 'rejected') log.warn('lane', { queue, error: one.reason });
    return leased;
  }

  #read(message: Message): Arrival | undefined {
    const { Body, MessageId, ReceiptHandle, Attributes = {} } = message;
    try {
      const { envelope, packed } = readEnvelope(Body!);
      const { item, generation } = envelope;
      const receives = Number(Attributes.ApproximateReceiveCount ?? 1);
      const copy: Copy = { item, generation, id: MessageId!, receives };
      return {
        copy,
        envelope,
        packed,
        handle: ReceiptHandle!,
        sentAt: Number(Attributes.SentTimestamp ?? 0),
        fresh: generation === 0,
      };
    } catch (error) {
      this.#parts.log.error('queue item refused; it stays in its lane', { sqsMessageId: MessageId, error });
      return undefined;
    }
  }

  /** Messages that are the only copies of their deliveries; none, when that cannot be read. */
  async #onlyCopies(arrivals: readonly Arrival[]): Promise<Set<Arrival>> {
    const keys = new Map(
      arrivals.map((arrival) => {
        const { messageId, n } = arrival.copy.item;
        return [`${messageId} ${n}`, deliveryKey(messageId, n)];
      }),
    );
    try {
      // What is read late, as a generation that was just written, is claimed.
      const items = await this.#parts.deliveries.getAll([...keys.values()], false);
      const found = new Map(items.map((item) => [`${item.pk!.S} ${placeOf(item)}`, item]));
      return new Set(
        arrivals.filter(({ copy }) => isOnlyCopy(copy, found.get(`${copy.item.messageId} ${copy.item.n}`))),
      );
    } catch (error) {
      this.#parts.log.warn('records of old copies cannot be read; all are claimed', { error });
      return new Set();
    }
  }

  async #claim(arrival: Arrival): Promise<ClaimVerdict> {
    const { deliveries, clock, retention } = this.#parts;
    const { copy } = arrival;
    const { messageId, n, expiresAt } = copy.item;
    const nonce = randomBytes(9).toString('base64url');
    const now = clock.now();
    const { done, item } = await deliveries.update(
      deliveryKey(messageId, n),
      claim(copy, nonce, now, expiresAt + retention),
    );
    if (done) {
      arrival.nonce = nonce;
      arrival.fresh = false;
      return 'take';
    }
    // Deleted between the check and the answer; the next hand-out claims it anew.
    if (!item) return 'later';
    const status = readStatus(item, now);
    const ours = status.settledBy === copy.id;
    if (isOver(status)) {
      if (ours) await this.#parts.feed.emit(outcomeOf(copy.item, status));
      return 'drop';
    }
    if (status.generation === copy.generation) return 'later';
    if (ours) await this.#putAgain(arrival, status);
    return 'drop';
  }

  /** Repeats the put-back of this copy, whose process crashed before it had completed it. */
  async #putAgain({ copy, envelope, packed }: Arrival, status: DeliveryStatus): Promise<void> {
    const { outbox, bodies, feed, clock } = this.#parts;
    const last = status.attempts.at(-1);
    const due = status.until ?? clock.now();
    const reason = status.reason
      ? { code: status.reason, text: status.text ?? '' }
      : last && { code: last.reason, text: last.text };
    // A release has its reason in the item; a deferral has it in its attempt.
    const tried = status.reason === undefined ? 1 : 0;
    const item = { ...copy.item, attempts: copy.item.attempts + tried, due, reason };
    let { at } = envelope;
    if (!at && packed && isFar(due, clock.now())) {
      at = ledgerPlace(packed.byteLength);
      await bodies.put(item.messageId, at, packed, item.expiresAt);
    }
    const body = at ? undefined : packed?.toString('base64');
    const claim = status.untraced !== true;
    await outbox.putAgain([{ envelope: { item, generation: status.generation, claim, at }, body, due }]);
    if (tried) await feed.emit(outcomeOf(item, status));
  }

  async #leased(queue: string, arrival: Arrival, until: number): Promise<LeasedItem | undefined> {
    const { bodies, leasedHere, log, maxMessageBytes } = this.#parts;
    const { copy, envelope, handle, fresh, nonce } = arrival;
    const { item } = copy;
    try {
      const packed = arrival.packed ?? (await bodies.get(item.messageId, envelope.at!));
      const bytes = await decompress(packed, maxMessageBytes);
      const done = freshDone();
      const receipt: Receipt = { copy, queue, handle, fresh, nonce, at: envelope.at, until, done };
      leasedHere.add(receipt);
      return { item, bytes, receives: copy.receives, receipt };
    } catch (error) {
      log.error('queue item without a usable body; it stays in its lane', {
        messageId: item.messageId,
        n: item.n,
        error,
      });
      return undefined;
    }
  }
}

/** The outcome of the last attempt, once more. */
function outcomeOf(item: QueueItem, { attempts }: DeliveryStatus): Outcome[] {
  const attempt = attempts.at(-1);
  if (!attempt) return [];
  const { messageId, n, tenant } = item;
  return [{ v: SCHEMA_VERSION, messageId, n, at: attempt.at, kind: 'attempt', tenant, attempt }];
}

function isOverLimit(error: unknown): boolean {
  return ((error as Error).cause as Error | undefined)?.name === 'OverLimit';
}
