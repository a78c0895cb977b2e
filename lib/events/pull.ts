/**
 * Events for receivers that fetch them: pages of the past by a cursor, and a sign that there is more.
 *
 * ```
 *  cursor ─► read a page of the feed ─► of this tenant, type, message? ─► record ─► event ─► recipient, tag? ─► answer
 *               └─ until enough are found, the feed is at its end, or SCAN outcomes were read: the cursor says how far
 * ```
 * A filter that matches little costs a bounded scan for each call, and the cursor advances past what did not match.
 */
import type { EventType } from '../control/event-destination.ts';
import type { EventMessage } from '../engine/destinations.ts';
import type { MessageRecord, Outcome } from '../engine/items.ts';
import type { FeedPage, Records } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import { messageIdIn } from '../mail/message-id.ts';
import { recordsOf } from '../outcome/apply-suppression.ts';
import type { EventContext } from '../outcome/mail-object.ts';
import type { Clock } from '../time.ts';
import { messagesOf, typeOfOutcome } from './messages.ts';

/** Outcomes read at one time, which grows where few match, and by one call at most. */
const PAGE = { least: 50, most: 500 };
const SCAN = 5_000;
/** Milliseconds between two looks for the end of the feed while somebody waits for more. */
const LOOK = 250;

/** Which events are wanted: those that agree in every given member. */
export interface EventFilter {
  /** Absent: of every tenant. */
  tenant?: string;
  types?: readonly EventType[];
  /** The id of a message, as its sender was answered. */
  messageId?: string;
  /** An address of an event's own recipients, whatever the case of its letters. */
  recipient?: string;
  /** A message tag with one of its values. */
  tag?: { name: string; value: string };
  /** Happened at this time or later, ms since the epoch. */
  from?: number;
  /** Happened before this time. */
  to?: number;
}

/** An event with the cursor behind it. */
export interface PulledEvent {
  cursor: string;
  message: EventMessage;
}

export interface PulledPage {
  /** Oldest first. */
  events: PulledEvent[];
  /** Everything up to here was looked at. */
  cursor: string;
  /** Whether there was more behind the cursor when it was read. */
  more: boolean;
}

/** Events of the past, oldest first, behind a cursor, which is opaque to all but its issuer. */
export interface EventPull {
  /**
   * @param after cursor; absent: the oldest event that is kept. @param max events; a call reads a bounded number of
   * outcomes, so that it may find fewer although there are more.
   * @throws PosternError `invalid_page_token`, or of the storage group, also for a record that this version cannot read.
   */
  page(filter: EventFilter, after: string | undefined, max: number): Promise<PulledPage>;
  /** The cursor behind the newest event. */
  end(): Promise<string>;
  /** Resolves once there is something behind the cursor, or when the signal is aborted; absent: that is polled for. */
  beyond?(cursor: string, signal: AbortSignal): Promise<void>;
}

export interface PullSource {
  records: Pick<Records, 'feed' | 'feedEnd' | 'message'>;
  context: EventContext;
  clock: Clock;
}

/** Events from the outcome feed of this process's own store. */
export class FeedPull implements EventPull {
  readonly #source: PullSource;
  readonly #waiting = new Set<{ cursor: number; done: () => void }>();
  #looking = false;

  constructor(source: PullSource) {
    this.#source = source;
  }

  async end(): Promise<string> {
    return String(await this.#source.records.feedEnd());
  }

  async page(filter: EventFilter, after: string | undefined, max: number): Promise<PulledPage> {
    const { records, context } = this.#source;
    const events: PulledEvent[] = [];
    let cursor = after === undefined ? 0 : placeOf(after);
    let size = Math.min(PAGE.most, Math.max(PAGE.least, max));
    for (let read = 0; read < SCAN; read += size) {
      if (read > 0) size = Math.min(PAGE.most, 2 * size);
      const page = await records.feed(cursor, size);
      for (const { place, messages } of await eventsIn(
        { records, context },
        filter,
        chosenOf(page, filter),
      )) {
        for (const message of messages) events.push({ cursor: String(place), message });
        if (events.length >= max) return { events, cursor: String(place), more: true };
      }
      cursor = page.cursor;
      if (page.outcomes.length < size) return { events, cursor: String(cursor), more: false };
    }
    return { events, cursor: String(cursor), more: true };
  }

  /** One look serves all who wait. */
  async beyond(after: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const cursor = placeOf(after);
    await new Promise<void>((resolve) => {
      const one = {
        cursor,
        done: () => {
          signal.removeEventListener('abort', one.done);
          this.#waiting.delete(one);
          resolve();
        },
      };
      signal.addEventListener('abort', one.done);
      this.#waiting.add(one);
      if (!this.#looking) void this.#look();
    });
  }

  async #look(): Promise<void> {
    const { records, clock } = this.#source;
    this.#looking = true;
    while (this.#waiting.size > 0) {
      // A store that does not answer now is asked again.
      const end = await records.feedEnd().catch(() => 0);
      for (const one of [...this.#waiting]) if (one.cursor < end) one.done();
      if (this.#waiting.size > 0) await new Promise<void>((done) => clock.after(LOOK, done));
    }
    this.#looking = false;
  }
}

/** An outcome with its place in what was read. */
interface Chosen {
  outcome: Outcome;
  place: number;
}

/** The wanted events of chosen outcomes. @throws as `EventPull.page` */
export async function eventsIn(
  { records, context }: { records: Pick<Records, 'message'>; context: EventContext },
  filter: EventFilter,
  chosen: readonly Chosen[],
): Promise<{ place: number; messages: EventMessage[] }[]> {
  const found = await recordsOf(
    records,
    chosen.map(({ outcome }) => outcome),
  );
  return chosen.flatMap(({ outcome, place }) => {
    const record = found.get(outcome.messageId);
    if (!record || !matches(filter, record, outcome)) return [];
    return [{ place, messages: messagesOf(record, outcome, context) }];
  });
}

/** Outcomes of a page that may lead to wanted events, as far as they show without their record. */
export function chosenOf(
  { outcomes, places }: Pick<FeedPage, 'outcomes' | 'places'>,
  { tenant, types, messageId, from, to }: EventFilter,
): Chosen[] {
  const id = messageId === undefined ? undefined : messageIdIn(messageId);
  return outcomes.flatMap((outcome, i) => {
    const type = typeOfOutcome(outcome);
    if (type === undefined || (types && !types.includes(type))) return [];
    if (id !== undefined && outcome.messageId !== id) return [];
    // An open or a click names no tenant: its record does.
    if (tenant !== undefined && outcome.tenant !== '' && outcome.tenant !== tenant) return [];
    if ((from !== undefined && outcome.at < from) || (to !== undefined && outcome.at >= to)) return [];
    return [{ outcome, place: places[i]! }];
  });
}

function matches({ tenant, recipient, tag }: EventFilter, record: MessageRecord, { n }: Outcome): boolean {
  if (tenant !== undefined && record.tenant !== tenant) return false;
  if (tag && !record.tags[tag.name]?.includes(tag.value)) return false;
  if (recipient === undefined) return true;
  const wanted = recipient.toLowerCase();
  const own = n === undefined ? record.recipients : record.recipients.slice(n, n + 1);
  return own.some((address) => address.toLowerCase() === wanted);
}

/** @throws PosternError `invalid_page_token` */
function placeOf(cursor: string): number {
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw new PosternError('invalid_page_token', 'The cursor is not one that this installation gave out.');
}
