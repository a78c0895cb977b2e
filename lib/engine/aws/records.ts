/** The records port. */
import { ERRORS } from '../../errors.ts';
import type { Clock } from '../../time.ts';
import { type DeliveryRecord, isReport, type MessageRecord, type Outcome } from '../items.ts';
import { stateAfter } from '../outcome-state.ts';
import type { FeedPage, Records } from '../ports.ts';
import type { MessageSearch, MessageSearchPage } from '../search.ts';
import { CANCELLED, type DeliveryState, isLegalTransition, SCHEDULED, TRANSITIONS } from '../states.ts';
import { bytes, type Item, text, ttlOf } from './attributes.ts';
import type { CallProgress } from './call-progress.ts';
import type { Calls, SettledDelivery, StoredRecord } from './calls.ts';
import {
  type DeliveryStatus,
  deliveryKey,
  FIRST_DELIVERY,
  isOver,
  LAST_DELIVERY,
  placeOf,
  readStatus,
} from './deliveries.ts';
import type { DeliveryTable } from './delivery-table.ts';
import type { Feed } from './feed.ts';
import type { LeasedHere } from './receipt.ts';
import { encodeRecord } from './record-codec.ts';
import type { Reports } from './reports.ts';
import type { MessageIndex } from './search.ts';

/** A stored message with the items of its deliveries. */
export interface StoredMessage extends StoredRecord {
  deliveries: Item[];
}

/** Finds messages by their id, or by one that the repeat of an interrupted call gave to its bytes. */
export class MessageRecords {
  readonly #calls: Calls;
  readonly #deliveries: DeliveryTable;

  constructor(calls: Calls, deliveries: DeliveryTable) {
    this.#calls = calls;
    this.#deliveries = deliveries;
  }

  /** Written once, so an eventually consistent read is right when it finds it, and only a miss is read again. */
  async stored(id: string): Promise<StoredRecord | undefined> {
    return (await this.#calls.message(id, false)) ?? (await this.#calls.message(id, true));
  }

  async find(id: string): Promise<StoredMessage | undefined> {
    const stored = await this.stored(id);
    if (!stored) return undefined;
    const range = { from: FIRST_DELIVERY, to: LAST_DELIVERY };
    return { ...stored, deliveries: await this.#deliveries.query(stored.record.id, range) };
  }

  /** The id under which a message is stored. */
  async idOf(id: string): Promise<{ id: string; stored?: StoredRecord }> {
    const stored = await this.stored(id);
    return { id: stored?.record.id ?? id, stored };
  }
}

export interface RecordsParts {
  deliveries: DeliveryTable;
  progress: CallProgress;
  feed: Feed;
  messages: MessageRecords;
  calls: Calls;
  index: MessageIndex;
  reports: Reports;
  leasedHere: LeasedHere;
  steady: () => number;
  clock: Clock;
  retention: number;
}

export class AwsRecords implements Records {
  readonly #parts: RecordsParts;

  constructor(parts: RecordsParts) {
    this.#parts = parts;
  }

  async message(id: string): Promise<MessageRecord | undefined> {
    return (await this.#parts.messages.stored(id))?.record;
  }

  async call(messageId: string): Promise<MessageRecord[]> {
    return (await this.#parts.calls.beside(messageId)).map(({ record }) => record);
  }

  async deliveries(messageId: string): Promise<DeliveryRecord[]> {
    const { messages, leasedHere, clock, steady } = this.#parts;
    const message = await messages.find(messageId);
    if (!message) return [];
    const now = clock.now();
    const items = new Map(message.deliveries.map((item) => [placeOf(item), item]));
    const here = leasedHere.places(message.record.id, steady());
    return message.record.recipients.map((recipient, n) =>
      deliveryRecord(
        message.record.id,
        n,
        recipient,
        statusOf(message, n, items.get(n), now),
        here.has(n),
        now,
      ),
    );
  }

  async state(messageId: string, n: number): Promise<DeliveryState | undefined> {
    const { deliveries, messages, clock } = this.#parts;
    const find = (id: string) => deliveries.get(deliveryKey(id, n), true);
    const [own, stored] = await Promise.all([find(messageId), messages.stored(messageId)]);
    if (!stored) return own && readStatus(own, clock.now()).state;
    const { id } = stored.record;
    const item = id === messageId ? own : await find(id);
    return statusOf(stored, n, item, clock.now())?.state ?? 'queued';
  }

  claim(key: string): Promise<{ digest: string; response: string } | undefined> {
    return this.#parts.progress.answer(key);
  }

  /** The record first, then the feed: a caller that sees an error reports again, and the record keeps its state. */
  async append(outcomes: Outcome[]): Promise<void> {
    const stored = await Promise.all(outcomes.map((outcome) => this.#append(outcome)));
    await this.#parts.feed.emit(stored);
  }

  async reports(messageId: string): Promise<Outcome[]> {
    const { messages, reports } = this.#parts;
    return reports.of((await messages.idOf(messageId)).id);
  }

  search(search: MessageSearch): Promise<MessageSearchPage> {
    return this.#parts.index.search(search);
  }

  feed(after: number, max: number): Promise<FeedPage> {
    return this.#parts.feed.read(after, max);
  }

  /** A scan of all records would cost more than any erasure is worth; they go by themselves (TTL). */
  anonymise(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  feedEnd(): Promise<number> {
    return Promise.resolve(this.#parts.feed.end);
  }

  /** TTL removes records, from the day on that their deliveries' expiry and the retention have passed. */
  prune(): Promise<number> {
    return Promise.resolve(0);
  }

  /**
   * A report is a fact and goes to the feed in any case; it changes the state only where the table of
   * transitions allows it.
   */
  async #append(outcome: Outcome): Promise<Outcome> {
    const { id, stored: found } = await this.#parts.messages.idOf(outcome.messageId);
    const record = found?.record;
    const state = stateAfter(outcome);
    const over = new Set(found?.settled?.map(({ n }) => n));
    if (record && state) {
      const places = outcome.n === undefined ? [...record.recipients.keys()] : [outcome.n];
      const open = places.filter((n) => !over.has(n));
      await Promise.all(open.map((n) => this.#change(record, n, state, outcome)));
    }
    const stored = id === outcome.messageId ? outcome : { ...outcome, messageId: id };
    if (record && isReport(stored)) await this.#parts.reports.keep([{ record, outcome: stored }]);
    return stored;
  }

  async #change(record: MessageRecord, n: number, state: DeliveryState, outcome: Outcome): Promise<void> {
    const from = (Object.keys(TRANSITIONS) as DeliveryState[]).filter((one) => isLegalTransition(one, state));
    const { code, text: why } = reasonOf(outcome);
    const values: Item = {
      ':s': text(state),
      ':r': text(code),
      ':x': text(why),
      ':ttl': ttlOf(record.expiresAt + this.#parts.retention),
    };
    for (const [at, one] of from.entries()) values[`:f${at}`] = text(one);
    let update = 'SET s = :s, r = :r, x = :x, #ttl = if_not_exists(#ttl, :ttl)';
    if (outcome.attempt) {
      update += ', a = list_append(if_not_exists(a, :none), :a)';
      values[':a'] = { L: [bytes(encodeRecord(outcome.attempt))] };
      values[':none'] = { L: [] };
    }
    const known = `s IN (${from.map((_, at) => `:f${at}`).join(', ')})`;
    await this.#parts.deliveries.update(deliveryKey(record.id, n), {
      update: `${update} REMOVE u`,
      condition: from.includes('queued') ? `attribute_not_exists(s) OR ${known}` : known,
      names: { '#ttl': 'ttl' },
      values,
    });
  }
}

/** The status of a delivery: of its item, or that which it had from the beginning. */
function statusOf(
  { settled }: StoredRecord,
  n: number,
  item: Item | undefined,
  now: number,
): DeliveryStatus | undefined {
  if (item) return readStatus(item, now);
  const over = settled?.find((one) => one.n === n);
  return over && settledStatus(over);
}

function settledStatus({ state, attempt }: SettledDelivery): DeliveryStatus {
  return { state, generation: 0, attempts: attempt ? [attempt] : [], heldUntil: 0 };
}

/** The record of a delivery: its item, and whether this process has it under lease. */
function deliveryRecord(
  messageId: string,
  n: number,
  recipient: string,
  status: DeliveryStatus | undefined,
  here: boolean,
  now: number,
): DeliveryRecord {
  const attempts = status?.attempts ?? [];
  const record = { messageId, n, recipient, attempts };
  if (status && isOver(status)) {
    const last = attempts.at(-1);
    const reason = status.reason ?? last?.reason ?? status.state;
    const text = status.text ?? last?.text ?? CANCELLED;
    return { ...record, state: status.state, reason, text };
  }
  if (here || (status && status.heldUntil > now)) {
    return {
      ...record,
      state: 'attempting',
      reason: 'attempting',
      text: 'A node has it: it is being sent, or goes as soon as the limits of its destination let it.',
    };
  }
  if (status?.until !== undefined) {
    const last = attempts.at(-1);
    return {
      ...record,
      state: 'deferred',
      reason: status.reason ?? last?.reason ?? 'scheduled',
      text: status.text ?? last?.text ?? SCHEDULED,
      until: status.until,
    };
  }
  return { ...record, state: 'queued', reason: 'queued', text: 'It waits for its turn in its lane.' };
}

/** The reason and text of a report, for the record. */
function reasonOf({ kind, attempt, detail = {} }: Outcome): { code: string; text: string } {
  if (attempt) return { code: attempt.reason, text: attempt.text };
  const said = detail.text ?? detail.message;
  const text = typeof said === 'string' ? said : undefined;
  if (kind === 'cancelled') return { code: 'cancelled', text: text ?? CANCELLED };
  if (kind === 'rendering-failure') {
    return { code: 'rendering_failed', text: text ?? ERRORS.rendering_failed.action };
  }
  const code = typeof detail.reason === 'string' ? detail.reason : 'peer_permanent';
  return { code, text: text ?? 'A later report says that it was not delivered.' };
}
