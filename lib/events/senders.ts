/** A sender for each kind of destination. */
import type { EventTarget } from '../control/event-destination.ts';
import { addressesBy } from '../dns/addresses.ts';
import type { Resolver } from '../dns/resolver.ts';
import type { AwsDestinationOptions, AwsDestinations } from '../engine/aws/destinations/open.ts';
import { AWS_BATCH, type DestinationSender } from '../engine/destinations.ts';
import type { Clock } from '../time.ts';
import { createAmqp } from './amqp.ts';
import type { Senders } from './follower.ts';
import { createJsonLines } from './json-lines.ts';
import { createWebhookSender } from './webhook.ts';
import { webhookDestination } from './webhook-destination.ts';

export interface SendersOptions {
  resolver: Resolver;
  clock: Clock;
  region: string;
  /** Receivers of webhooks whose address may be a private one: `host:port`. */
  webhookAllow?: readonly string[];
  aws?: AwsDestinationOptions;
  /** Where a file destination `-` writes to. */
  print?: (text: string) => void;
}

export interface OpenSenders {
  senders: Required<Senders>;
  close(): Promise<void>;
}

/** Opens no connection yet. */
export function openSenders(options: SendersOptions): OpenSenders {
  const { resolver, clock, region, webhookAllow = [] } = options;
  const { print = (text) => process.stdout.write(text) } = options;
  const aws = lazyAws({ region, ...options.aws });
  const webhooks = createWebhookSender({
    resolve: addressesBy(resolver),
    clock,
    allowed: new Set(webhookAllow),
  });
  const senders: Required<Senders> = {
    ...aws.senders,
    webhook: webhookDestination(webhooks),
    amqp: createAmqp(clock),
    file: createJsonLines(print),
  };
  return {
    senders,
    async close() {
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
