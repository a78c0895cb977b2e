/**
 * Hands the events of a batch of outcomes to their destinations, in a process that follows none: what AWS makes
 * durable is sent to at once, what may be slow to answer (webhooks, brokers) gets a parcel in the queue of events.
 */
import type { EventDestination, EventMail, EventType, TargetKind } from '../control/event-destination.ts';
import type { EventMessage, EventQueue } from '../engine/destinations.ts';
import type { MessageRecord, Outcome } from '../engine/items.ts';
import type { EventContext } from '../outcome/mail-object.ts';
import type { EventDelivery } from './delivery.ts';
import { takenBy } from './destination.ts';
import type { DestinationStates } from './destination-state.ts';
import { messagesOf, typeOfOutcome } from './messages.ts';
import { parcelsOf } from './parcel.ts';

/** Kinds that are sent to from the queue of events. */
export const QUEUED_KINDS: ReadonlySet<TargetKind> = new Set(['webhook', 'amqp']);

export interface DispatchOptions {
  /** The enabled destinations of such mail. */
  takers: (mail: EventMail) => Promise<readonly EventDestination[]>;
  states: DestinationStates;
  delivery: EventDelivery;
  queue: EventQueue;
  context: EventContext;
}

/** Events for each destination, in the order in which they happened. */
interface Addressed {
  destination: EventDestination;
  events: EventMessage[];
}

export class EventDispatch {
  readonly #options: DispatchOptions;

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  /**
   * Durable when it resolves: each event is taken, queued, or kept for its destination.
   * @param until no try is begun from this time on, ms since the epoch.
   * @throws PosternError of the storage group: the batch may be repeated, and repeats carry the same ids.
   */
  async take(
    outcomes: readonly Outcome[],
    records: ReadonlyMap<string, MessageRecord>,
    until: number,
  ): Promise<void> {
    const { states, delivery, queue } = this.#options;
    const addressed = await this.#address(outcomes, records);
    const queued = addressed.filter(({ destination: { target } }) => QUEUED_KINDS.has(target.kind));
    const direct = addressed.filter((one) => !queued.includes(one));
    const parcels = queued.flatMap(({ destination, events }) => parcelsOf(destination.id, events));
    const found = await states.getAll(direct.map(({ destination }) => destination.id));
    await Promise.all([
      parcels.length > 0 ? queue.send(parcels) : undefined,
      ...direct.map(({ destination, events }, i) => delivery.deliver(destination, events, found[i]!, until)),
    ]);
  }

  async #address(
    outcomes: readonly Outcome[],
    records: ReadonlyMap<string, MessageRecord>,
  ): Promise<Addressed[]> {
    const { takers, context } = this.#options;
    const known = new Map<string, Promise<readonly EventDestination[]>>();
    const takersOf = (mail: EventMail): Promise<readonly EventDestination[]> => {
      const { tenant, configurationSet = '', setOwner = '' } = mail;
      const key = `${tenant} ${configurationSet} ${setOwner}`;
      const found = known.get(key) ?? takers(mail);
      known.set(key, found);
      return found;
    };
    const addressed = new Map<string, Addressed>();
    for (const outcome of [...outcomes].sort((a, b) => a.at - b.at)) {
      const record = records.get(outcome.messageId);
      const type = typeOfOutcome(outcome);
      if (!record || !type) continue;
      const all = await takersOf(record);
      const wanting = all.filter((one) => wants(one, type, outcome.at));
      if (wanting.length === 0) continue;
      const events = messagesOf(record, outcome, context);
      for (const destination of wanting) {
        const taken = events.flatMap((event) => takenBy(destination, event) ?? []);
        if (taken.length === 0) continue;
        const one = addressed.get(destination.id) ?? { destination, events: [] };
        one.events.push(...taken);
        addressed.set(destination.id, one);
      }
    }
    return [...addressed.values()];
  }
}

function wants({ types, createdAt }: EventDestination, type: EventType, at: number): boolean {
  return types.includes(type) && at >= createdAt;
}
