/**
 * Carries out the orders of the queue of events, in a process that lives for one call: sends what was queued, what
 * waits and what is replayed, and a test.
 */
import type { EventDestination } from '../control/event-destination.ts';
import type { DestinationSender, EventMessage, EventQueue } from '../engine/destinations.ts';
import type { Log } from '../log.ts';
import type { EventContext } from '../outcome/mail-object.ts';
import type { Clock } from '../time.ts';
import type { EventDelivery } from './delivery.ts';
import { takenBy } from './destination.ts';
import type { DestinationStates } from './destination-state.ts';
import { LAG } from './event-index.ts';
import type { Senders } from './follower.ts';
import { type EventOrder, orderParcel } from './parcel.ts';
import type { EventPull } from './pull.ts';
import { sampleEvent } from './sample.ts';

/** Events of the past read at one time. */
const PAGE = 200;

export interface CarrierOptions {
  find: (id: string) => Promise<EventDestination | undefined>;
  states: DestinationStates;
  delivery: EventDelivery;
  senders: Senders;
  queue: EventQueue;
  /** Where replays are read from; absent: nothing is kept for them. */
  index?: EventPull;
  context: EventContext;
  clock: Clock;
  log: Pick<Log, 'info'>;
}

export class EventCarrier {
  readonly #options: CarrierOptions;

  constructor(options: CarrierOptions) {
    this.#options = options;
  }

  /**
   * Carries an order out: durable when it resolves.
   * @param until no try is begun from this time on, ms since the epoch.
   * @throws PosternError of the storage group: the order may be repeated.
   */
  async carry(order: EventOrder, until: number): Promise<void> {
    const { find, states, delivery, queue, clock, log } = this.#options;
    const id = order.destination;
    const destination = await find(id);
    if (!destination) {
      // It was deleted, with what waited for it.
      if (order.kind === 'drain') await states.forget(id);
      else if (order.kind === 'send') log.info('events of a deleted destination', { destination: id });
      return;
    }
    if (order.kind === 'send') {
      await delivery.deliver(destination, order.events, await states.get(id), until);
    } else if (order.kind === 'test') {
      const { target } = destination;
      const sender = this.#options.senders[target.kind] as DestinationSender<typeof target> | undefined;
      const sample = sampleEvent(destination, clock.now(), this.#options.context);
      const [result] = sender
        ? await sender.send(target, [sample])
        : [{ kind: 'refused' as const, text: `${target.kind}: nothing sends here` }];
      await states.answerTest(id, order.nonce, result!);
    } else {
      const more = (await delivery.drain(destination, until)) || (await this.#replay(destination, until));
      if (more) await queue.send([orderParcel({ kind: 'drain', destination: id }, `${clock.now()}`)]);
    }
  }

  /** Orders a look at each destination that is due. @returns how many are looked at at all: those that fall behind. */
  async look(): Promise<number> {
    const { states, queue, clock } = this.#options;
    const all = await states.due();
    const now = clock.now();
    const due = all.filter((one) => one.due <= now);
    await queue.send(due.map(({ id }) => orderParcel({ kind: 'drain', destination: id }, `${now}`)));
    return all.length;
  }

  /** Sends events of the past once more, while nothing waits. @returns whether more can be sent at once. */
  async #replay(destination: EventDestination, until: number): Promise<boolean> {
    const { states, delivery, index, clock } = this.#options;
    const { id } = destination;
    for (;;) {
      const state = await states.get(id);
      const { replay } = state;
      if (!replay || !index || !destination.enabled) return false;
      if (state.waiting > 0 || state.closedUntil > clock.now()) return false;
      if (clock.now() >= until) return true;
      const { tenant, types } = destination;
      const { from, to } = replay;
      const page = await index.page({ tenant, types, from, to }, replay.cursor, PAGE);
      const { cursor, more } = page;
      const over = !more && clock.now() >= replay.requestedAt + LAG;
      const events = page.events
        .map(({ message }) => takenBy(destination, message))
        .filter((message) => message !== undefined)
        .map((message): EventMessage => ({ ...message, at: Math.max(message.at, replay.requestedAt) }));
      if (events.length > 0) await delivery.deliver(destination, events, state, until);
      await states.change(id, ({ replay: _replay, ...now }) => ({
        ...now,
        ...(!over && { replay: { ...replay, cursor } }),
      }));
      if (over && (await states.get(id)).waiting === 0 && (await states.rest(id))) return false;
      // The newest events show in the index a little later: the next look sends them.
      if (over || !more) {
        await states.look(id, clock.now());
        return false;
      }
    }
  }
}
