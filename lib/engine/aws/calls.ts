/**
 * The records of messages, as one item of the records table for each call that admitted them. The item is also the
 * claim of the call's idempotency key, because its key follows from it: ids are made so that a message, a repeat of it
 * and the key lead to the same item (lib/mail/message-id.ts).
 *
 * | attribute | meaning |
 * |---|---|
 * | `r` | the messages, the answer and the digest of the request, encoded together: messages of one call differ in little |
 * | `e`, `o` | the key is taken until this time (ms; 0: nothing was sent), by the caller with this nonce |
 * | `c` | a repeat found, or saw to it, that every delivery of the call is on its way |
 * | `p` | an expired call with the same key was here before |
 *
 * Messages that would make the item dear to read, and those of an expired call that made room for another, are items of
 * their own under their ids, as all were in earlier versions.
 */
import { createHash } from 'node:crypto';
import { PosternError } from '../../errors.ts';
import { callOf, callOfKey, uuidOf } from '../../mail/message-id.ts';
import type { Clock } from '../../time.ts';
import { type Attempt, type MessageRecord, SCHEMA_VERSION } from '../items.ts';
import type { IdempotencyClaim } from '../ports.ts';
import type { DeliveryState } from '../states.ts';
import { bytes, type Item, type Key, keyOf, number, numberOf, text, ttlOf } from './attributes.ts';
import { isDenied } from './clients.ts';
import { each } from './concurrency.ts';
import { decodeRecord, encodeRecord } from './record-codec.ts';
import type { Tables } from './tables.ts';

/** A message as it is stored: its record, and what ended before it began. */
export interface StoredRecord {
  record: MessageRecord;
  settled?: SettledDelivery[];
}

/** A delivery that ended at accept. */
export interface SettledDelivery {
  n: number;
  state: DeliveryState;
  attempt?: Attempt;
}

/** The content of the item of a call. */
interface CallContent {
  v: number;
  messages: StoredRecord[];
  /** Ids of messages that have items of their own. */
  apart?: string[];
  digest?: string;
  response?: string;
}

/** A call that was found. */
export interface StoredCall {
  item: Item;
  content: CallContent;
}

/** Calls that are stored at one time. */
const WIDTH = 32;
/** Size from which on the messages of a call have items of their own, bytes: each read of one reads all. */
const GROUP_BYTES = 16_384;

export const messageKey = (id: string): Key => ({ pk: id, sk: 'm' });
const callKey = (call: string): Key => ({ pk: call, sk: 'm' });

/** Key of the claim of a call in earlier versions. */
const formerKey = (key: string): Key => ({
  pk: `c#${createHash('sha256').update(key).digest('base64url')}`,
  sk: 'c',
});

export class Calls {
  readonly #tables: Tables;
  readonly #clock: Clock;
  readonly #retention: number;
  /** Reads under way: outcomes of one call come together. */
  readonly #reading = new Map<string, Promise<Item | undefined>>();

  /** @param retention how long records are kept after their deliveries' expiry, ms. */
  constructor(tables: Tables, clock: Clock, retention: number) {
    this.#tables = tables;
    this.#clock = clock;
    this.#retention = retention;
  }

  /** Stores messages of calls without a key. @throws PosternError `already_exists`. */
  async put(messages: readonly StoredRecord[]): Promise<void> {
    const calls = new Map<string, StoredRecord[]>();
    for (const message of messages) {
      const call = callOfMessage(message);
      const others = calls.get(call);
      if (others) others.push(message);
      else calls.set(call, [message]);
    }
    await each([...calls], WIDTH, ([call, own]) => this.#putCall(call, own));
  }

  /**
   * Stores the messages of a call with a key, which claims it. The same nonce may do it again.
   * @returns the first call with this key, if there was one; then nothing was stored.
   */
  async claim(
    claim: IdempotencyClaim,
    messages: readonly StoredRecord[],
    nonce: string,
  ): Promise<StoredCall | undefined> {
    const call = callOfKey(claim.key);
    if (messages.some((message) => callOfMessage(message) !== call)) {
      throw new PosternError('internal', 'The ids of the messages do not come from the key of their call.');
    }
    const { first, apart } = group(messages);
    const content = { ...first, digest: claim.digest, response: claim.response };
    const values = {
      ':r': bytes(encodeRecord(content)),
      ':e': number(claim.expiresAt),
      ':o': text(nonce),
      ':ttl': this.#ttl(messages),
    };
    for (let before: Item | undefined; ; ) {
      const { done, item } = await this.#tables.update('records', callKey(call), {
        update: `SET r = :r, e = :e, o = :o, #ttl = :ttl${before ? ', p = :p' : ''} REMOVE c`,
        condition: before ? 'o = :before OR o = :o' : 'attribute_not_exists(pk) OR o = :o',
        names: { '#ttl': 'ttl' },
        values: { ...values, ...(before && { ':before': before.o!, ':p': number(1) }) },
      });
      if (done) break;
      if (!item) {
        before = undefined;
        continue;
      }
      if (numberOf(item.e) > this.#clock.now()) return readCall(item);
      // The key is free again. What was sent under it keeps its records.
      if (numberOf(item.e) > 0) await this.#makeRoom(item);
      before = item;
    }
    await this.#putApart(apart);
    return undefined;
  }

  /** Stores records that a repeat found missing: those that were to have items of their own. */
  async putMissing({ content }: StoredCall, messages: readonly StoredRecord[]): Promise<void> {
    const apart = new Set(content.apart);
    await this.#putApart(messages.filter(({ record }) => apart.has(record.id)));
  }

  /** The call of a key, if the key has not expired. */
  async find(key: string): Promise<StoredCall | undefined> {
    // Eventually consistent: `claim` finds for certain what this misses.
    const item = await this.#tables.get('records', callKey(callOfKey(key)), false);
    return item && numberOf(item.e) > this.#clock.now() ? readCall(item) : undefined;
  }

  /** The digest and the answer of a call that an earlier version finished. */
  async findFormer(key: string): Promise<{ digest: string; response: string } | undefined> {
    const item = await this.#tables.get('records', formerKey(key), false);
    if (!item || numberOf(item.e) <= this.#clock.now()) return undefined;
    const first = decodeRecord<{ response: string; ids: string[] }>(item.f!.B!, 'an idempotency claim');
    const found = await this.#tables.getAll('records', first.ids.map(messageKey));
    return found.length === first.ids.length ? { digest: item.d!.S!, response: first.response } : undefined;
  }

  /** Notes that every delivery of a call is on its way. */
  async complete({ item }: StoredCall): Promise<void> {
    const key = { pk: item.pk!.S!, sk: item.sk!.S! };
    const values = { ':o': item.o!, ':c': number(1) };
    await this.#tables.update('records', key, { update: 'SET c = :c', condition: 'o = :o', values });
  }

  /**
   * Ends the claim of a call that certainly sent nothing. When that write fails, the claim stays, and the repeated
   * call finishes the first one's work.
   * @throws when the role of this process lacks the right.
   */
  async takeBack(key: string, nonce: string): Promise<void> {
    const ended = { update: 'SET e = :e', condition: 'o = :o' };
    const values = { ':e': number(0), ':o': text(nonce) };
    await this.#tables
      .update('records', callKey(callOfKey(key)), { ...ended, values })
      .catch((error: unknown) => {
        if (isDenied(error)) throw error;
      });
  }

  /** A message by its id, or by one that a repeat of its call gave to its bytes. */
  async message(id: string, consistent: boolean): Promise<StoredRecord | undefined> {
    const call = callOf(id);
    if (call === undefined) return this.#apart(id, consistent);
    const item = await this.#read(call, consistent);
    if (!item?.r) return undefined;
    const { messages, apart = [] } = readCall(item).content;
    const exact = messages.find(({ record }) => record.id === id);
    if (exact) return exact;
    if (item.p || apart.includes(id)) {
      const own = await this.#apart(id, consistent);
      if (own) return own;
    }
    const isRepeat = (other: string): boolean => uuidOf(other) === uuidOf(id);
    const other = apart.find(isRepeat);
    return other === undefined
      ? messages.find(({ record }) => isRepeat(record.id))
      : this.#apart(other, consistent);
  }

  /** All messages of the call of a message, itself among them; none when it is not stored. */
  async beside(id: string): Promise<StoredRecord[]> {
    const own = (await this.message(id, false)) ?? (await this.message(id, true));
    const call = callOf(id);
    if (!own || call === undefined) return own ? [own] : [];
    const item = await this.#read(call, true);
    const all = item?.r ? await this.messagesOf(readCall(item)) : [];
    // The item may be that of a later call with the same key.
    return all.some(({ record }) => record.id === own.record.id) ? all : [own];
  }

  /** All messages of a call. */
  async messagesOf({ content }: StoredCall): Promise<StoredRecord[]> {
    const { messages, apart = [] } = content;
    const others = await Promise.all(apart.map((id) => this.#apart(id, true)));
    return [...messages, ...others.filter((one) => one !== undefined)];
  }

  /** One read for those that ask for the same call at the same time, if it need not be consistent. */
  #read(call: string, consistent: boolean): Promise<Item | undefined> {
    if (consistent) return this.#tables.get('records', callKey(call), true);
    let reading = this.#reading.get(call);
    if (!reading) {
      reading = this.#tables.get('records', callKey(call), false).finally(() => this.#reading.delete(call));
      this.#reading.set(call, reading);
    }
    return reading;
  }

  async #apart(id: string, consistent: boolean): Promise<StoredRecord | undefined> {
    const item = await this.#tables.get('records', messageKey(id), consistent);
    if (item?.to?.S) return this.#apart(item.to.S, consistent);
    return item && readApart(item);
  }

  async #putCall(call: string, messages: readonly StoredRecord[]): Promise<void> {
    const { first, apart } = group(messages);
    await this.#putApart(apart);
    const { done, item } = await this.#tables.update('records', callKey(call), {
      update: 'SET r = :r, #ttl = :ttl',
      condition: 'attribute_not_exists(pk) OR r = :r',
      names: { '#ttl': 'ttl' },
      values: { ':r': bytes(encodeRecord(first)), ':ttl': this.#ttl(messages) },
    });
    if (!done && item) {
      const { id } = messages[0]!.record;
      throw new PosternError('already_exists', `A message with the id ${id} is stored already.`);
    }
  }

  /** Gives the messages of an expired call items of their own. */
  async #makeRoom(item: Item): Promise<void> {
    await this.#putApart(readCall(item).content.messages);
  }

  async #putApart(messages: readonly StoredRecord[]): Promise<void> {
    await this.#tables.putAll(
      'records',
      messages.map(
        (message): Item => ({
          ...keyOf(messageKey(message.record.id)),
          r: bytes(encodeRecord(message.record)),
          ...(message.settled && { s: bytes(encodeRecord(message.settled)) }),
          ttl: this.#ttl([message]),
        }),
      ),
    );
  }

  #ttl(messages: readonly StoredRecord[]) {
    const last = Math.max(...messages.map(({ record }) => record.expiresAt));
    return ttlOf(last + this.#retention);
  }
}

/** Whether the item says that every delivery is on its way. */
export function isComplete({ item }: StoredCall): boolean {
  return item.c !== undefined;
}

function callOfMessage({ record }: StoredRecord): string {
  const call = callOf(record.id);
  if (call !== undefined) return call;
  throw new PosternError('internal', `${record.id} is no id that newMessageId made.`);
}

/** As many messages as one item may hold, at least one where there is only one; and the others. */
function group(messages: readonly StoredRecord[]): { first: CallContent; apart: StoredRecord[] } {
  const whole: CallContent = { v: SCHEMA_VERSION, messages: [...messages] };
  if (messages.length === 1 || encodeRecord(whole).byteLength <= GROUP_BYTES) {
    return { first: whole, apart: [] };
  }
  const together: StoredRecord[] = [];
  const apart: StoredRecord[] = [];
  let size = 0;
  for (const message of messages) {
    size += encodeRecord(message).byteLength;
    (size <= GROUP_BYTES ? together : apart).push(message);
  }
  return {
    first: { v: SCHEMA_VERSION, messages: together, apart: apart.map(({ record }) => record.id) },
    apart,
  };
}

function readCall(item: Item): StoredCall {
  if (!item.r?.B) throw new PosternError('storage_damaged', 'The tables hold a call without its messages.');
  return { item, content: decodeRecord<CallContent>(item.r.B, 'the messages of a call') };
}

function readApart(item: Item): StoredRecord {
  return {
    record: decodeRecord<MessageRecord>(item.r!.B!, 'a message record'),
    settled: item.s?.B && decodeRecord<SettledDelivery[]>(item.s.B, 'deliveries that ended'),
  };
}
