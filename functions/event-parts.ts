/** What the functions that send events are made of, over one engine. */
import { DocumentCache } from '../lib/control/document-cache.ts';
import {
  type EventDestinations,
  openEventDestinations,
  type StoredEventDestination,
} from '../lib/control/event-destinations.ts';
import { EventScopes, type StoredEventScope } from '../lib/control/event-scopes.ts';
import { createVault, type Vault } from '../lib/control/vault.ts';
import { createResolver } from '../lib/dns/resolver.ts';
import { dnsServers } from '../lib/dns/servers.ts';
import type { AwsDestinationOptions } from '../lib/engine/aws/destinations/open.ts';
import type { EventQueue } from '../lib/engine/destinations.ts';
import type { MessageRecord, Outcome } from '../lib/engine/items.ts';
import type { Config, Records, Rows } from '../lib/engine/ports.ts';
import { PosternError } from '../lib/errors.ts';
import { type DeliveredEvents, EventDelivery } from '../lib/events/delivery.ts';
import { DestinationStates } from '../lib/events/destination-state.ts';
import { EventDispatch } from '../lib/events/dispatch.ts';
import { EventIndex } from '../lib/events/event-index.ts';
import type { Senders } from '../lib/events/follower.ts';
import { disableGone } from '../lib/events/gone.ts';
import { openSenders } from '../lib/events/senders.ts';
import type { EventContext } from '../lib/outcome/mail-object.ts';
import { type Clock, DAY, type Random, SECOND } from '../lib/time.ts';
import type { Output } from './output.ts';

/** Most that is held of destinations, characters of JSON. */
const CACHE = 4 << 20;

export interface EventPartsOptions {
  engine: { records: Pick<Records, 'message'>; rows: Rows; config: Config; events: EventQueue };
  context: EventContext;
  /** Days for which events are kept for those who fetch or replay them; 0: none are. */
  eventDays: number;
  /** Opens the secrets of webhooks and brokers; absent: they stay closed, and nothing is sent to those. */
  masterKey?: Buffer;
  clock: Clock;
  random: Random;
  output: Output;
  aws?: AwsDestinationOptions;
  webhookAllow?: readonly string[];
}

export interface EventParts {
  destinations: EventDestinations;
  states: DestinationStates;
  senders: Senders;
  delivery: EventDelivery;
  queue: EventQueue;
  index?: EventIndex;
  close(): Promise<void>;
}

/** Opens nothing until the first event. */
export function openEventParts(options: EventPartsOptions): EventParts {
  const { engine, context, masterKey, clock, random, output, eventDays } = options;
  const { log, emf } = output;
  const { config } = engine;
  const cache = new DocumentCache<StoredEventDestination>(config, 'event-destination', clock, CACHE);
  const scopeCache = new DocumentCache<StoredEventScope>(config, 'event-scope', clock, CACHE);
  const unwatch = config.watch(({ kind, key }) => {
    for (const one of [cache, scopeCache]) if (one.kind === kind) one.changed(key);
  });
  const vault = masterKey ? createVault(masterKey) : CLOSED;
  const scopes = new EventScopes(scopeCache, config);
  const destinations = openEventDestinations({ config, cache, scopes, vault, clock });
  const states = new DestinationStates(engine.rows, clock, random);
  const resolver = createResolver({ servers: dnsServers(undefined), clock });
  const { senders, close } = openSenders({
    resolver,
    clock,
    region: context.region,
    aws: options.aws,
    webhookAllow: options.webhookAllow,
  });
  const { webhook: _webhook, amqp: _amqp, file: _file, ...durable } = senders;
  const { file: _nowhere, ...reachable } = senders;
  const own = masterKey ? reachable : durable;
  const delivery = new EventDelivery({
    states,
    senders: own,
    clock,
    log,
    onGone: (destination, text) => disableGone({ destinations, clock, log }, destination, text),
    onDelivered: ({ taken, dropped, failures }: DeliveredEvents) =>
      emf.put({}, { EventsTaken: taken, EventsDropped: dropped, EventFailures: failures }),
  });
  const { rows, records } = engine;
  return {
    destinations,
    states,
    senders: own,
    delivery,
    queue: engine.events,
    ...(eventDays > 0 && {
      index: new EventIndex({ rows, records, context, clock, keep: eventDays * DAY }),
    }),
    async close() {
      unwatch();
      await close();
    },
  };
}

/** Time for which a batch of outcomes begins tries, ms: a call of AWS may take 10 s, and the function's limit is 25. */
const PUBLISHING = 10 * SECOND;

/**
 * Keeps events for those who fetch them, and hands them to their destinations: durable when it resolves.
 * @throws PosternError of the storage group: the batch may be repeated.
 */
export function publisher(
  parts: EventParts,
  context: EventContext,
  clock: Clock,
): (outcomes: readonly Outcome[], records: ReadonlyMap<string, MessageRecord>) => Promise<void> {
  const { destinations } = parts;
  const takers = destinations.takers.bind(destinations);
  const dispatch = new EventDispatch({ ...parts, takers, context });
  return async (outcomes, records) => {
    await Promise.all([
      parts.index?.put(outcomes, records),
      dispatch.take(outcomes, records, clock.now() + PUBLISHING),
    ]);
  };
}

/** A vault without a key: what is sealed stays so. */
const CLOSED: Vault = {
  seal: refuse,
  open: () => '{}',
  expectOwn: () => {},
};

function refuse(): never {
  throw new PosternError('internal', 'This process has no key to seal a secret with.');
}
