/** Events as a process has them: the follower of the feed with a sender for each kind of destination. */
import { randomUUID } from 'node:crypto';
import type { EventDestination, EventTarget } from '../control/event-destination.ts';
import type { EventDestinations } from '../control/event-destinations.ts';
import type { Resolver } from '../dns/resolver.ts';
import type { AwsDestinationOptions, AwsDestinations } from '../engine/aws/destinations/open.ts';
import {
  AWS_BATCH,
  type DestinationSender,
  type EventMessage,
  type SendResult,
} from '../engine/destinations.ts';
import type { Leases, Records } from '../engine/ports.ts';
import type { Log } from '../log.ts';
import type { EventContext } from '../outcome/mail-object.ts';
import type { Clock } from '../time.ts';
import { createAmqp } from './amqp.ts';
import { type Follower, type Senders, startFollower } from './follower.ts';
import { createJsonLines } from './json-lines.ts';
import { createWebhookSender } from './webhook.ts';
import { webhookDestination } from './webhook-destination.ts';

export interface EventsOptions {
  engine: {
    records: Pick<Records, 'feed' | 'message'>;
    leases: Pick<Leases, 'checkpoint' | 'saveCheckpoint'>;
  };
  destinations: EventDestinations;
  resolver: Resolver;
  context: EventContext;
  clock: Clock;
  log: Log;
  /** Receivers of webhooks whose address may be a private one: `host:port`. */
  webhookAllow?: readonly string[];
  aws?: AwsDestinationOptions;
  /** Where a file destination `-` writes to. */
  print?: (text: string) => void;
}

export interface Events extends Omit<Follower, 'stop'> {
  /** Sends a made-up event once. */
  test(destination: EventDestination): Promise<SendResult>;
  close(): Promise<void>;
}

export async function openEvents(options: EventsOptions): Promise<Events> {
  const { engine, destinations, context, clock, log, webhookAllow = [] } = options;
  const { print = (text) => process.stdout.write(text) } = options;
  const aws = lazyAws({ region: context.region, ...options.aws });
  const webhooks = createWebhookSender({
    resolve: addressesBy(options.resolver),
    clock,
    allowed: new Set(webhookAllow),
  });
  const senders: Required<Senders> = {
    ...aws.senders,
    webhook: webhookDestination(webhooks),
    amqp: createAmqp(clock),
    file: createJsonLines(print),
  };
  const followed = await destinations.follow();
  const follower = await startFollower({
    ...engine,
    destinations: () => followed.all(),
    senders,
    context,
    clock,
    log,
    onGone(destination, text) {
      const disabledBecause =
        `It answered 410 (gone) at ${new Date(clock.now()).toISOString()}: ${text}`.trim();
      log.warn('an event destination wants no more events and was disabled', {
        destination: destination.name,
      });
      destinations.update(destination.id, { enabled: false, disabledBecause }).catch((error: unknown) =>
        // It answers 410 again, and is disabled then.
        log.error('an event destination could not be disabled', { destination: destination.name, error }),
      );
    },
  });
  return {
    health: () => follower.health(),
    attempts: (id) => follower.attempts(id),
    replay: (id, from, to) => follower.replay(id, from, to),
    async test({ target, tenant, configurationSet }) {
      const message = sample(tenant ?? 'default', configurationSet, clock.now(), context);
      const [result] = await (senders[target.kind] as DestinationSender<EventTarget>).send(target, [message]);
      return result!;
    },
    async close() {
      await follower.stop();
      followed.close();
      for (const sender of Object.values(senders)) await (sender as DestinationSender<EventTarget>).close?.();
      await aws.close();
    },
  };
}

/** Loads Amazon's clients with the first event for them: most installations never need their memory. */
function lazyAws(options: AwsDestinationOptions) {
  let opened: Promise<AwsDestinations> | undefined;
  const open = (): Promise<AwsDestinations> => {
    opened ??= import('../engine/aws/destinations/open.ts').then((module) =>
      module.openAwsDestinations(options),
    );
    return opened;
  };
  const sender = <K extends keyof typeof AWS_BATCH>(kind: K): AwsDestinations[K] =>
    ({
      batch: AWS_BATCH[kind],
      send: async (target, events) =>
        ((await open())[kind] as DestinationSender<EventTarget>).send(target, events),
    }) satisfies DestinationSender<EventTarget> as unknown as AwsDestinations[K];
  return {
    senders: {
      sns: sender('sns'),
      eventbridge: sender('eventbridge'),
      firehose: sender('firehose'),
      cloudwatch: sender('cloudwatch'),
    },
    close: async () => (await opened)?.close(),
  };
}

/** IPv4 first: more receivers are reachable by it. */
function addressesBy(resolver: Resolver): (hostname: string) => Promise<string[]> {
  return async (hostname) => {
    const answers = await Promise.all([resolver.resolve(hostname, 'A'), resolver.resolve(hostname, 'AAAA')]);
    const found = answers.flatMap((answer) => (answer.kind === 'found' ? answer.records : []));
    const failed = answers.find((answer) => answer.kind === 'failed');
    if (found.length === 0 && failed) throw new Error(`${hostname}: ${failed.text}`);
    return found;
  };
}

/** A Delivery to the mailbox simulator, by which a receiver is tried. */
function sample(
  tenant: string,
  configurationSet: string | undefined,
  at: number,
  { region, accountId, hostname }: EventContext,
): EventMessage {
  const timestamp = new Date(at).toISOString();
  const messageId = `test-${randomUUID()}`;
  const recipient = 'success@simulator.amazonses.com';
  const event = {
    eventType: 'Delivery',
    mail: {
      timestamp,
      source: `postmaster@${hostname}`,
      sourceArn: `arn:aws:ses:${region}:${accountId}:identity/${hostname}`,
      sendingAccountId: accountId,
      messageId,
      destination: [recipient],
      headersTruncated: false,
      headers: [{ name: 'Subject', value: 'A test of this event destination' }],
      commonHeaders: {
        from: [`postmaster@${hostname}`],
        messageId,
        subject: 'A test of this event destination',
      },
      tags: { 'postern:test': ['true'] },
    },
    delivery: {
      timestamp,
      processingTimeMillis: 0,
      recipients: [recipient],
      smtpResponse: '250 2.0.0 A test',
      reportingMTA: hostname,
    },
  };
  return { id: messageId, tenant, configurationSet, messageId, at, event, json: JSON.stringify(event) };
}
