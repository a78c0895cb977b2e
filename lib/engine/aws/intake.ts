/**
 * Admits messages.
 *
 * ```
 * without a key   bodies, records ──────────► lanes, ledger ──► answer
 *                        ▲ [recorded]               ▲ [taken]
 *
 * with a key      claim ──► bodies ──► lanes, ledger ──► records ──► answer
 *                   ▲ [claimed]            ▲ [taken]       ▲ [complete]
 * ```
 * What a crash, a lost answer or a refusal leaves behind:
 *
 * **[recorded]** Records without deliveries. No answer was given and nothing is sent; TTL removes them.
 *
 * **[taken], without a key.** Some or all deliveries will be sent although the caller got the answer to try again, or
 * none. Only a key can make that call safe to repeat.
 *
 * **[claimed]** The claim names the ids of the first answer; the records of these ids are missing, so the call is
 * known to be unfinished. A refusal that certainly sent nothing takes its claim back. Otherwise the repeated call
 * finishes it under the first ids, and gives the first answer (`#resume`):
 *   1. its own ids become aliases of the first ones, for the return paths and the Message-ID in its bytes;
 *   2. where every copy is claimed (`claimBeforeSend`), its copies go into the lanes at once;
 *      else each delivery is marked in its item as one that may have two copies, and its copies go into the lanes
 *      fifteen minutes late and claimed, by which time copies of the first call have ended, and these are dropped.
 *      Copies of the first call that are handed out later than `AGED` after they were sent find the mark, and are
 *      claimed too. SQS has no query for a message, so nothing shorter is safe;
 *   3. the records of the first ids, which end this state.
 *
 * **[taken], with a key.** As [claimed]: whether the lanes have them is unknown, and does not matter.
 *
 * **[complete]** The answer was lost. The repeated call finds every record and gives the first answer.
 */
import { randomBytes } from 'node:crypto';
import { PosternError } from '../../errors.ts';
import type { MessageRecord, Outcome, QueueItem } from '../items.ts';
import { stateAfter } from '../outcome-state.ts';
import type { Admission, AdmitResult, IdempotencyClaim } from '../ports.ts';
import { bytes, type Item, type Key, keyOf, text, ttlOf } from './attributes.ts';
import type { MessageBodies } from './bodies.ts';
import type { Claims, FirstAnswer } from './claims.ts';
import { type Pacing, pause } from './concurrency.ts';
import { wholeItem } from './deliveries.ts';
import { type BodyPlace, compress } from './envelope.ts';
import type { Feed } from './feed.ts';
import { LONGEST_DELAY, SendError } from './lanes.ts';
import { type CopyOutbox, isFar, type Parcel } from './outbox.ts';
import { itemBytes, lanePlace, ledgerPlace } from './placement.ts';
import { encodeRecord } from './record-codec.ts';
import type { Tables } from './tables.ts';

export interface IntakeParts extends Pacing {
  tables: Tables;
  claims: Claims;
  bodies: MessageBodies;
  outbox: CopyOutbox;
  feed: Feed;
  /** Whether every copy is claimed before it is handed out, so that two equal ones do no harm. */
  claimBeforeSend: boolean;
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

/** Number of checks of an unfinished call before it counts as interrupted: about two seconds. */
const PATIENCE = 6;

export const messageKey = (id: string): Key => ({ pk: id, sk: 'm' });

export class Intake {
  readonly #parts: IntakeParts;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  async admit(messages: Admission[], claim?: IdempotencyClaim): Promise<AdmitResult> {
    if (!claim) {
      const prepared = await this.#prepare(messages);
      await Promise.all([this.#store(prepared), this.#record(messages)]);
      await this.#parts.outbox.put(prepared.flatMap((one) => this.#parcels(one)));
      await this.#parts.feed.emit(settledOf(messages));
      return { kind: 'admitted' };
    }
    const ids = messages.map(({ record }) => record.id);
    const nonce = randomBytes(12).toString('base64url');
    const first = await this.#parts.claims.make(claim, ids, nonce);
    if (first) return first.digest === claim.digest ? this.#repeat(messages, first) : { kind: 'conflict' };
    const prepared = await this.#prepare(messages);
    await this.#store(prepared);
    try {
      await this.#parts.outbox.put(prepared.flatMap((one) => this.#parcels(one)));
    } catch (error) {
      if (error instanceof SendError && !error.open) await this.#parts.claims.takeBack(claim.key, nonce);
      throw error;
    }
    await this.#record(messages);
    await this.#parts.feed.emit(settledOf(messages));
    return { kind: 'admitted' };
  }

  /** Handles a call that was made before: completes it if necessary, and gives its first answer. */
  async #repeat(messages: Admission[], { ids, response }: FirstAnswer): Promise<AdmitResult> {
    for (let tries = 0; ; tries += 1) {
      const found = await this.#parts.tables.getAll('records', ids.map(messageKey));
      const recorded = new Set(found.map((item) => item.pk!.S));
      const missing = ids.flatMap((id, at) => (recorded.has(id) ? [] : [{ id, message: messages[at] }]));
      if (missing.length > 0 && tries < PATIENCE) await pause(this.#parts, tries);
      else {
        if (missing.length > 0) await this.#resume(missing);
        return { kind: 'repeated', response };
      }
    }
  }

  async #resume(missing: { id: string; message: Admission | undefined }[]): Promise<void> {
    const { tables, outbox, feed, claimBeforeSend } = this.#parts;
    const now = this.#parts.clock.now();
    const messages = missing.map(({ id, message }) => {
      if (message) return renamed(message, id);
      throw new PosternError(
        'storage_unavailable',
        'The first call with this idempotency key was cut off and the same call is no longer accepted in full. ' +
          'Send its messages under new keys.',
      );
    });
    await tables.putAll(
      'records',
      missing.flatMap(({ id, message }) => {
        const { record } = message!;
        if (record.id === id) return [];
        return [{ ...keyOf(messageKey(record.id)), to: text(id), ttl: this.#ttl(record) }];
      }),
    );
    const prepared = await this.#prepare(messages);
    await this.#store(prepared);
    const parcels = prepared.flatMap((one) => this.#parcels(one));
    if (claimBeforeSend) await outbox.put(parcels);
    else {
      await outbox.doubt(parcels);
      const late = now + LONGEST_DELAY * 1000;
      await outbox.put(
        parcels.map((parcel) => ({
          ...parcel,
          envelope: { ...parcel.envelope, claim: true },
          due: Math.max(late, parcel.due),
        })),
      );
    }
    await this.#record(messages);
    await feed.emit(settledOf(messages));
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

  /** Stores all data that a delivery needs before it is handed out. */
  async #store(prepared: readonly PreparedAdmission[]): Promise<void> {
    const { tables, bodies, retention } = this.#parts;
    const now = this.#parts.clock.now();
    const items: Item[] = [];
    const writes: Promise<void>[] = [];
    for (const { admission, packed, at } of prepared) {
      const { record, deliveries, settled = [] } = admission;
      if (packed && at) writes.push(bodies.put(record.id, at, packed, record.expiresAt));
      const ttl = record.expiresAt + retention;
      for (const item of deliveries) {
        if (item.due > now) items.push(waitingItem(item, ttl));
      }
      for (const outcome of settled) {
        const item = settledItem(record, outcome, ttl);
        if (item) items.push(item);
      }
    }
    if (items.length > 0) writes.push(tables.putAll('records', items));
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

  async #record(messages: readonly Admission[]): Promise<void> {
    const { tables } = this.#parts;
    const items = messages.map(
      ({ record }): Item => ({
        ...keyOf(messageKey(record.id)),
        r: bytes(encodeRecord(record)),
        ttl: this.#ttl(record),
      }),
    );
    if (items.length > 1) return tables.putAll('records', items);
    const [one] = items;
    if (!one) return;
    const { done, item } = await tables.update('records', messageKey(one.pk!.S!), {
      update: 'SET r = :r, #ttl = :ttl',
      condition: 'attribute_not_exists(pk) OR r = :r',
      names: { '#ttl': 'ttl' },
      values: { ':r': one.r!, ':ttl': one.ttl! },
    });
    if (!done && item) {
      throw new PosternError('already_exists', `A message with the id ${one.pk!.S} is stored already.`);
    }
  }

  #ttl(record: MessageRecord) {
    return ttlOf(record.expiresAt + this.#parts.retention);
  }
}

/** The item of a delivery that waits for its first time. */
function waitingItem(item: QueueItem, ttl: number): Item {
  const { reason, due: until } = item;
  return wholeItem({ item, id: 'accept' }, { state: 'deferred', generation: 0, until, reason, ttl });
}

/** The item of a delivery that ended before it began. */
function settledItem(record: MessageRecord, outcome: Outcome, ttl: number): Item | undefined {
  const state = stateAfter(outcome);
  if (outcome.n === undefined || !state) return undefined;
  const attempt = outcome.attempt && encodeRecord(outcome.attempt);
  const item = { messageId: record.id, n: outcome.n } as QueueItem;
  return wholeItem({ item, id: 'accept' }, { state, generation: 0, attempt, ttl });
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
