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
import type { EventDestination, EventTarget, EventType, TargetKind } from '../control/event-destination.ts';
import type { DestinationSender } from '../engine/destinations.ts';
import type { Leases, Records } from '../engine/ports.ts';
import type { Log } from '../log.ts';
import type { EventContext } from '../outcome/mail-object.ts';
import { type Clock, DAY, HOUR } from '../time.ts';
import { takenBy } from './destination.ts';
import { EndpointWindow, type WindowOptions } from './endpoint-window.ts';
import { type DestinationHealth, Followed, type FollowedState } from './followed.ts';
import { eventsOf, typeOfOutcome } from './messages.ts';
import type { SendAttempt } from './recent-attempts.ts';

/** Outcomes read at one time. */
const PAGE = 500;
/** Milliseconds to the next look at a feed that had nothing new. */
const IDLE = 250;
/** Milliseconds between two savings of windows, and of recent attempts. */
const SAVE = 1_000;
const SAVE_ATTEMPTS = 10_000;
/** Checkpoint of the place up to which the feed was read. */
const FEED = 'events';

const checkpointOf = (id: string): string => `events/${id}`;
const attemptsOf = (id: string): string => `events/${id}/attempts`;

/** An event is tried for a day: 5 s, 10 s, … up to an hour between tries. */
export const EVENT_RETRY: WindowOptions = {
  size: 2_000,
  concurrency: 16,
  maxAge: DAY,
  pause: (tries) => Math.min(HOUR, 5_000 * 2 ** (tries - 1)),
};

export type Senders = { readonly [K in TargetKind]?: DestinationSender<Extract<EventTarget, { kind: K }>> };

export interface FollowerOptions {
  records: Pick<Records, 'feed' | 'message'>;
  leases: Pick<Leases, 'checkpoint' | 'saveCheckpoint'>;
  /** The destinations as they are now. */
  destinations: () => readonly EventDestination[];
  senders: Senders;
  context: EventContext;
  clock: Clock;
  log: Log;
  /** A destination refuses all further events (a webhook answered 410). */
  onGone?: (destination: EventDestination, text: string) => void;
  window?: WindowOptions;
}

export interface Follower {
  health(): DestinationHealth[];
  /** The last tries at a destination, newest last; undefined for one that is not followed. */
  attempts(id: string): SendAttempt[] | undefined;
  /** Sends what happened from `from` on, before `to`, once more, with the same ids. @returns false: not followed. */
  replay(id: string, from: number, to: number): boolean;
  /** Resolves when nothing is being sent and everything is saved. */
  stop(): Promise<void>;
}

export async function startFollower(options: FollowerOptions): Promise<Follower> {
  const cursor = (await options.leases.checkpoint(FEED)) as number | undefined;
  return new FeedFollower(options, cursor ?? 0);
}

class FeedFollower implements Follower {
  readonly #options: FollowerOptions;
  readonly #window: WindowOptions;
  readonly #followed = new Map<string, Followed>();
  readonly #sending = new Set<Promise<void>>();
  readonly #running: Promise<void>;
  #cursor: number;
  #savedCursor: number;
  #stopped = false;
  /** Whether the feed has more than the windows had room for: then room that comes is used at once. */
  #behind = false;
  #wake = (): void => {};

  constructor(options: FollowerOptions, cursor: number) {
    this.#options = options;
    this.#window = options.window ?? EVENT_RETRY;
    this.#cursor = cursor;
    this.#savedCursor = cursor;
    this.#running = this.#run();
  }

  health(): DestinationHealth[] {
    return Array.from(this.#followed.values(), (one) => one.health());
  }

  attempts(id: string): SendAttempt[] | undefined {
    return this.#followed.get(id)?.attempts.list();
  }

  replay(id: string, from: number, to: number): boolean {
    const followed = this.#followed.get(id);
    if (!followed) return false;
    followed.replay = { cursor: 0, end: followed.window.cursor, from, to };
    followed.changed = true;
    this.#wake();
    return true;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#running;
    await Promise.all(this.#sending);
    await this.#save(true).catch((error: unknown) => this.#failed(error));
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    let saved = clock.now();
    let savedAttempts = saved;
    while (!this.#stopped) {
      let more = false;
      try {
        await this.#follow();
        more = (await this.#replay()) || (await this.#read());
        for (const followed of this.#followed.values()) this.#send(followed);
        const now = clock.now();
        if (now - saved >= SAVE) {
          const attempts = now - savedAttempts >= SAVE_ATTEMPTS;
          await this.#save(attempts);
          saved = now;
          if (attempts) savedAttempts = now;
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

  /** Until a window has room again, or the feed may have more. */
  #sleep(): Promise<void> {
    return new Promise((done) => {
      const cancel = this.#options.clock.after(IDLE, done);
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

  async #open(destination: EventDestination): Promise<Followed> {
    const { records, leases, clock, log, onGone = () => {} } = this.#options;
    const { id } = destination;
    const state = (await leases.checkpoint(checkpointOf(id))) as FollowedState | undefined;
    const attempts = (await leases.checkpoint(attemptsOf(id))) as SendAttempt[] | undefined;
    const window = new EndpointWindow(this.#window, state ?? { cursor: this.#cursor, dropped: 0 });
    const followed = new Followed(destination, window, attempts ?? [], { clock, log, onGone });
    followed.replay = state?.replay;
    // Where a new destination begins is on record before anything is read for it: a crash loses none of it.
    if (!state) await leases.saveCheckpoint(checkpointOf(id), followed.state());
    for (const { seq, tries, due } of state?.pending ?? []) {
      const page = await records.feed(seq - 1, 1);
      // The message may have been pruned meanwhile.
      if (page.places[0] !== seq) continue;
      for (const { message } of await eventsOf(this.#options, page, () => true)) {
        window.add({ message, seq, tries, due });
      }
    }
    return followed;
  }

  /** Reads one page for the destinations that are furthest behind and have room. @returns whether there may be more. */
  async #read(): Promise<boolean> {
    const ready = [...this.#followed.values()].filter(({ window }) => window.room >= PAGE);
    this.#behind = ready.length < this.#followed.size;
    // Without destinations the feed costs nothing: one that is made later takes what happened since it was made.
    if (ready.length === 0) return false;
    const after = ready.reduce((least, { window }) => Math.min(least, window.cursor), this.#cursor);
    const readers = ready.filter(({ window }) => window.cursor === after);
    const page = await this.#options.records.feed(after, PAGE);
    if (page.outcomes.length === 0) return false;
    const wanted = new Set<EventType | undefined>(
      readers.flatMap(({ destination }) => (destination.enabled ? destination.types : [])),
    );
    const since = Math.min(...readers.map(({ destination }) => destination.createdAt));
    const events = await eventsOf(
      this.#options,
      page,
      (outcome) => outcome.at >= since && wanted.has(typeOfOutcome(outcome)),
    );
    const due = this.#options.clock.now();
    for (const one of readers) {
      for (const { message, place: seq } of events) {
        const isNew = message.at >= one.destination.createdAt;
        const taken = isNew ? takenBy(one.destination, message) : undefined;
        if (taken) one.window.add({ message: taken, seq, tries: 0, due });
      }
      one.window.cursor = page.cursor;
      one.changed = true;
    }
    if (after === this.#cursor) this.#cursor = page.cursor;
    return page.outcomes.length === PAGE;
  }

  /** Reads one page of the past for a destination that is sent it once more. @returns whether there may be more. */
  async #replay(): Promise<boolean> {
    for (const one of this.#followed.values()) {
      const { replay, window, destination } = one;
      if (!replay || window.room < PAGE) continue;
      const { from, to } = replay;
      const page = await this.#options.records.feed(replay.cursor, PAGE);
      const types = new Set<EventType | undefined>(destination.types);
      const events = await eventsOf(
        this.#options,
        page,
        (outcome) => outcome.at >= from && outcome.at < to && types.has(typeOfOutcome(outcome)),
      );
      const due = this.#options.clock.now();
      for (const { message, place: seq } of events) {
        const taken = seq <= replay.end ? takenBy(destination, message) : undefined;
        // A replay that was requested after a day is tried for a day, too.
        if (taken) window.add({ message: { ...taken, at: Math.max(taken.at, due) }, seq, tries: 0, due });
      }
      replay.cursor = page.cursor;
      if (page.outcomes.length === 0 || page.cursor >= replay.end) one.replay = undefined;
      one.changed = true;
      return true;
    }
    return false;
  }

  /** Begins the calls that a destination may take now; each that ends begins the next. */
  #send(followed: Followed): void {
    const { window, destination } = followed;
    const { target, enabled, id } = destination;
    const sender = this.#options.senders[target.kind] as DestinationSender<EventTarget> | undefined;
    if (!sender || !enabled || this.#stopped || this.#followed.get(id) !== followed) return;
    window.concurrency = this.#window.concurrency * sender.batch;
    for (let batch = followed.batch(sender.batch); batch.length > 0; batch = followed.batch(sender.batch)) {
      const sent = followed.send(sender, batch).finally(() => {
        this.#sending.delete(sent);
        this.#send(followed);
        // Else the next look is soon enough: many events then cost one read, and a file one sync.
        if (this.#behind && window.room >= PAGE) this.#wake();
      });
      this.#sending.add(sent);
    }
  }

  /** A window is saved before the cursor of the feed: a crash in between repeats, and loses nothing. */
  async #save(attempts: boolean): Promise<void> {
    const { leases } = this.#options;
    for (const [id, followed] of this.#followed) {
      if (attempts && followed.attempts.changed) {
        followed.attempts.changed = false;
        await leases.saveCheckpoint(attemptsOf(id), followed.attempts.list());
      }
      if (!followed.changed) continue;
      followed.changed = false;
      try {
        await leases.saveCheckpoint(checkpointOf(id), followed.state());
      } catch (error) {
        followed.changed = true;
        throw error;
      }
    }
    if (this.#cursor === this.#savedCursor) return;
    await leases.saveCheckpoint(FEED, this.#cursor);
    this.#savedCursor = this.#cursor;
  }
}
