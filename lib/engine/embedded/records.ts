/** The records and bodies ports. */
import { type Clock, MINUTE } from '../../time.ts';
import {
  type DeliveryRecord,
  isEngagement,
  isReport,
  type MessageRecord,
  type Outcome,
  REPORTS_SHOWN,
} from '../items.ts';
import type { Anonymised, Bodies, FeedPage, Records } from '../ports.ts';
import {
  badSearchToken,
  isSearched,
  type MessageSearch,
  type MessageSearchPage,
  wantedHashes,
} from '../search.ts';
import type { DeliveryState } from '../states.ts';
import { deliveryRecords } from './delivery-state.ts';
import { readJson } from './json.ts';
import type { Link } from './link.ts';
import type { OperationResult, SearchReply } from './protocol.ts';
import { outcomeTuple } from './queue.ts';
import type { Ready } from './ready.ts';
import { PER_MS } from './store/schema.ts';

/** How far the number of a message may be ahead of its time of acceptance, ms: it was signed and checked meanwhile. */
const AHEAD = 10 * MINUTE;
/** Steps of one search: 100,000 messages, or 3,200 blocks of messages that are passed over. */
const LOOKS = 50;

export class EmbeddedRecords implements Records {
  readonly #link: Pick<Link, 'call'>;
  readonly #clock: Clock;
  readonly #ready: Ready;
  /** Messages that are asked for in this turn, and their answer. */
  #asked: { ids: string[]; answer: Promise<OperationResult<'messages'>> } | undefined;

  constructor(link: Pick<Link, 'call'>, clock: Clock, ready: Ready) {
    this.#link = link;
    this.#clock = clock;
    this.#ready = ready;
  }

  /**
   * What is asked for at one time, as for a page of outcomes, is one call: a batch of as many would pass for a crowd, for
   * which the next batch, and who waits for it, is held up.
   */
  async message(id: string): Promise<MessageRecord | undefined> {
    const asked = (this.#asked ??= this.#ask());
    const at = asked.ids.push(id) - 1;
    const json = (await asked.answer)[at];
    return json === undefined ? undefined : readJson<MessageRecord>(json, 'a message record');
  }

  async call(messageId: string): Promise<MessageRecord[]> {
    const stored = await this.#link.call('messageCall', messageId);
    return stored.map((json) => readJson<MessageRecord>(json, 'a message record'));
  }

  #ask(): { ids: string[]; answer: Promise<OperationResult<'messages'>> } {
    const ids: string[] = [];
    const answer = Promise.resolve().then(() => {
      this.#asked = undefined;
      return this.#link.call('messages', ids);
    });
    return { ids, answer };
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

  async search(search: MessageSearch): Promise<MessageSearchPage> {
    const { tenant, recipient, sender, campaign, from = 0, before, after, max } = search;
    if (after !== undefined && !/^\d{1,16}$/.test(after)) throw badSearchToken();
    // A message's number may be a little ahead of its time, when it was taken in after later ones.
    const latest = before === undefined ? Number.MAX_SAFE_INTEGER : (Math.max(0, before) + AHEAD) * PER_MS;
    const wanted = recipient ?? sender ?? campaign;
    const call = {
      tenant,
      hashes: wantedHashes(search),
      needle: wanted === undefined ? null : JSON.stringify(asciiLower(wanted)).slice(1, -1),
      from: Math.max(0, from) * PER_MS,
    };
    const messages: MessageRecord[] = [];
    const cursors: string[] = [];
    let next: number | undefined = Math.min(latest, after === undefined ? latest : Number(after));
    for (let looks = 0; looks < LOOKS && next !== undefined && messages.length < max; looks += 1) {
      const left: number = max - messages.length;
      const reply: SearchReply = await this.#link.call('search', { ...call, before: next, max: left });
      for (const [number, json] of reply.found) {
        const record = readJson<MessageRecord>(json, 'a message record');
        if (!isSearched(record, search)) continue;
        messages.push(record);
        cursors.push(String(number));
      }
      next = reply.next;
    }
    return next === undefined ? { messages, cursors } : { messages, cursors, next: String(next) };
  }

  async feed(after: number, max: number): Promise<FeedPage> {
    const { cursor, outcomes, places } = await this.#link.call('feed', { after, max });
    return { cursor, places, outcomes: outcomes.map((json) => readJson<Outcome>(json, 'an outcome')) };
  }

  feedEnd(): Promise<number> {
    return this.#link.call('feedEnd', null);
  }

  anonymise(address: string, tenant: string, after: number): Promise<Anonymised> {
    return this.#link.call('anonymise', { address, tenant, after });
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

  get(id: string): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      this.#link.send('getObject', id, [], (error, found) => {
        if (error) reject(error);
        else resolve(found && Buffer.from(found.bytes ?? []));
      });
    });
  }

  delete(id: string): Promise<void> {
    return this.#link.call('deleteObject', id);
  }

  prune(now: number, max: number): Promise<number> {
    return this.#link.call('pruneObjects', { now, max });
  }
}

/** In lower case as SQLite's `lower` has it. */
function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
