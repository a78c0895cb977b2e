/**
 * What one endpoint has not yet taken: a bounded window over the outcome feed. Pure: no I/O, time comes in.
 *
 * ```
 *            add                    next                     done
 *  feed ───────────► waiting ──────────────► sending ─────────────────► gone
 *                       ▲                       │ retry, before its end     ▲
 *                       └────── after a pause ──┤                           │
 *                                               └ retry, after its end ─────┘ dropped, counted
 * ```
 * Events of one message leave one after the other: while one is being sent or waits for another try, those
 * behind it wait, too. A failing endpoint gets one event at a time, with growing pauses, so that a dead
 * endpoint costs one connection; the first success opens it again.
 */

import type { EventMessage } from '../engine/destinations.ts';

/** One event on its way to one endpoint. */
export interface PendingEvent {
  readonly message: EventMessage;
  /** Place of its outcome in the feed. */
  readonly seq: number;
  /** Tries made so far. */
  tries: number;
  /** Not before this time, ms since the epoch. */
  due: number;
}

/** What survives a restart: everything before `cursor` is done, except what `pending` names. */
export interface WindowState {
  cursor: number;
  pending: Pick<PendingEvent, 'seq' | 'tries' | 'due'>[];
  /** Events that were given up since the endpoint was made. */
  dropped: number;
}

export interface WindowOptions {
  /** Events held at most. */
  size: number;
  /** Events under way at most while the endpoint answers. */
  concurrency: number;
  /** How long an event is tried, ms after it happened. */
  maxAge: number;
  /** Pause of an event after its n-th failed try (1 for the first), ms. */
  pause: (tries: number) => number;
  /** Pause of the endpoint after its n-th failure in a row, ms; absent: as that of an event. */
  rest?: (failures: number) => number;
}

export class EndpointWindow {
  /** Outcomes up to this place of the feed are done or in this window. */
  cursor: number;
  /** Events under way at most while the endpoint answers. */
  concurrency: number;
  dropped: number;
  readonly #options: WindowOptions;
  /** By message, in the order of the feed. The first of each may be sent; the others wait for it. */
  readonly #queues = new Map<string, PendingEvent[]>();
  /** Messages of which no event is under way, in the order in which they came, or came back. */
  readonly #free = new Set<string>();
  readonly #sending = new Set<PendingEvent>();
  #held = 0;
  /** Failures since the last success. */
  #failures = 0;
  #closedUntil = 0;

  constructor(options: WindowOptions, state: Omit<WindowState, 'pending'> = { cursor: 0, dropped: 0 }) {
    this.#options = options;
    this.concurrency = options.concurrency;
    this.cursor = state.cursor;
    this.dropped = state.dropped;
  }

  /** Events that may still be added. */
  get room(): number {
    return this.#options.size - this.#held;
  }

  get held(): number {
    return this.#held;
  }

  get underWay(): number {
    return this.#sending.size;
  }

  /** Failed tries since the last success. */
  get failures(): number {
    return this.#failures;
  }

  add(event: PendingEvent): void {
    const { messageId } = event.message;
    const queue = this.#queues.get(messageId);
    if (queue) queue.push(event);
    else {
      this.#queues.set(messageId, [event]);
      this.#free.add(messageId);
    }
    this.#held += 1;
  }

  /** The next event that may be sent now; it is under way until `done` or `retry`. */
  next(now: number): PendingEvent | undefined {
    if (now < this.#closedUntil) return undefined;
    const most = this.#failures > 0 ? 1 : this.concurrency;
    if (this.#sending.size >= most) return undefined;
    for (const messageId of this.#free) {
      const head = this.#queues.get(messageId)![0]!;
      if (head.due > now) continue;
      this.#free.delete(messageId);
      this.#sending.add(head);
      return head;
    }
    return undefined;
  }

  /** When `next` may have something, ms since the epoch; undefined while nothing waits for a time. */
  nextTime(): number | undefined {
    let least: number | undefined;
    for (const messageId of this.#free) {
      const { due } = this.#queues.get(messageId)![0]!;
      if (least === undefined || due < least) least = due;
    }
    return least === undefined ? undefined : Math.max(least, this.#closedUntil);
  }

  /** When the oldest event that is held happened, ms since the epoch. */
  oldest(): number | undefined {
    let oldest: number | undefined;
    for (const [head] of this.#queues.values()) {
      if (head && (oldest === undefined || head.message.at < oldest)) oldest = head.message.at;
    }
    return oldest;
  }

  /** The endpoint took it. */
  done(event: PendingEvent): void {
    this.#failures = 0;
    this.#closedUntil = 0;
    this.#remove(event);
  }

  /**
   * Handles an event that the endpoint did not accept.
   * @param after delay that the endpoint requested (Retry-After), ms.
   * @returns whether it is tried again; otherwise it was dropped, and counted.
   */
  retry(event: PendingEvent, now: number, after = 0): boolean {
    this.#failures += 1;
    event.tries += 1;
    const { pause: pauseOf, rest = pauseOf } = this.#options;
    const pause = Math.max(after, pauseOf(event.tries));
    // The pause of the endpoint grows with its failures, whichever event met them.
    this.#closedUntil = now + Math.max(after, rest(this.#failures));
    if (now + pause > event.message.at + this.#options.maxAge && event.tries > 1) {
      this.dropped += 1;
      this.#remove(event);
      return false;
    }
    event.due = now + pause;
    this.#sending.delete(event);
    this.#free.add(event.message.messageId);
    return true;
  }

  /** The event can never be taken (the endpoint refuses it for good, or its message is gone). */
  drop(event: PendingEvent): void {
    this.dropped += 1;
    this.#remove(event);
  }

  /** What to keep, so that a restart repeats nothing that was done. */
  state(): WindowState {
    const pending: WindowState['pending'] = [];
    for (const queue of this.#queues.values()) {
      for (const { seq, tries, due } of queue) pending.push({ seq, tries, due });
    }
    pending.sort((a, b) => a.seq - b.seq);
    return { cursor: this.cursor, pending, dropped: this.dropped };
  }

  #remove(event: PendingEvent): void {
    const { messageId } = event.message;
    this.#sending.delete(event);
    const queue = this.#queues.get(messageId);
    const place = queue?.indexOf(event) ?? -1;
    if (!queue || place < 0) return;
    queue.splice(place, 1);
    this.#free.delete(messageId);
    if (queue.length === 0) this.#queues.delete(messageId);
    else this.#free.add(messageId);
    this.#held -= 1;
  }
}
