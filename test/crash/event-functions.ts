/**
 * The functions of outcomes and of events as one process that a test kills: it drains both queues as Lambda does, until
 * it dies. What it received and did not delete comes again.
 */
import { DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { openEventParts, publisher } from '../../functions/event-parts.ts';
import { createSender } from '../../functions/events.ts';
import { createConsumer } from '../../functions/outcomes.ts';
import { openAws } from '../../lib/engine/aws/open.ts';
import { EVENT_QUEUE, OUTCOME_QUEUE } from '../../lib/engine/aws/schema.ts';
import { EventCarrier } from '../../lib/events/carrier.ts';
import { silentLog } from '../../lib/log.ts';
import { createEmf } from '../../lib/observe/emf.ts';
import { systemClock } from '../../lib/time.ts';
import { scheduled, sqsEvent } from '../support/lambda.ts';

/** Seconds after which a message of a killed process comes again. */
const VISIBILITY = 3;

const { aws, receiver } = JSON.parse(process.argv[2]!);
const context = { region: 'us-east-1', accountId: '123456789012', hostname: 'mta.example.com' };
const output = { log: silentLog, emf: createEmf({ now: Date.now, write: () => {}, stage: undefined }) };
const engine = await openAws({ resources: aws.resources, client: aws.client, clock: systemClock });
const parts = openEventParts({
  engine,
  context,
  eventDays: 0,
  masterKey: Buffer.alloc(32, 7),
  clock: systemClock,
  random: Math.random,
  output,
  aws: {
    credentials: aws.client.credentials,
    endpoints: { sns: `http://127.0.0.1:${receiver}/sns` },
  },
  webhookAllow: [`127.0.0.1:${receiver}`],
});
const consume = createConsumer({
  ...engine,
  publish: publisher(parts, context, systemClock),
  statistics: { count: async () => true },
  protection: { check: async () => {} },
  context,
  output,
} as Parameters<typeof createConsumer>[0]);
const carrier = new EventCarrier({
  ...parts,
  find: (id) => parts.destinations.find(id),
  context,
  clock: systemClock,
  log: silentLog,
});
const send = createSender(carrier, output, systemClock);
const sqs = new SQSClient({ ...aws.client, endpoint: aws.client.endpoints.sqs });

async function drain(
  queue: string,
  handle: (
    event: ReturnType<typeof sqsEvent>,
  ) => Promise<{ batchItemFailures: { itemIdentifier: string }[] }>,
) {
  const QueueUrl = `${aws.resources.queueUrlPrefix}${queue}`;
  for (;;) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: 10,
        VisibilityTimeout: VISIBILITY,
        WaitTimeSeconds: 1,
        MessageSystemAttributeNames: ['All'],
      }),
    );
    if (Messages.length === 0) continue;
    const event = sqsEvent(Messages.map(({ Body }) => Body!));
    for (const [at, record] of event.Records.entries()) {
      record.attributes.MessageGroupId = Messages[at]!.Attributes?.MessageGroupId;
    }
    const { batchItemFailures } = await handle(event);
    const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    const Entries = Messages.flatMap(({ ReceiptHandle }, at) =>
      failed.has(`message-${at}`) ? [] : [{ Id: String(at), ReceiptHandle }],
    );
    if (Entries.length > 0) await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
  }
}

// The schedule of each minute, here of each second.
setInterval(() => void send(scheduled).catch(() => {}), 1_000);
process.send!('ready');
await Promise.all([drain(OUTCOME_QUEUE, consume), drain(EVENT_QUEUE, send)]);
