/**
 * Admits messages.
 *
 * ```
 * without a key   bodies, records ──────────────────► lanes, ledger ──► answer
 *                        ▲ [recorded]                       ▲ [taken]
 *
 * with a key      records, which claim the key ──► bodies ──► lanes, ledger ──► answer
 *                        ▲ [recorded]                             ▲ [taken]
 * ```
 * What a crash, a lost answer or a refusal leaves behind:
 *
 * **[recorded]** Records without deliveries. No answer was given and nothing is sent; TTL removes them.
 *
 * **[taken], without a key.** Some or all deliveries will be sent although the caller got the answer to try again, or
 * none. Only a key can make that call safe to repeat.
 *
 * **[recorded], [taken], with a key.** A refusal that certainly sent nothing takes its claim back. Otherwise nothing says
 * whether the lanes have the deliveries, and no query of SQS would. The repeated call finds the first one's records and
 * gives its answer, after it has seen to the deliveries that have no trace of having left their lane (`#repeat`):
 *   1. where every copy is claimed (`claimBeforeSend`), their copies go into the lanes at once;
 *      else each delivery is marked in its item as one that may have two copies, and its copy goes into the lane
 *      fifteen minutes late and claimed, by which time a copy of the first call has ended, and this one is dropped.
 *      A copy of the first call that is handed out later than `AGED` after it was sent finds the mark, and is
 *      claimed too. Nothing shorter is safe;
 *   2. the item of the call notes it, so that a third call only gets the answer.
 * The bytes and return paths of these copies have the ids of the repeated call, by which the same records are found.
 */
import { randomBytes } from 'node:crypto';
import { PosternError } from '../../errors.ts';
import { uuidOf } from '../../mail/message-id.ts';
import type { Clock } from '../../time.ts';
import type { Outcome, QueueItem } from '../items.ts';
import { stateAfter } from '../outcome-state.ts';
import type { Admission, AdmitResult, IdempotencyClaim } from '../ports.ts';
import type { Item } from './attributes.ts';
import type { MessageBodies } from './bodies.ts';
import type { CallProgress, DeliveryPlace } from './call-progress.ts';
import { type Calls, isComplete, type SettledDelivery, type StoredCall, type StoredRecord } from './calls.ts';
import { wholeItem } from './deliveries.ts';
import type { DeliveryTable } from './delivery-table.ts';
import { type BodyPlace, compress } from './envelope.ts';
import type { Feed } from './feed.ts';
import { SendError } from './lanes.ts';
import { type CopyOutbox, isFar, type Parcel } from './outbox.ts';
import { itemBytes, lanePlace, ledgerPlace } from './placement.ts';
import type { MessageIndex } from './search.ts';

export interface IntakeParts {
  clock: Clock;
  calls: Calls;
  progress: CallProgress;
  deliveries: DeliveryTable;
  bodies: MessageBodies;
  index: MessageIndex;
  outbox: CopyOutbox;
  feed: Feed;
  /** How long records are kept after their deliveries' expiry, ms. */
  retention: number;
}

/** An admission with its bytes compressed and their place chosen. */
interface PreparedAdmission {
  admission: Admission;
  packed?: Buffer;
  at?: BodyPlace;
  body?: string;
}

export class Intake {
  readonly #parts: IntakeParts;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  async admit(messages: Admission[], claim?: IdempotencyClaim): Promise<AdmitResult> {
    const { calls, outbox, feed } = this.#parts;
    const stored = messages.map(storedOf);
    if (!claim) {
      const prepared = await this.#prepare(messages);
      await Promise.all([this.#store(prepared), calls.put(stored)]);
      await outbox.put(prepared.flatMap((one) => this.#parcels(one)));
      await feed.emit(settledOf(messages));
      return { kind: 'admitted' };
    }
    const nonce = randomBytes(12).toString('base64url');
    const first = await calls.claim(claim, stored, nonce);
    if (first) {
      return first.content.digest === claim.digest ? this.#repeat(messages, first) : { kind: 'conflict' };
    }
    const prepared = await this.#prepare(messages);
    await this.#store(prepared);
    try {
      await outbox.put(prepared.flatMap((one) => this.#parcels(one)));
    } catch (error) {
      if (error instanceof SendError && !error.open) await calls.takeBack(claim.key, nonce);
      throw error;
    }
    await feed.emit(settledOf(messages));
    return { kind: 'admitted' };
  }

  /** Handles a call that was made before: completes it if necessary, and gives its first answer. */
  async #repeat(messages: readonly Admission[], first: StoredCall): Promise<AdmitResult> {
    const { calls, progress } = this.#parts;
    if (!isComplete(first)) {
      const here = await progress.here(first);
      if (here.length > 0) await this.#sendAgain(messages, first, here);
      await calls.complete(first);
    }
    return { kind: 'repeated', response: first.content.response! };
  }

  /** Sends copies of deliveries that may have one. */
  async #sendAgain(
    messages: readonly Admission[],
    first: StoredCall,
    here: readonly DeliveryPlace[],
  ): Promise<void> {
    const { calls, outbox } = this.#parts;
    const places = new Map<string, Set<number | 'all'>>();
    for (const { id, n } of here) {
      if (!places.has(id)) places.set(id, new Set());
      places.get(id)!.add(n);
    }
    const again = Array.from(places, ([id, wanted]): Admission => {
      const message = messages.find(({ record }) => uuidOf(record.id) === uuidOf(id));
      if (!message) {
        throw new PosternError(
          'storage_unavailable',
          'The first call with this idempotency key was cut off and the same call is no longer accepted in full. ' +
            'Send its messages under new keys.',
        );
      }
      const whole = renamed(message, id);
      if (wanted.has('all')) return whole;
      return { ...whole, deliveries: whole.deliveries.filter(({ n }) => wanted.has(n)) };
    });
    await calls.putMissing(first, again.map(storedOf));
    const prepared = await this.#prepare(again);
    await this.#store(prepared);
    const parcels = prepared.flatMap((one) => this.#parcels(one));
    await outbox.putAgain(parcels);
  }

  #prepare(messages: Admission[]): Promise<PreparedAdmission[]> {
    const now = this.#parts.clock.now();
    return Promise.all(
      messages.map(async (admission): Promise<PreparedAdmission> => {
        const { body, deliveries } = admission;
        if (deliveries.length === 0) return { admission };
        const packing = compress(body);
        const packed = Buffer.isBuffer(packing) ? packing : await packing;
        const far = deliveries.some(({ due }) => isFar(due, now));
        const place = far
          ? ledgerPlace(packed.byteLength)
          : lanePlace(itemBytes(packed.byteLength), deliveries.length);
        if (place === 'inline') return { admission, packed, body: packed.toString('base64') };
        return { admission, packed, at: place };
      }),
    );
  }

  /** Stores all data that a delivery needs before it is handed out, and by which its message is found. */
  async #store(prepared: readonly PreparedAdmission[]): Promise<void> {
    const { deliveries: states, bodies, index, retention } = this.#parts;
    const now = this.#parts.clock.now();
    const items: Item[] = [];
    const writes: Promise<void>[] = [];
    for (const { admission, packed, at } of prepared) {
      const { record, deliveries } = admission;
      if (packed && at) writes.push(bodies.put(record.id, at, packed, record.expiresAt));
      for (const item of deliveries) {
        if (item.due > now) items.push(waitingItem(item, record.expiresAt + retention));
      }
    }
    if (items.length > 0) writes.push(states.putAll(items));
    writes.push(index.put(prepared.map(({ admission }) => admission.record)));
    await Promise.all(writes);
  }

  #parcels({ admission, at, body }: PreparedAdmission): Parcel[] {
    const now = this.#parts.clock.now();
    return admission.deliveries.map((item) => ({
      envelope: { item, generation: 0, claim: item.due > now, at },
      body,
      due: item.due,
    }));
  }
}

/** The item of a delivery that waits for its first time. */
function waitingItem(item: QueueItem, ttl: number): Item {
  const { reason, due: until } = item;
  return wholeItem({ item, id: 'accept' }, { state: 'deferred', generation: 0, until, reason, ttl });
}

/** A message as it is stored, with the deliveries that ended before they began. */
function storedOf({ record, settled = [] }: Admission): StoredRecord {
  const over = settled.flatMap((outcome): SettledDelivery[] => {
    const state = stateAfter(outcome);
    if (outcome.n === undefined || !state) return [];
    return [{ n: outcome.n, state, attempt: outcome.attempt }];
  });
  return over.length > 0 ? { record, settled: over } : { record };
}

function settledOf(messages: readonly Admission[]): Outcome[] {
  return messages.flatMap(({ settled = [] }) => settled);
}

/** The admission under another id. Its bytes and return paths keep theirs. */
function renamed({ record, body, deliveries, settled }: Admission, id: string): Admission {
  return {
    record: { ...record, id },
    body,
    deliveries: deliveries.map((item) => ({ ...item, messageId: id })),
    settled: settled?.map((outcome) => ({ ...outcome, messageId: id })),
  };
}
