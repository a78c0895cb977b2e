/** What events cost beside a message: its Send and its Delivery, by where they go. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openEventParts, publisher } from '../../functions/event-parts.ts';
import type { EventDestination, EventTarget } from '../../lib/control/event-destination.ts';
import type { AwsEngine } from '../../lib/engine/aws/open.ts';
import { sqsRequests } from '../../lib/engine/aws/placement.ts';
import type { EventParcel } from '../../lib/engine/destinations.ts';
import type { Attempt, MessageRecord, Outcome } from '../../lib/engine/items.ts';
import { EventCarrier } from '../../lib/events/carrier.ts';
import { readParcel } from '../../lib/events/parcel.ts';
import { silentLog } from '../../lib/log.ts';
import { createEmf } from '../../lib/observe/emf.ts';
import { HOUR, systemClock } from '../../lib/time.ts';
import { startEventServices } from '../../test/support/event-services.ts';

/** US dollars for a million, us-east-1. */
const EVENT_PRICES = {
  /** EventBridge: a custom event of 64 KB. */
  event: 1,
  /** Firehose, direct PUT: $0.029 a GB, each record rounded up to 5 KB. */
  record: (5 * 0.029 * 1e6) / (1 << 20),
  /** SQS FIFO: a request of 64 KB. */
  fifo: 0.5,
};
const CONTEXT = { region: 'us-east-1', accountId: '123456789012', hostname: 'mta.example.com' };
/** Outcomes that one call of the function has, as in the other scenarios. */
const BATCH = 100;

interface CostMeter {
  add(kind: string, units: number, price: number): void;
}

export interface EventCostOptions {
  engine: AwsEngine;
  meter: CostMeter;
  records: readonly MessageRecord[];
  attempt: (now: number) => Attempt;
  /** Closes a scenario: what was metered since the last one. */
  show: (title: string) => void;
}

/** Meters each destination for the same messages. */
export async function eventCosts({ engine, meter, records, attempt, show }: EventCostOptions): Promise<void> {
  const services = await startEventServices();
  const hooks = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.end());
  });
  await new Promise<void>((done) => hooks.listen(0, '127.0.0.1', done));
  const { port } = hooks.address() as AddressInfo;
  const parcels: EventParcel[] = [];
  const queue = {
    send: async (sent: readonly EventParcel[]): Promise<void> => {
      parcels.push(...sent);
    },
  };
  const scenario = async (target: EventTarget | undefined, eventDays: number): Promise<void> => {
    const output = { log: silentLog, emf: createEmf({ now: Date.now, write: () => {}, stage: undefined }) };
    const parts = openEventParts({
      engine: { ...engine, events: queue },
      context: CONTEXT,
      eventDays,
      masterKey: Buffer.alloc(32),
      clock: systemClock,
      random: Math.random,
      output,
      webhookAllow: [`127.0.0.1:${port}`],
      aws: {
        credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
        endpoints: { eventbridge: services.url, firehose: services.url },
      },
    });
    const all: EventDestination[] = target
      ? [{ id: 'ed-0', name: target.kind, enabled: true, types: ['SEND', 'DELIVERY'], target, createdAt: 0 }]
      : [];
    const destinations = { ...parts.destinations, takers: async () => all };
    const publish = publisher({ ...parts, destinations }, CONTEXT, systemClock);
    const known = new Map(records.map((record) => [record.id, record]));
    const outcomes = records.flatMap((record): Outcome[] => {
      const { v, id, tenant, acceptedAt: at } = record;
      const accepted: Outcome = { v, messageId: id, tenant, at, kind: 'accepted' };
      return [accepted, { ...accepted, n: 0, kind: 'attempt', attempt: attempt(at) }];
    });
    for (let at = 0; at < outcomes.length; at += BATCH) await publish(outcomes.slice(at, at + BATCH), known);
    const find = async () => all[0];
    const carrier = new EventCarrier({
      ...parts,
      find,
      context: CONTEXT,
      clock: systemClock,
      log: silentLog,
    });
    for (let at = 0; at < parcels.length; at += 10) {
      const batch = parcels.slice(at, at + 10);
      const bytes = batch.reduce((sum, { value }) => sum + Buffer.byteLength(JSON.stringify(value)), 0);
      meter.add('SQS FIFO send', sqsRequests(bytes), EVENT_PRICES.fifo);
      meter.add('SQS FIFO receive', sqsRequests(bytes), EVENT_PRICES.fifo);
      meter.add('SQS FIFO delete', 1, EVENT_PRICES.fifo);
    }
    for (const { value } of parcels.splice(0))
      await carrier.carry(readParcel(JSON.stringify(value)), Date.now() + HOUR);
    for (const { operation, input } of services.calls.splice(0)) {
      if (operation === 'PutEvents') meter.add('EventBridge', input.Entries.length, EVENT_PRICES.event);
      else meter.add('Firehose', input.Records.length, EVENT_PRICES.record);
    }
    await parts.close();
  };
  await scenario(undefined, 7);
  show('Send and Delivery kept for 7 days');
  await scenario({ kind: 'eventbridge', busArn: 'arn:aws:events:us-east-1:1:event-bus/mail' }, 0);
  show('Send and Delivery to an EventBridge bus');
  await scenario(
    { kind: 'firehose', streamArn: 'arn:aws:firehose:us-east-1:1:deliverystream/mail', roleArn: '' },
    0,
  );
  show('Send and Delivery to a Firehose stream');
  const secret = `whsec_${Buffer.alloc(24).toString('base64')}`;
  await scenario({ kind: 'webhook', url: `http://127.0.0.1:${port}/`, secret }, 0);
  show('Send and Delivery to a webhook');
  hooks.closeAllConnections();
  hooks.close();
  await services.close();
}
