/**
 * Follows the outcome feed and sends events to their destinations.
 *
 * ```
 *  feed ──► pages ──► events ──► window of each destination ──► its sender ──► taken | retried | dropped, counted
 *             ▲                        │ full: the destination falls behind
 *             └── its own cursor ◄─────┘ and reads the feed later, from where it stopped
 * ```
 * A destination that is down holds one window and one cursor: it delays no other and fills no disk, because what it
 * has not seen stays in the feed, which is there anyway. Windows and cursors are saved about once a second: after a
 * crash at most the events of that second come again, with the same ids.
 */
import type { DestinationSender, EventMessage, SendResult } from '../engine/destinations.ts';
import type { MessageRecord, Outcome } from '../engine/items.ts';
import type { FeedPage, Leases, Records } from '../engine/ports.ts';
import type { Log } from '../log.ts';
import { recordsOf } from '../outcome/apply-suppression.ts';
import { feedbackId, sesEvents } from '../outcome/events.ts';
import type { EventContext } from '../outcome/mail-object.ts';
import type { Clock } from '../time.ts';
import { type Destination, type EventType, type Target, type TargetKind, takes } from './destination.ts';
import {
  EndpointWindow,
  type PendingEvent,
  type WindowOptions,
  type WindowState,
} from './endpoint-window.ts';

/** Outcomes read at one time. */
const PAGE = 500;
/** Milliseconds to the next look at a feed that had nothing new. */
const IDLE = 250;
/** Milliseconds between two savings of what changed. */
const SAVE = 1_000;
/** Checkpoint of the place up to which the feed was read. */
const FEED = 'events';

/** An event is tried for a day: 5 s, 10 s, … up to an hour between tries. */
export const EVENT_RETRY: WindowOptions = {
  size: 1_000,
  concurrency: 8,
  maxAge: 86_400_000,
  pause: (tries) => Math.min(3_600_000, 5_000 * 2 ** (tries - 1)),
};

export interface FollowerOptions {
  records: Pick<Records, 'feed' | 'message'>;
  leases: Pick<Leases, 'checkpoint' | 'saveCheckpoint'>;
  /** The destinations as they are now. */
  destinations: () => readonly Destination[];
  senders: { readonly [K in TargetKind]?: DestinationSender<Extract<Target, { kind: K }>> };
  context: EventContext;
  clock: Clock;
  log: Log;
  /** A destination wants no more events (a webhook answered 410). */
  onGone?: (destination: Destination, text: string) => void;
  window?: WindowOptions;
}

/** How a destination stands, for metrics and people. */
export interface DestinationHealth {
  id: string;
  /** Outcomes up to this place of the feed were read for it. */
  cursor: number;
  /** Events that it has not taken yet, as far as they were read. */
  held: number;
  taken: number;
  dropped: number;
  /** Failed tries since the last success, and the words of the last one. */
  failures: number;
  lastError?: string;
}

interface Followed {
  destination: Destination;
  window: EndpointWindow;
  taken: number;
  changed: boolean;
  lastError?: string;
}

export interface Follower {
  health(): DestinationHealth[];
  /** Resolves when nothing is being sent and everything is saved. */
  stop(): Promise<void>;
}

export async function startFollower(options: FollowerOptions): Promise<Follower> {
  const follower = new FeedFollower(options);
  await follower.open();
  return follower;
}

class FeedFollower implements Follower {
  readonly #options: FollowerOptions;
  readonly #window: WindowOptions;
  readonly #followed = new Map<string, Followed>();
  #cursor = 0;
  #saved = -1;
  #stopped = false;
  #wake = (): void => {};
  #running: Promise<void> = Promise.resolve();
  readonly #sending = new Set<Promise<void>>();

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#window = options.window ?? EVENT_RETRY;
  }

  async open(): Promise<void> {
    this.#cursor = ((await this.#options.leases.checkpoint(FEED)) as number | undefined) ?? 0;
    this.#saved = this.#cursor;
    this.#running = this.#run();
  }

  health(): DestinationHealth[] {
    return Array.from(this.#followed.values(), ({ destination, window, taken, lastError }) => ({
      id: destination.id,
      cursor: window.cursor,
      held: window.held,
      taken,
      dropped: window.dropped,
      failures: window.failures,
      ...(lastError !== undefined && { lastError }),
    }));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#running;
    await Promise.all(this.#sending);
    await this.#save().catch((error: unknown) => this.#failed(error));
  }

  async #run(): Promise<void> {
    let savedAt = this.#options.clock.now();
    while (!this.#stopped) {
      let more = false;
      try {
        await this.#follow();
        more = await this.#read();
        this.#send();
        if (this.#options.clock.now() - savedAt >= SAVE) {
          await this.#save();
          savedAt = this.#options.clock.now();
        }
      } catch (error) {
        this.#failed(error);
      }
      if (!more) await this.#sleep();
    }
  }

  #failed(error: unknown): void {
    this.#options.log.error('events cannot be followed; this is tried again', { error });
  }

  /** Until something was sent, or waits no longer, or the feed may have more. */
  #sleep(): Promise<void> {
    const { clock } = this.#options;
    return new Promise((done) => {
      const cancel = clock.after(IDLE, done);
      this.#wake = () => {
        cancel();
        done();
      };
      if (this.#stopped) this.#wake();
    });
  }

  /** Opens a window for each destination that is new here, and closes those that are gone. */
  async #follow(): Promise<void> {
    const wanted = new Map(this.#options.destinations().map((destination) => [destination.id, destination]));
    for (const id of this.#followed.keys()) if (!wanted.has(id)) this.#followed.delete(id);
    for (const [id, destination] of wanted) {
      const known = this.#followed.get(id);
      if (known) known.destination = destination;
      else this.#followed.set(id, await this.#open(destination));
    }
  }

  async #open(destination: Destination): Promise<Followed> {
    const { records, leases } = this.#options;
    const state = (await leases.checkpoint(checkpointOf(destination.id))) as WindowState | undefined;
    const window = new EndpointWindow(this.#window, state ?? { cursor: this.#cursor, dropped: 0 });
    // Where a new destination begins is on record before anything is read for it: a crash loses none of it.
    if (!state) await leases.saveCheckpoint(checkpointOf(destination.id), window.state());
    for (const { seq, tries, due } of state?.pending ?? []) {
      const page = await records.feed(seq - 1, 1);
      // The message may have been pruned meanwhile.
      if (page.places[0] !== seq) continue;
      for (const message of await this.#events(page, 0)) window.add({ message, seq, tries, due });
    }
    return { destination, window, taken: 0, changed: false };
  }

  /** Reads one page for the destinations that are furthest behind and have room. @returns whether there may be more. */
  async #read(): Promise<boolean> {
    const ready = [...this.#followed.values()].filter(({ window }) => window.room >= PAGE);
    const after = ready.reduce((least, { window }) => Math.min(least, window.cursor), this.#cursor);
    const readers = ready.filter(({ window }) => window.cursor === after);
    const leads = after === this.#cursor;
    if (readers.length === 0 && !leads) return false;
    // With all windows full the feed goes on being read by nobody: the destinations fall behind together.
    if (readers.length === 0 && this.#followed.size > 0) return false;
    const page = await this.#options.records.feed(after, PAGE);
    if (page.outcomes.length === 0) return false;
    const wanted = new Set(
      readers.flatMap(({ destination }) => (destination.enabled ? destination.types : [])),
    );
    const messages = await this.#events(page, undefined, wanted);
    const now = this.#options.clock.now();
    for (const one of readers) {
      for (const message of messages) {
        if (takes(one.destination, message))
          one.window.add({ message, seq: message.place, tries: 0, due: now });
      }
      one.window.cursor = page.cursor;
      one.changed = true;
    }
    if (leads) this.#cursor = page.cursor;
    return page.outcomes.length === PAGE;
  }

  /** The events of a page, or of one outcome of it. Outcomes whose type nobody wants cost no look at their record. */
  async #events(
    page: FeedPage,
    only?: number,
    wanted?: ReadonlySet<EventType>,
  ): Promise<(EventMessage & { place: number })[]> {
    const { records, context } = this.#options;
    const chosen = page.outcomes
      .map((outcome, i) => ({ outcome, place: page.places[i]! }))
      .filter(({ outcome }, i) => (only === undefined || i === only) && (!wanted || mayBe(outcome, wanted)));
    const found = await recordsOf(
      records,
      chosen.map(({ outcome }) => outcome),
      (messageId, error) =>
        this.#options.log.error('an event is lost: its record is unreadable', { messageId, error }),
    );
    return chosen.flatMap(({ outcome, place }) => {
      const record = found.get(outcome.messageId);
      return record ? messagesOf(record, outcome, context).map((message) => ({ ...message, place })) : [];
    });
  }

  #send(): void {
    for (const followed of this.#followed.values()) {
      const { destination, window } = followed;
      const sender = this.#options.senders[destination.target.kind] as DestinationSender<Target> | undefined;
      if (!sender || !destination.enabled) continue;
      for (;;) {
        const now = this.#options.clock.now();
        const batch: PendingEvent[] = [];
        while (batch.length < sender.batch) {
          const event = window.next(now);
          if (!event) break;
          batch.push(event);
        }
        if (batch.length === 0) break;
        const sent = this.#sendBatch(followed, sender, batch).finally(() => {
          this.#sending.delete(sent);
          this.#wake();
        });
        this.#sending.add(sent);
      }
    }
  }

  async #sendBatch(
    followed: Followed,
    sender: DestinationSender<Target>,
    batch: PendingEvent[],
  ): Promise<void> {
    const { destination, window } = followed;
    const results = await sender.send(
      destination.target,
      batch.map(({ message }) => message),
    );
    for (const [i, event] of batch.entries()) this.#settle(followed, event, results[i]!);
    followed.changed = true;
    if (window.failures === 0) followed.lastError = undefined;
  }

  #settle(followed: Followed, event: PendingEvent, result: SendResult): void {
    const { destination, window } = followed;
    const { log, clock, onGone } = this.#options;
    if (result.kind === 'taken') {
      followed.taken += 1;
      window.done(event);
      return;
    }
    followed.lastError = result.text;
    const about = { destination: destination.name, event: event.message.id, text: result.text };
    if (result.kind === 'refused') {
      window.drop(event);
      log.error('an event was refused for good by its destination', about);
    } else if (result.kind === 'gone') {
      window.retry(event, clock.now());
      onGone?.(destination, result.text);
    } else if (!window.retry(event, clock.now(), result.after)) {
      log.error('an event was given up: its destination did not take it for a day', about);
    }
  }

  /** A window is saved before the cursor of the feed: a crash in between repeats, and loses nothing. */
  async #save(): Promise<void> {
    const { leases } = this.#options;
    for (const [id, followed] of this.#followed) {
      if (!followed.changed) continue;
      followed.changed = false;
      try {
        await leases.saveCheckpoint(checkpointOf(id), followed.window.state());
      } catch (error) {
        followed.changed = true;
        throw error;
      }
    }
    if (this.#cursor === this.#saved) return;
    await leases.saveCheckpoint(FEED, this.#cursor);
    this.#saved = this.#cursor;
  }
}

function checkpointOf(id: string): string {
  return `events/${id}`;
}

/** The events of an outcome, ready to leave. */
export function messagesOf(record: MessageRecord, outcome: Outcome, context: EventContext): EventMessage[] {
  return sesEvents(record, outcome, context).map((event) => ({
    id: feedbackId(outcome),
    tenant: record.tenant,
    configurationSet: record.configurationSet,
    messageId: record.id,
    at: outcome.at,
    event,
    json: JSON.stringify(event),
  }));
}

const KINDS: Readonly<Record<Exclude<Outcome['kind'], 'attempt'>, readonly EventType[]>> = {
  accepted: ['SEND'],
  bounce: ['BOUNCE'],
  complaint: ['COMPLAINT'],
  open: ['OPEN'],
  click: ['CLICK'],
  'rendering-failure': ['RENDERING_FAILURE'],
  reject: ['REJECT'],
  cancelled: [],
};

/** Whether an outcome may lead to an event of these types. */
function mayBe({ kind, attempt }: Outcome, types: ReadonlySet<EventType>): boolean {
  if (kind !== 'attempt') return KINDS[kind].some((type) => types.has(type));
  const { state } = attempt!;
  return types.has(state === 'delivered' ? 'DELIVERY' : state === 'deferred' ? 'DELIVERY_DELAY' : 'BOUNCE');
}
