/**
 * What is stored of a destination where no process follows it: how it stands, the events that it has not taken, the
 * last tries. Rows of these kinds:
 *
 * | kind | partition | key | value |
 * |---|---|---|---|
 * | `event-destination` | its id | `state` | `DestinationState` |
 * | `event-backlog` | its id | time, id of the event | an event that waits |
 * | `event-attempt` | its id | time, chance | tries of one call |
 * | `event-test` | its id | nonce | the answer to a test |
 * | `event-due` | `all` | its id | when it is looked at again |
 *
 * A backlog always has its row of `event-due`: who appends writes that row afterwards, and who empties the backlog
 * removes it first and looks once more.
 */
import type { EventMessage, SendResult } from '../engine/destinations.ts';
import type { Rows } from '../engine/ports.ts';
import type { Row } from '../engine/rows.ts';
import { PosternError } from '../errors.ts';
import { type Clock, DAY, HOUR, type Random } from '../time.ts';
import type { SendAttempt } from './recent-attempts.ts';
import { KEPT_ATTEMPTS, shortened } from './recent-attempts.ts';

/** How a destination stands. */
export interface DestinationState {
  taken: number;
  /** Events that were given up, or refused for good. */
  dropped: number;
  /** Failed calls since the last success, and the words of the last one. */
  failures: number;
  lastError?: string;
  /** Nothing is sent before this time, ms since the epoch. */
  closedUntil: number;
  /** Events in the backlog. While there are any, those that come go behind them. */
  waiting: number;
  /** Events of the past that are sent once more. */
  replay?: StoredReplay;
}

export interface StoredReplay {
  /** Events that happened from here on, before `to`, ms since the epoch. */
  from: number;
  to: number;
  requestedAt: number;
  /** How far the index of events was read. */
  cursor?: string;
}

/** An event as it is stored and queued: its JSON is made again. */
export type StoredEvent = Omit<EventMessage, 'json'>;

/** An event that waits. */
export interface WaitingEvent {
  message: EventMessage;
  /** Tries of its own, at which its destination took others. */
  tries: number;
  /** Not before this time, ms since the epoch. */
  due: number;
}

const NEW: DestinationState = { taken: 0, dropped: 0, failures: 0, closedUntil: 0, waiting: 0 };
/** Rows that nobody removed: of a destination that was deleted, or is disabled for long. */
const FORGOTTEN = 14 * DAY;
const ATTEMPTS_KEPT = 3 * DAY;
/** How often a change is begun anew because another call made one. */
const TRIES = 12;
/** Rows of tries that may be read for the last hundred. */
const ATTEMPT_ROWS = 100;
/** Rows of one call. */
const CALL = 500;
const BACKLOG = 'event-backlog';
const DUE = { kind: 'event-due', partition: 'all' };

export function storedEvent({ json: _json, ...event }: EventMessage): StoredEvent {
  return event;
}

export function readEvent(stored: StoredEvent): EventMessage {
  return { ...stored, json: JSON.stringify(stored.event) };
}

export class DestinationStates {
  readonly #rows: Rows;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(rows: Rows, clock: Clock, random: Random) {
    this.#rows = rows;
    this.#clock = clock;
    this.#random = random;
  }

  async get(id: string): Promise<DestinationState> {
    const [row] = await this.#rows.get([stateKey(id)]);
    return (row?.value as DestinationState | undefined) ?? NEW;
  }

  /** In the order of the ids. */
  async getAll(ids: readonly string[]): Promise<DestinationState[]> {
    const rows = ids.length === 0 ? [] : await this.#rows.get(ids.map(stateKey));
    return rows.map((row) => (row?.value as DestinationState | undefined) ?? NEW);
  }

  /** Changes the state of a destination, whoever else does at the same time. */
  async change(id: string, by: (state: DestinationState) => DestinationState): Promise<DestinationState> {
    for (let tries = 0; ; tries += 1) {
      const [row] = await this.#rows.get([stateKey(id)]);
      const state = by((row?.value as DestinationState | undefined) ?? NEW);
      try {
        await this.#rows.change({ ...stateKey(id), value: state }, row?.version ?? 0);
        return state;
      } catch (error) {
        if (tries === TRIES || !(error instanceof PosternError) || error.code !== 'config_conflict')
          throw error;
        await new Promise<void>((done) => this.#clock.after(this.#random() * 20 * (tries + 1), done));
      }
    }
  }

  /** Puts events into the backlog, or changes them there: durable when it resolves. */
  async keep(id: string, events: readonly WaitingEvent[]): Promise<void> {
    const rows = events.map(({ message, tries, due }) => ({
      ...backlogKey(id, message),
      value: { event: storedEvent(message), tries, due },
      expiresAt: this.#clock.now() + FORGOTTEN,
    }));
    for (let at = 0; at < rows.length; at += CALL) await this.#rows.put(rows.slice(at, at + CALL));
  }

  /** Sets when a destination is looked at again. */
  async look(id: string, due: number): Promise<void> {
    await this.#rows.put([{ ...DUE, key: id, value: { due }, expiresAt: this.#clock.now() + FORGOTTEN }]);
  }

  /** The oldest events of the backlog. @param after only those behind this one. */
  async waiting(id: string, max: number, after?: EventMessage): Promise<WaitingEvent[]> {
    const rows = await this.#rows.query({
      kind: BACKLOG,
      partition: id,
      max,
      ...(after && { after: keyOf(after) }),
    });
    return rows.map(({ value }) => {
      const { event, tries, due } = value as { event: StoredEvent; tries: number; due: number };
      return { message: readEvent(event), tries, due };
    });
  }

  async remove(id: string, events: readonly EventMessage[]): Promise<void> {
    const keys = events.map((message) => backlogKey(id, message));
    for (let at = 0; at < keys.length; at += CALL) await this.#rows.delete(keys.slice(at, at + CALL));
  }

  /**
   * Ends the looks at a destination whose backlog was found empty.
   * @returns false: an event came meanwhile.
   */
  async rest(id: string): Promise<boolean> {
    await this.#rows.delete([{ ...DUE, key: id }]);
    return (await this.waiting(id, 1)).length === 0;
  }

  /** Ends the looks at a destination that was deleted. */
  async forget(id: string): Promise<void> {
    await this.#rows.delete([{ ...DUE, key: id }, stateKey(id)]);
  }

  /** Ids of destinations that are looked at, and when, ms since the epoch. */
  async due(): Promise<{ id: string; due: number }[]> {
    const found: Row[] = [];
    for (;;) {
      const page = await this.#rows.query({ ...DUE, max: 1_000, after: found.at(-1)?.key });
      found.push(...page);
      if (page.length < 1_000)
        return found.map(({ key, value }) => ({ id: key, ...(value as { due: number }) }));
    }
  }

  /** Stores the answer to a test, for the one who asked. */
  async answerTest(id: string, nonce: string, result: SendResult): Promise<void> {
    await this.#rows.put([{ ...testKey(id, nonce), value: result, expiresAt: this.#clock.now() + HOUR }]);
  }

  async testAnswer(id: string, nonce: string): Promise<SendResult | undefined> {
    const [row] = await this.#rows.get([testKey(id, nonce)]);
    return row?.value as SendResult | undefined;
  }

  /** Keeps the tries of one call: the last of them. */
  async keepAttempts(id: string, attempts: readonly SendAttempt[]): Promise<void> {
    if (attempts.length === 0) return;
    const now = this.#clock.now();
    const key = `${timeKey(now)}#${Math.floor(this.#random() * 1e9)}`;
    await this.#rows.put([
      {
        kind: 'event-attempt',
        partition: id,
        key,
        value: attempts.map(shortened),
        expiresAt: now + ATTEMPTS_KEPT,
      },
    ]);
  }

  /** Newest last, 100 at most. */
  async attempts(id: string): Promise<SendAttempt[]> {
    const rows = await this.#rows.query({
      kind: 'event-attempt',
      partition: id,
      descending: true,
      max: ATTEMPT_ROWS,
    });
    const all = rows.reverse().flatMap(({ value }) => value as SendAttempt[]);
    return all.slice(-KEPT_ATTEMPTS);
  }
}

function stateKey(id: string) {
  return { kind: 'event-destination', partition: id, key: 'state' };
}

function testKey(id: string, nonce: string) {
  return { kind: 'event-test', partition: id, key: nonce };
}

function backlogKey(id: string, message: EventMessage) {
  return { kind: BACKLOG, partition: id, key: keyOf(message) };
}

/** Events of one millisecond are in the order of their messages, not of their ids, which are digests. */
function keyOf({ at, messageId, id }: EventMessage): string {
  return `${timeKey(at)}#${messageId}#${id}`;
}

export function timeKey(at: number): string {
  return String(Math.max(0, Math.floor(at))).padStart(15, '0');
}
