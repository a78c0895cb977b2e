/**
 * Sends events where no process follows their destinations: each call brings some, and ends.
 *
 * ```
 *  events ─► closed, or others wait? ─ no ─► sender ─┬─► taken, or refused for good (counted)
 *                 │ yes                              └─► not taken: these, and those behind them ─┐
 *                 └──────────────────────────► backlog ◄──────────────────────────────────────────┘
 *                                                 │  closed for 5 s, 10 s, … an hour while the destination fails
 *                          looked at, when due    ▼
 *                              drain: oldest first ─► sender ─► empty: open again │ not taken: waits on
 * ```
 * A destination that fails costs two calls of its sender at each look, and rows of its own: it holds no queue, and
 * delays no other. Events that are not taken for a day are given up, counted and logged.
 */
import type { EventDestination, EventTarget } from '../control/event-destination.ts';
import type { DestinationSender, EventMessage, SendResult } from '../engine/destinations.ts';
import type { Log } from '../log.ts';
import { type Clock, HOUR } from '../time.ts';
import type { DestinationState, DestinationStates, WaitingEvent } from './destination-state.ts';
import { EVENT_RETRY, type Senders } from './follower.ts';
import type { SendAttempt } from './recent-attempts.ts';
import { sendAll } from './send-all.ts';

/** Events of a backlog read at one time. */
const PAGE = 200;
/** Tries of one call that are kept. */
const KEPT = 20;

/** What became of events, for metrics. */
export interface DeliveredEvents {
  taken: number;
  dropped: number;
  /** Calls that ended because their destination fails. */
  failures: number;
}

export interface EventDeliveryOptions {
  states: DestinationStates;
  senders: Senders;
  clock: Clock;
  log: Pick<Log, 'error'>;
  /** A destination refuses all further events (a webhook answered 410): it is disabled. */
  onGone: (destination: EventDestination, text: string) => Promise<void>;
  onDelivered?: (delivered: DeliveredEvents) => void;
}

type SendFailure = Exclude<SendResult, { kind: 'taken' }>;

interface Sent {
  /** When the first try began, ms since the epoch. */
  begun: number;
  taken: number;
  /** Refused for good, or tried for a day. */
  dropped: number;
  /** Taken or dropped. */
  over: EventMessage[];
  /** To be tried again. */
  left: WaitingEvent[];
  /** Set when the destination fails. */
  failure?: SendFailure;
}

export class EventDelivery {
  readonly #options: EventDeliveryOptions;

  constructor(options: EventDeliveryOptions) {
    this.#options = options;
  }

  /**
   * Sends events, or keeps them: durable when it resolves.
   * @param state as it was read for this call. @param until no try is begun from this time on, ms since the epoch.
   * @throws PosternError of the storage group: all of it may be repeated.
   */
  async deliver(
    destination: EventDestination,
    messages: readonly EventMessage[],
    state: DestinationState,
    until: number,
  ): Promise<void> {
    const { states, clock } = this.#options;
    const { id, enabled } = destination;
    const fresh = messages.map((message): WaitingEvent => ({ message, tries: 0, due: 0 }));
    if (!enabled || state.waiting > 0 || state.closedUntil > clock.now()) {
      await states.keep(id, fresh);
      await states.change(id, (now) => ({ ...now, waiting: now.waiting + fresh.length }));
      await states.look(id, Math.max(state.closedUntil, clock.now()));
      return;
    }
    const sent = await this.#send(destination, fresh, until);
    if (sent.left.length > 0) await states.keep(id, sent.left);
    const { closedUntil } = await this.#settle(destination, sent, sent.left.length);
    if (sent.left.length > 0) await states.look(id, Math.max(closedUntil, clock.now()));
  }

  /**
   * Sends what waits for a destination, if it is due.
   * @returns whether more can be sent at once. @throws PosternError of the storage group.
   */
  async drain(destination: EventDestination, until: number): Promise<boolean> {
    const { states, clock } = this.#options;
    const { id, enabled } = destination;
    const { closedUntil } = await states.get(id);
    if (!enabled || closedUntil > clock.now()) {
      await states.look(id, enabled ? closedUntil : clock.now() + HOUR);
      return false;
    }
    /** Messages of which an event waits on: those behind it wait, too. */
    const held = new Set<string>();
    let last: EventMessage | undefined;
    while (clock.now() < until) {
      const page = await states.waiting(id, PAGE, last);
      last = page.at(-1)?.message;
      if (!last) {
        if (held.size === 0) return !(await this.#emptied(id));
        await states.look(id, clock.now());
        return false;
      }
      const ready = page.filter(({ message: { messageId }, due }) => {
        if (due > clock.now()) held.add(messageId);
        return !held.has(messageId);
      });
      const sent = await this.#send(destination, ready, until);
      for (const { message } of sent.left) held.add(message.messageId);
      const changed = sent.left.filter(({ due }) => due > 0);
      if (changed.length > 0) await states.keep(id, changed);
      await states.remove(id, sent.over);
      const state = await this.#settle(destination, sent, -sent.over.length);
      if (sent.failure) {
        await this.#giveUp(destination, sent.failure.text);
        await states.look(id, state.closedUntil);
        return false;
      }
    }
    await states.look(id, clock.now());
    return true;
  }

  /** @returns whether nothing waits any more. */
  async #emptied(id: string): Promise<boolean> {
    const { states, clock } = this.#options;
    const { replay } = await states.change(id, (now) => ({ ...now, waiting: 0 }));
    // A replay goes on with the looks.
    if (replay || (await states.rest(id))) return true;
    await states.change(id, (now) => ({ ...now, waiting: Math.max(1, now.waiting) }));
    await states.look(id, clock.now());
    return false;
  }

  async #send(
    { id, name, target }: EventDestination,
    events: readonly WaitingEvent[],
    until: number,
  ): Promise<Sent> {
    const { senders, states, clock, log } = this.#options;
    const sender = senders[target.kind] as DestinationSender<EventTarget> | undefined;
    const messages = events.map(({ message }) => message);
    const begun = clock.now();
    const { results, failing } = sender
      ? await sendAll(sender, target, messages, { clock, until })
      : {
          results: messages.map(
            (): SendResult => ({ kind: 'retry', text: `${target.kind}: nothing sends here` }),
          ),
          failing: true,
        };
    const at = clock.now();
    const sent: Sent = { begun, taken: 0, dropped: 0, over: [], left: [] };
    const attempts: SendAttempt[] = [];
    for (const [i, one] of events.entries()) {
      const { message } = one;
      const result = results[i];
      if (!result) {
        sent.left.push(one);
        continue;
      }
      const text = result.kind === 'taken' ? undefined : result.text;
      const { eventType } = message.event;
      const about = { eventId: message.id, eventType, messageId: message.messageId };
      attempts.push({ at, ...about, result: result.kind, ...(text && { text }) });
      if (result.kind === 'taken') sent.taken += 1;
      else if (result.kind === 'refused' || message.at + EVENT_RETRY.maxAge < at) {
        sent.dropped += 1;
        const why = result.kind === 'refused' ? 'refused for good' : 'given up: it was not taken for a day';
        log.error(`an event was ${why}`, { destination: name, event: message.id, text });
      } else {
        const tries = one.tries + 1;
        sent.left.push(failing ? one : { message, tries, due: at + EVENT_RETRY.pause(tries) });
      }
      if (failing && result.kind !== 'taken') sent.failure ??= result;
    }
    const left = new Set(sent.left.map(({ message }) => message));
    sent.over = messages.filter((message) => !left.has(message));
    // Failures before successes: they are what somebody looks for.
    const failed = attempts.filter(({ result }) => result !== 'taken').slice(0, KEPT);
    const taken = attempts
      .filter(({ result }) => result === 'taken')
      .slice(-(KEPT - failed.length) || undefined);
    await states.keepAttempts(id, [...taken, ...failed]);
    return sent;
  }

  /** Stores how a call went. @param waiting events by which the backlog grew. */
  async #settle(
    destination: EventDestination,
    { taken, dropped, failure, begun }: Sent,
    waiting: number,
  ): Promise<DestinationState> {
    const { states, clock, onGone, onDelivered = () => {} } = this.#options;
    const asked = failure?.kind === 'retry' ? (failure.after ?? 0) : 0;
    const state = await states.change(destination.id, ({ lastError, ...now }) => {
      // Calls that were under way together fail together: that is one failure.
      const again = failure && now.closedUntil > begun;
      const failures = failure ? now.failures + (again ? 0 : 1) : taken > 0 ? 0 : now.failures;
      const closedUntil = Math.max(
        again ? now.closedUntil : 0,
        clock.now() + Math.max(asked, EVENT_RETRY.pause(failures)),
      );
      return {
        ...now,
        taken: now.taken + taken,
        dropped: now.dropped + dropped,
        waiting: Math.max(0, now.waiting + waiting),
        failures,
        ...(failures > 0 && { lastError: failure?.text ?? lastError }),
        closedUntil: failure ? closedUntil : failures > 0 ? now.closedUntil : 0,
      };
    });
    onDelivered({ taken, dropped, failures: failure ? 1 : 0 });
    if (failure?.kind === 'gone') await onGone(destination, failure.text);
    return state;
  }

  /** Gives up what a failing destination has not taken for a day, a page at a look. */
  async #giveUp({ id, name }: EventDestination, text: string): Promise<void> {
    const { states, clock, log, onDelivered = () => {} } = this.#options;
    const before = clock.now() - EVENT_RETRY.maxAge;
    for (;;) {
      const page = await states.waiting(id, PAGE);
      const old = page.map(({ message }) => message).filter(({ at }) => at < before);
      if (old.length === 0) return;
      await states.remove(id, old);
      const given = old.length;
      await states.change(id, (now) => ({
        ...now,
        dropped: now.dropped + given,
        waiting: Math.max(0, now.waiting - given),
      }));
      for (const message of old) {
        const about = { destination: name, event: message.id, text };
        log.error('an event was given up: it was not taken for a day', about);
      }
      onDelivered({ taken: 0, dropped: given, failures: 0 });
      if (given < PAGE) return;
    }
  }
}
