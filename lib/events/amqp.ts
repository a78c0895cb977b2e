/**
 * Publishes events to an AMQP 0-9-1 exchange (RabbitMQ), persistent and with publisher confirms: an event counts as
 * taken when the broker has confirmed it and a queue was there to take it. One connection for each broker URL, opened at the first event and again
 * after it was lost.
 */
import type { ChannelModel, ConfirmChannel } from 'amqplib';
import type { AmqpTarget } from '../control/event-destination.ts';
import type { DestinationSender, SendResult } from '../engine/destinations.ts';
import type { Clock } from '../time.ts';

/** Milliseconds for the connect, and for the confirms of a batch. */
const DEADLINE = 15_000;

interface Broker {
  connection: ChannelModel;
  channel: ConfirmChannel;
  /** Ids of events that came back, because no queue is bound to the exchange for them. */
  returned: Set<string>;
}

export function createAmqp(clock: Clock): DestinationSender<AmqpTarget> {
  const brokers = new Map<string, Promise<Broker>>();

  function brokerAt(url: string): Promise<Broker> {
    let broker = brokers.get(url);
    if (!broker) {
      broker = openBroker(url, () => brokers.delete(url));
      brokers.set(url, broker);
      broker.catch(() => brokers.delete(url));
    }
    return broker;
  }

  return {
    batch: 100,
    async send({ url, exchange, routingKey }, events): Promise<SendResult[]> {
      try {
        const { channel, returned } = await within(clock, brokerAt(url));
        const confirmed = events.map(
          ({ id, tenant, messageId, at, event, json }) =>
            new Promise<SendResult>((done) => {
              channel.publish(
                exchange,
                routingKey,
                Buffer.from(json),
                {
                  persistent: true,
                  mandatory: true,
                  contentType: 'application/json',
                  messageId: id,
                  timestamp: Math.floor(at / 1000),
                  type: event.eventType,
                  headers: { tenant, messageId },
                },
                (error: unknown) => {
                  // RabbitMQ returns what it cannot route in front of the confirm.
                  if (error) done({ kind: 'retry', text: (error as Error).message });
                  else if (returned.delete(id)) done({ kind: 'retry', text: `no queue takes ${routingKey}` });
                  else done({ kind: 'taken' });
                },
              );
            }),
        );
        return await within(clock, Promise.all(confirmed));
      } catch (error) {
        // What was confirmed of the batch is sent again with its id: at least once.
        brokers.delete(url);
        const text = (error as Error).message;
        return events.map(() => ({ kind: 'retry', text }));
      }
    },
    async close() {
      const open = await Promise.allSettled(brokers.values());
      brokers.clear();
      for (const one of open)
        if (one.status === 'fulfilled') await one.value.connection.close().catch(() => {});
    },
  };
}

async function openBroker(url: string, lost: () => void): Promise<Broker> {
  // Loaded with the first event for a broker, which most installations do not have.
  const { connect } = await import('amqplib');
  const connection = await connect(url, { timeout: DEADLINE });
  connection.on('error', lost);
  connection.on('close', lost);
  const channel = await connection.createConfirmChannel();
  // A publish to an exchange that is not there closes the channel; the next batch opens a new one.
  channel.on('error', lost);
  channel.on('close', lost);
  const returned = new Set<string>();
  channel.on('return', ({ properties }) => returned.add(String(properties.messageId)));
  return { connection, channel, returned };
}

function within<T>(clock: Clock, promise: Promise<T>): Promise<T> {
  return new Promise((done, fail) => {
    const cancel = clock.after(DEADLINE, () => fail(new Error(`no answer within ${DEADLINE / 1000} s`)));
    promise.then(done, fail).finally(cancel);
  });
}
