/**
 * The search of messages: an item for each recipient, in a table of its own, written beside the message's record.
 *
 * | `pk` | `sk` | |
 * |---|---|---|
 * | tenant `/` bucket | time of acceptance `/` message id `/` n | `h`: hash of the recipient |
 *
 * The bucket follows from the recipient: what was sent to an address is in one of a tenant's 64 partitions, and what a
 * tenant sent at all in all of them, merged by time. So one write serves both.
 */

import { PosternError } from '../../errors.ts';
import type { Clock } from '../../time.ts';
import type { MessageRecord } from '../items.ts';
import {
  badSearchToken,
  isSearched,
  type MessageSearch,
  type MessageSearchPage,
  recipientHash,
} from '../search.ts';
import { type Item, keyOf, number, numberOf, ttlOf } from './attributes.ts';
import type { Calls } from './calls.ts';
import { each } from './concurrency.ts';
import type { Tables } from './tables.ts';

const TABLE = 'search';
/** Partitions of a tenant. */
const BUCKETS = 64;
const WIDTH = 16;
/** Items of a partition that one step reads: of the one of an address, and of each where all are merged. */
const OF_ADDRESS = 500;
const OF_EACH = 10;
/** Steps of one search. */
const STEPS = 5;
/** Behind every time of acceptance. */
const LATEST = '9'.repeat(13);

export interface MessageIndexParts {
  tables: Tables;
  calls: Calls;
  clock: Clock;
  retention: number;
  /** Whether the stage keeps the index. */
  searchIndex: boolean;
}

/** Ids in the order of time, latest first, and down to which key nothing is missing; absent: to the end. */
interface FoundIds {
  ids: { place: string; id: string }[];
  down?: string;
}

export class MessageIndex {
  readonly #parts: MessageIndexParts;

  constructor(parts: MessageIndexParts) {
    this.#parts = parts;
  }

  /** Indexes messages. A repeat changes nothing. */
  async put(records: readonly MessageRecord[]): Promise<void> {
    if (!this.#parts.searchIndex) return;
    const items = records.flatMap((record) =>
      record.recipients.map((recipient, n): Item => {
        const hash = recipientHash(record.tenant, recipient);
        const sk = `${placeOf(record)}/${String(n).padStart(4, '0')}`;
        const expiry = ttlOf(record.expiresAt + this.#parts.retention);
        return {
          ...keyOf({ pk: partition(record.tenant, bucketOf(hash)), sk }),
          h: number(hash),
          ttl: expiry,
        };
      }),
    );
    await this.#parts.tables.putAll(TABLE, items);
  }

  async search(search: MessageSearch): Promise<MessageSearchPage> {
    if (!this.#parts.searchIndex) {
      throw new PosternError(
        'unsupported_operation',
        'This stage keeps no index of messages (`search` in its settings). Look a message up by its id.',
      );
    }
    const { from = 0, before, after, max } = search;
    if (after !== undefined && !/^\d{13}\/[!-~]{1,320}$/.test(after)) throw badSearchToken();
    const first = padded(Math.max(0, from));
    const latest = before === undefined ? LATEST : padded(Math.max(0, before));
    let high = after !== undefined && after < latest ? after : latest;
    const messages: MessageRecord[] = [];
    const cursors: string[] = [];
    for (let step = 0; step < STEPS; step += 1) {
      const { ids, down } = await this.#find(search, first, high);
      const records = await this.#records(ids.map(({ id }) => id));
      for (const { place, id } of ids) {
        const record = records.get(id);
        if (!record || !isSearched(record, search)) continue;
        messages.push(record);
        cursors.push(place);
        if (messages.length === max) return { messages, cursors, next: place };
      }
      if (down === undefined) return { messages, cursors };
      high = down;
    }
    return { messages, cursors, next: high };
  }

  /** Ids of the messages below `high`. */
  async #find({ tenant, recipient }: MessageSearch, from: string, high: string): Promise<FoundIds> {
    if (recipient !== undefined) {
      const hash = recipientHash(tenant, recipient);
      const items = await this.#page(partition(tenant, bucketOf(hash)), from, high, OF_ADDRESS);
      const meant = items.filter(({ h }) => numberOf(h) === hash);
      return { ids: idsOf(meant), down: items.length < OF_ADDRESS ? undefined : placeIn(items.at(-1)!) };
    }
    const pages: Item[][] = [];
    await each([...Array(BUCKETS).keys()], WIDTH, async (bucket) => {
      pages.push(await this.#page(partition(tenant, bucket), from, high, OF_EACH));
    });
    // A partition that has more is known down to its last item only.
    let down: string | undefined;
    for (const page of pages) {
      const last = page.length < OF_EACH ? undefined : placeIn(page.at(-1)!);
      if (last !== undefined && (down === undefined || last > down)) down = last;
    }
    const ids = idsOf(pages.flat().sort((a, b) => (a.sk!.S! < b.sk!.S! ? 1 : -1)));
    return { ids: down === undefined ? ids : ids.filter(({ place }) => place >= down), down };
  }

  #page(pk: string, from: string, high: string, limit: number): Promise<Item[]> {
    if (from >= high) return Promise.resolve([]);
    // Keys end with `/` and the place of a recipient, so that none is equal to an end of the range.
    return this.#parts.tables.query(TABLE, pk, {
      from,
      to: high,
      limit,
      descending: true,
      consistent: false,
    });
  }

  async #records(ids: readonly string[]): Promise<Map<string, MessageRecord>> {
    const found = new Map<string, MessageRecord>();
    await each(ids, WIDTH, async (id) => {
      const stored = await this.#parts.calls.message(id, false);
      if (stored) found.set(id, stored.record);
    });
    return found;
  }
}

function padded(time: number): string {
  return String(Math.floor(time)).padStart(13, '0');
}

function placeOf({ acceptedAt, id }: MessageRecord): string {
  return `${padded(acceptedAt)}/${id}`;
}

/** The key of an item without the place of the recipient. */
function placeIn({ sk }: Item): string {
  return sk!.S!.slice(0, sk!.S!.lastIndexOf('/'));
}

/** The messages of items, each once. */
function idsOf(items: readonly Item[]): FoundIds['ids'] {
  return [...new Set(items.map(placeIn))].map((place) => ({
    place,
    id: place.slice(place.indexOf('/') + 1),
  }));
}

function bucketOf(hash: number): number {
  return (hash >>> 0) % BUCKETS;
}

function partition(tenant: string, bucket: number): string {
  return `${tenant}/${bucket}`;
}
