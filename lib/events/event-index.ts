/**
 * Events by tenant and time, where there is no feed to read: rows that the outcomes function writes, each with many
 * outcomes, compressed. They expire after some days.
 *
 * A row has the time at which it was written in its key. Functions write at the same time and by clocks of their own:
 * so a reader looks at nothing younger than `LAG`, and misses nothing behind its cursor.
 */
import { createHash } from 'node:crypto';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { MessageRecord, Outcome } from '../engine/items.ts';
import type { Records, Rows } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { EventContext } from '../outcome/mail-object.ts';
import { type Clock, DAY, SECOND } from '../time.ts';
import { timeKey } from './destination-state.ts';
import { typeOfOutcome } from './messages.ts';
import { chosenOf, type EventFilter, type EventPull, eventsIn, type PulledPage } from './pull.ts';

const KIND = 'event-index';
/** Milliseconds after which a row shows: longer than a write that is tried again takes. */
export const LAG = 30 * SECOND;
/** Outcomes of a row, before compression, bytes. */
const ROW_BYTES = 100_000;
/** Rows read at one time. */
const PAGE = 10;
/** What one call reads at most. */
const QUERIES = 20;
const SCAN = 5_000;
/** Maximum size of an unpacked row: one that is larger was not written here. */
const UNPACKED = 4 << 20;

export interface EventIndexOptions {
  rows: Rows;
  records: Pick<Records, 'message'>;
  context: EventContext;
  clock: Clock;
  /** How long rows are kept, ms. */
  keep: number;
}

/** Of the row of the key `read` outcomes were looked at, or all; of the rows of the day before it all. */
interface Place {
  day: number;
  key: string;
  read: number | 'all';
}

export class EventIndex implements EventPull {
  readonly #options: EventIndexOptions;

  constructor(options: EventIndexOptions) {
    this.#options = options;
  }

  /** Stores outcomes. The same ones may be stored twice: their events have the same ids. */
  async put(outcomes: readonly Outcome[], records: ReadonlyMap<string, MessageRecord>): Promise<void> {
    const { rows, clock, keep } = this.#options;
    const now = clock.now();
    const byTenant = new Map<string, Outcome[]>();
    for (const outcome of outcomes) {
      const record = records.get(outcome.messageId);
      if (!record || typeOfOutcome(outcome) === undefined) continue;
      const own = byTenant.get(record.tenant);
      if (own) own.push(outcome);
      else byTenant.set(record.tenant, [outcome]);
    }
    const made = [...byTenant].flatMap(([tenant, own]) =>
      packed(own).map((text) => ({
        kind: KIND,
        partition: `${tenant}#${dayOf(now)}`,
        key: `${timeKey(now)}#${createHash('sha256').update(text).digest('hex').slice(0, 12)}`,
        value: text,
        expiresAt: now + keep,
      })),
    );
    for (let at = 0; at < made.length; at += 500) await rows.put(made.slice(at, at + 500));
  }

  end(): Promise<string> {
    const now = this.#options.clock.now();
    return Promise.resolve(cursorOf({ day: dayOf(now), key: timeKey(now), read: 'all' }));
  }

  async page(filter: EventFilter, after: string | undefined, max: number): Promise<PulledPage> {
    const { clock } = this.#options;
    const { tenant } = filter;
    if (tenant === undefined) {
      throw new PosternError(
        'unsupported_operation',
        'Here events are kept by tenant, and not for all of them together. Name one, as ?tenant=default.',
      );
    }
    const visible = clock.now() - LAG;
    const page: PulledPage = { events: [], cursor: '', more: true };
    let place = after === undefined ? this.#start(filter) : placeOf(after);
    let scanned = 0;
    for (let queries = 0; queries < QUERIES && scanned < SCAN; queries += 1) {
      const found = await this.#rows(tenant, place, visible);
      for (const { key, outcomes } of found) {
        const skip = key === place.key && place.read !== 'all' ? place.read : 0;
        const read = await this.#read(page, filter, { day: place.day, key, read: skip }, outcomes, max);
        scanned += read - skip;
        place = { day: place.day, key, read: read === outcomes.length ? 'all' : read };
        if (page.events.length >= max) return { ...page, cursor: cursorOf(place) };
      }
      if (found.length >= PAGE) continue;
      if (place.day >= dayOf(visible)) return { ...page, cursor: cursorOf(place), more: false };
      place = { day: place.day + 1, key: '', read: 'all' };
    }
    return { ...page, cursor: cursorOf(place) };
  }

  #start({ from }: EventFilter): Place {
    const { clock, keep } = this.#options;
    return { day: dayOf(Math.max(from ?? 0, clock.now() - keep)), key: '', read: 'all' };
  }

  /** Rows of a day from a place on. */
  async #rows(
    tenant: string,
    { day, key, read }: Place,
    visible: number,
  ): Promise<{ key: string; outcomes: Outcome[] }[]> {
    const { rows } = this.#options;
    const found = await rows.query({
      kind: KIND,
      partition: `${tenant}#${day}`,
      ...(key !== '' && (read === 'all' ? { after: key } : { from: key })),
      before: timeKey(visible),
      max: PAGE,
    });
    return found.map((row) => ({ key: row.key, outcomes: unpacked(row.value) }));
  }

  /** Adds the events of a row. @returns how many of its outcomes were looked at. */
  async #read(
    page: PulledPage,
    filter: EventFilter,
    { day, key, read }: Place & { read: number },
    outcomes: readonly Outcome[],
    max: number,
  ): Promise<number> {
    const { records, context } = this.#options;
    const numbered = outcomes.map((_, at) => at);
    const chosen = chosenOf({ outcomes: [...outcomes], places: numbered }, filter).filter(
      ({ place }) => place >= read,
    );
    for (const { place, messages } of await eventsIn({ records, context }, filter, chosen)) {
      const cursor = cursorOf({ day, key, read: place + 1 });
      for (const message of messages) page.events.push({ cursor, message });
      if (page.events.length >= max) return place + 1;
    }
    return outcomes.length;
  }
}

function packed(outcomes: readonly Outcome[]): string[] {
  const texts: string[] = [];
  let held: string[] = [];
  let size = 0;
  const close = (): void => {
    if (held.length > 0) texts.push(zstdCompressSync(`[${held.join(',')}]`).toString('base64'));
    held = [];
    size = 0;
  };
  for (const outcome of outcomes) {
    const json = JSON.stringify(outcome);
    if (size + json.length > ROW_BYTES) close();
    held.push(json);
    size += json.length;
  }
  close();
  return texts;
}

function unpacked(value: unknown): Outcome[] {
  const bytes = Buffer.from(String(value), 'base64');
  return JSON.parse(zstdDecompressSync(bytes, { maxOutputLength: UNPACKED }).toString('utf8')) as Outcome[];
}

function dayOf(time: number): number {
  return Math.floor(time / DAY);
}

function cursorOf({ day, key, read }: Place): string {
  return Buffer.from(`${day} ${read} ${key}`).toString('base64url');
}

/** @throws PosternError `invalid_page_token` */
function placeOf(cursor: string): Place {
  const found = /^(\d{1,6}) (\d{1,7}|all) (|\d{15}|\d{15}#[0-9a-f]{12})$/.exec(
    Buffer.from(cursor, 'base64url').toString('latin1'),
  );
  if (found)
    return { day: Number(found[1]), read: found[2] === 'all' ? 'all' : Number(found[2]), key: found[3]! };
  throw new PosternError('invalid_page_token', 'The cursor is not one that this installation gave out.');
}
