/**
 * Publishes events to an AMQP 0-9-1 exchange (RabbitMQ), persistent and with publisher confirms: an event counts as
 * taken when the broker has confirmed it and a queue was there to take it.
 *
 * One connection for each broker URL, opened at the first event and again after it was lost; a channel of its own for
 * each exchange, because a broker closes the channel over which something is published to an exchange that it lacks.
 */
import type { ChannelModel, ConfirmChannel } from 'amqplib';
import type { AmqpTarget } from '../control/event-destination.ts';
import type { DestinationSender, EventMessage, SendResult } from '../engine/destinations.ts';
import type { Clock } from '../time.ts';

/** Milliseconds for the connect, and for the confirms of a batch. */
const DEADLINE = 15_000;

interface Exchange {
  channel: ConfirmChannel;
  /** Ids of events that came back, because no queue is bound to the exchange for them. */
  returned: Set<string>;
  /** Why the broker closed the channel. */
  fault?: string;
}

interface Broker {
  connection: ChannelModel;
  exchanges: Map<string, Promise<Exchange>>;
}

export function createAmqp(clock: Clock): DestinationSender<AmqpTarget> {
  const brokers = new Map<string, Promise<Broker>>();

  function brokerAt(url: string): Promise<Broker> {
    const known = brokers.get(url);
    if (known) return known;
    const broker: Promise<Broker> = openBroker(url, () => forget(url, broker));
    brokers.set(url, broker);
    broker.catch(() => forget(url, broker));
    return broker;
  }

  /** A successor stays. */
  function forget(url: string, broker: Promise<Broker> | undefined): void {
    if (broker && brokers.get(url) === broker) brokers.delete(url);
  }

  /** Ends a connection that does not answer, also one that is still being made. */
  function abandon(url: string): void {
    const broker = brokers.get(url);
    forget(url, broker);
    broker?.then(({ connection }) => connection.close()).catch(() => {});
  }

  return {
    batch: 100,
    async send({ url, exchange: name, routingKey }, events): Promise<SendResult[]> {
      try {
        const broker = await within(clock, brokerAt(url));
        const exchange = await within(clock, exchangeOf(broker, name));
        const confirmed = events.map((event) => publish(exchange, name, routingKey, event));
        return await within(clock, Promise.all(confirmed));
      } catch (error) {
        // What was confirmed of the batch is sent again with its id: at least once.
        if (error instanceof NoAnswer) abandon(url);
        const text = faultOf(error as Error);
        return events.map(() => ({ kind: 'retry', text }));
      }
    },
    async close() {
      const open = await Promise.allSettled(brokers.values());
      brokers.clear();
      for (const one of open)
        if (one.status === 'fulfilled') await within(clock, one.value.connection.close()).catch(() => {});
    },
  };
}

function publish(
  exchange: Exchange,
  name: string,
  routingKey: string,
  { id, tenant, messageId, at, event, json }: EventMessage,
): Promise<SendResult> {
  const { channel, returned } = exchange;
  return new Promise((done) => {
    const properties = {
      persistent: true,
      mandatory: true,
      contentType: 'application/json',
      messageId: id,
      timestamp: Math.floor(at / 1000),
      type: event.eventType,
      headers: { tenant, messageId },
    };
    channel.publish(name, routingKey, Buffer.from(json), properties, (error: unknown) => {
      // RabbitMQ returns what it cannot route in front of the confirm.
      if (error) done({ kind: 'retry', text: exchange.fault ?? (error as Error).message });
      else if (returned.delete(id)) {
        done({ kind: 'retry', text: `no queue is bound to the exchange ${name} for ${routingKey}` });
      } else done({ kind: 'taken' });
    });
  });
}

async function openBroker(url: string, lost: () => void): Promise<Broker> {
  // Loaded with the first event for a broker, which most installations do not have.
  // A chunk of a CommonJS package exports the whole as default alone.
  const { connect } = (await import('amqplib')).default;
  const connection = await connect(url, { timeout: DEADLINE });
  connection.on('error', lost);
  connection.on('close', lost);
  return { connection, exchanges: new Map() };
}

function exchangeOf({ connection, exchanges }: Broker, name: string): Promise<Exchange> {
  const known = exchanges.get(name);
  if (known) return known;
  const exchange = connection.createConfirmChannel().then((channel): Exchange => {
    const opened: Exchange = { channel, returned: new Set() };
    // The next batch opens another one.
    const gone = (): void => void exchanges.delete(name);
    channel.on('error', (error: Error) => {
      opened.fault = faultOf(error);
      gone();
    });
    channel.on('close', gone);
    channel.on('return', ({ properties }) => opened.returned.add(String(properties.messageId)));
    return opened;
  });
  exchanges.set(name, exchange);
  exchange.catch(() => exchanges.delete(name));
  return exchange;
}

class NoAnswer extends Error {}

/** The words for a person who has to mend it. */
function faultOf({ message }: Error): string {
  // A broker answers so to a vhost that it lacks, or that the user may not use; its reason is not passed on.
  if (/Expected ConnectionOpenOk/.test(message)) {
    return 'The broker closed the connection: it has no such vhost, or the user may not use it.';
  }
  return message;
}

function within<T>(clock: Clock, promise: Promise<T>): Promise<T> {
  return new Promise((done, fail) => {
    const cancel = clock.after(DEADLINE, () => fail(new NoAnswer(`no answer within ${DEADLINE / 1000} s`)));
    promise.then(done, fail).finally(cancel);
  });
}
