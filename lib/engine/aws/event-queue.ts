/**
 * The queue of events for webhooks and brokers: one FIFO queue of SQS, drained by `functions/events`. A group is
 * handed to one call at a time, so that the groups of a destination bound how many calls it can hold.
 */
import { PosternError } from '../../errors.ts';
import type { EventParcel, EventQueue } from '../destinations.ts';
import type { Lanes, Outgoing } from './lanes.ts';
import { EVENT_QUEUE } from './schema.ts';
import { sqsJson } from './sqs-json.ts';

const TRIES = 3;

export class AwsEventQueue implements EventQueue {
  readonly #lanes: Lanes;

  constructor(lanes: Lanes) {
    this.#lanes = lanes;
  }

  /** One parcel of each group at a time: requests under way together are taken in any order. */
  async send(parcels: readonly EventParcel[]): Promise<void> {
    const rounds: Outgoing[][] = [];
    const turns = new Map<string, number>();
    for (const { value, group, id } of parcels) {
      const turn = turns.get(group) ?? 0;
      turns.set(group, turn + 1);
      const round = (rounds[turn] ??= []);
      round.push({ text: sqsJson(value), group, once: id, delay: 0 });
    }
    for (const round of rounds) await this.#sendAll(round);
  }

  /** Messages of a request that was cut off are sent again with their ids: SQS drops a second one. */
  async #sendAll(round: readonly Outgoing[]): Promise<void> {
    let left = round;
    for (let tries = 0; left.length > 0; tries += 1) {
      if (tries === TRIES)
        throw new PosternError('storage_unavailable', 'SQS closes every connection. Try again.');
      left = await this.#lanes.send(EVENT_QUEUE, left);
    }
  }
}
