/**
 * Lambda entry of the queue of events: sends to webhooks and brokers, and looks again at destinations that did not
 * take their events.
 *
 * ```
 *  parcels of the queue ─► by group, in order ─► carried out │ storage does not answer: that parcel, and those of its
 *  each minute ─► destinations that are due ─► a parcel each                           group behind it, come again
 * ```
 * A group of the queue is at one call at a time, and a destination has few: one that hangs holds no more calls than
 * that, until its first failure closes it.
 */
import type { ScheduledEvent, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { openAws } from '../lib/engine/aws/open.ts';
import { readSecret } from '../lib/engine/aws/secrets.ts';
import { EventCarrier } from '../lib/events/carrier.ts';
import { readParcel } from '../lib/events/parcel.ts';
import { type Clock, SECOND, systemClock } from '../lib/time.ts';
import { readEventSettings } from './environment.ts';
import { openEventParts } from './event-parts.ts';
import { once } from './once.ts';
import { type Output, openOutput } from './output.ts';

/** Time for which a call begins tries, ms: the last one may take 15 s, and the function's limit is a minute. */
const SENDING = 35 * SECOND;

export type EventsEvent = ScheduledEvent | Pick<SQSEvent, 'Records'>;

/** @returns a handler of both events, which names the parcels to hand out again. */
export function createSender(
  carrier: Pick<EventCarrier, 'carry' | 'look'>,
  { log, emf }: Output,
  clock: Clock,
): (event: EventsEvent) => Promise<SQSBatchResponse> {
  async function carry(records: readonly SQSRecord[], until: number): Promise<string[]> {
    for (const [at, { messageId, body }] of records.entries()) {
      try {
        await carrier.carry(readParcel(body), until);
      } catch (error) {
        log.error('a parcel of events is handed back', { sqsMessageId: messageId, error });
        // What is behind it in its group must not overtake it.
        return records.slice(at).map((record) => record.messageId);
      }
    }
    return [];
  }

  return async (event) => {
    if (!('Records' in event)) {
      emf.put({}, { EventDestinationsBehind: await carrier.look() });
      return { batchItemFailures: [] };
    }
    const until = clock.now() + SENDING;
    const groups = Map.groupBy(event.Records, ({ attributes }) => attributes.MessageGroupId ?? '');
    const failed = await Promise.all(Array.from(groups.values(), (records) => carry(records, until)));
    return { batchItemFailures: failed.flat().map((itemIdentifier) => ({ itemIdentifier })) };
  };
}

const sender = await once(async () => {
  const { resources, region, accountId, hostname, eventDays, secrets } = readEventSettings(process.env);
  const clock = systemClock;
  const output = openOutput(clock);
  const engine = await openAws({ resources, clock, log: output.log });
  const context = { region, accountId, hostname };
  const masterKey = await readSecret('master.key', { bucket: secrets });
  const parts = openEventParts({
    engine,
    context,
    eventDays,
    masterKey,
    clock,
    random: Math.random,
    output,
  });
  const { destinations } = parts;
  const carrier = new EventCarrier({
    ...parts,
    find: (id) => destinations.find(id),
    context,
    clock,
    log: output.log,
  });
  return { handle: createSender(carrier, output, clock), config: engine.config };
});

export async function handler(event: EventsEvent): Promise<SQSBatchResponse> {
  const { handle, config } = await sender();
  // This process may have been stopped between two calls, and a destination changed meanwhile.
  await config.catchUp();
  return handle(event);
}
