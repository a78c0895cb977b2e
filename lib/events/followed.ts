/** One destination that is followed: its window, its sender, what it answered, and what is kept of that. */
import type { EventDestination, EventTarget } from '../control/event-destination.ts';
import type { DestinationSender, SendResult } from '../engine/destinations.ts';
import type { Log } from '../log.ts';
import type { Clock } from '../time.ts';
import type { EndpointWindow, PendingEvent, WindowState } from './endpoint-window.ts';
import { RecentAttempts, type SendAttempt } from './recent-attempts.ts';

/** Events of the past that are sent once more: those that happened from `from` on, before `to`. */
export interface Replay {
  /** Outcomes up to this place were looked at. */
  cursor: number;
  /** The replay ends at this place of the feed. */
  end: number;
  from: number;
  to: number;
}

/** What is kept of a destination. */
export interface FollowedState extends WindowState {
  replay?: Replay;
}

/** How a destination stands, for metrics and people. */
export interface DestinationHealth {
  id: string;
  /** Events that it has not taken yet, as far as they were read. */
  held: number;
  taken: number;
  /** Events that were given up, since the destination was made. */
  dropped: number;
  /** Failed tries since the last success, and the words of the last one. */
  failures: number;
  lastError?: string;
  /** When the oldest event that it has not taken happened, ms since the epoch. */
  oldest?: number;
  replaying: boolean;
}

export interface FollowedOptions {
  clock: Clock;
  log: Pick<Log, 'error'>;
  onGone: (destination: EventDestination, text: string) => void;
}

export class Followed {
  destination: EventDestination;
  replay: Replay | undefined;
  changed = false;
  taken = 0;
  readonly window: EndpointWindow;
  readonly attempts: RecentAttempts;
  readonly #options: FollowedOptions;
  #lastError: string | undefined;

  constructor(
    destination: EventDestination,
    window: EndpointWindow,
    attempts: readonly SendAttempt[],
    options: FollowedOptions,
  ) {
    this.destination = destination;
    this.window = window;
    this.attempts = new RecentAttempts(attempts);
    this.#options = options;
  }

  state(): FollowedState {
    return { ...this.window.state(), ...(this.replay && { replay: this.replay }) };
  }

  health(): DestinationHealth {
    const { window, taken, replay } = this;
    return {
      id: this.destination.id,
      held: window.held,
      taken,
      dropped: window.dropped,
      failures: window.failures,
      ...(this.#lastError !== undefined && { lastError: this.#lastError }),
      ...(window.held > 0 && { oldest: window.oldest() }),
      replaying: replay !== undefined,
    };
  }

  /** The next batch that may be sent now; empty when there is none. */
  batch(most: number): PendingEvent[] {
    const now = this.#options.clock.now();
    const batch: PendingEvent[] = [];
    while (batch.length < most) {
      const event = this.window.next(now);
      if (!event) break;
      batch.push(event);
    }
    return batch;
  }

  async send(sender: DestinationSender<EventTarget>, batch: readonly PendingEvent[]): Promise<void> {
    const results = await sender.send(
      this.destination.target,
      batch.map(({ message }) => message),
    );
    for (const [i, event] of batch.entries()) this.#settle(event, results[i]!);
    this.changed = true;
    if (this.window.failures === 0) this.#lastError = undefined;
  }

  #settle(event: PendingEvent, result: SendResult): void {
    const { window, destination } = this;
    const { clock, log, onGone } = this.#options;
    const { id, messageId, event: content } = event.message;
    const now = clock.now();
    const text = result.kind === 'taken' ? undefined : result.text;
    const { eventType } = content;
    this.attempts.add({
      at: now,
      eventId: id,
      eventType,
      messageId,
      result: result.kind,
      ...(text && { text }),
    });
    if (result.kind === 'taken') {
      this.taken += 1;
      window.done(event);
      return;
    }
    this.#lastError = text;
    const about = { destination: destination.name, event: id, text };
    if (result.kind === 'refused') {
      window.drop(event);
      log.error('an event was refused for good by its destination', about);
    } else if (result.kind === 'gone') {
      window.retry(event, now);
      onGone(destination, result.text);
    } else if (!window.retry(event, now, result.after)) {
      log.error('an event was given up: its destination did not take it for a day', about);
    }
  }
}
