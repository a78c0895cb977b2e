/** The records and bodies ports. */
import type { Clock } from '../../time.ts';
import {
  type DeliveryRecord,
  isEngagement,
  isReport,
  type MessageRecord,
  type Outcome,
  REPORTS_SHOWN,
} from '../items.ts';
import type { Bodies, FeedPage, Records } from '../ports.ts';
import type { DeliveryState } from '../states.ts';
import { deliveryRecords } from './delivery-state.ts';
import { readJson } from './json.ts';
import type { Link } from './link.ts';
import { outcomeTuple } from './queue.ts';
import type { Ready } from './ready.ts';

export class EmbeddedRecords implements Records {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #ready: Ready;

  constructor(link: Link, clock: Clock, ready: Ready) {
    this.#link = link;
    this.#clock = clock;
    this.#ready = ready;
  }

  async message(id: string): Promise<MessageRecord | undefined> {
    const json = await this.#link.call('message', id);
    return json === undefined ? undefined : readJson<MessageRecord>(json, 'a message record');
  }

  async deliveries(messageId: string): Promise<DeliveryRecord[]> {
    const stored = await this.#link.call('deliveries', messageId);
    return stored ? deliveryRecords(stored, this.#ready.attempting(messageId)) : [];
  }

  state(messageId: string, n: number): Promise<DeliveryState | undefined> {
    return this.#link.call('state', { id: messageId, n });
  }

  claim(key: string): Promise<{ digest: string; response: string } | undefined> {
    return this.#link.call('claim', { key, now: this.#clock.now() });
  }

  append(outcomes: Outcome[]): Promise<void> {
    return this.#link.call('append', {
      outcomes: outcomes.map((outcome) => [outcome.messageId, ...outcomeTuple(outcome)]),
      bounded: outcomes.flatMap(({ kind }, at) => (isEngagement(kind) ? [at] : [])),
      most: REPORTS_SHOWN,
    });
  }

  async reports(messageId: string): Promise<Outcome[]> {
    const stored = await this.#link.call('deliveries', messageId);
    const outcomes = (stored?.outcomes ?? []).map(([, , json]) => readJson<Outcome>(json, 'an outcome'));
    let engagements = 0;
    return outcomes.filter((one) => {
      if (!isEngagement(one.kind)) return isReport(one);
      engagements += 1;
      return engagements <= REPORTS_SHOWN;
    });
  }

  async feed(after: number, max: number): Promise<FeedPage> {
    const { cursor, outcomes, places } = await this.#link.call('feed', { after, max });
    return { cursor, places, outcomes: outcomes.map((json) => readJson<Outcome>(json, 'an outcome')) };
  }

  feedEnd(): Promise<number> {
    return this.#link.call('feedEnd', null);
  }

  prune(before: number, max: number): Promise<number> {
    return this.#link.call('pruneRecords', { before, now: this.#clock.now(), max });
  }
}

export class EmbeddedBodies implements Bodies {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  put(id: string, bytes: Uint8Array, expiresAt: number): Promise<void> {
    return this.#link.call('putObject', { id, expiresAt }, bytes);
  }

  async get(id: string): Promise<Buffer | undefined> {
    const found = await this.#link.call('getObject', id);
    return found && (found.bytes ?? Buffer.alloc(0));
  }

  delete(id: string): Promise<void> {
    return this.#link.call('deleteObject', id);
  }

  prune(now: number, max: number): Promise<number> {
    return this.#link.call('pruneObjects', { now, max });
  }
}
