/** Destinations that AWS makes durable, over the SDK's own clients: SNS of fauxqs, the others by their protocol. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { type FauxqsServer, startFauxqs } from 'fauxqs';
import { type AwsDestinations, openAwsDestinations } from '../../lib/engine/aws/destinations/open.ts';
import type { CloudWatchTarget, EventMessage } from '../../lib/engine/destinations.ts';
import { type EventServices, startEventServices } from '../support/event-services.ts';

const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
const BUS = { kind: 'eventbridge', busArn: 'arn:aws:events:us-east-1:123456789012:event-bus/mail' } as const;
const STREAM = {
  kind: 'firehose',
  streamArn: 'arn:aws:firehose:us-east-1:123456789012:deliverystream/mail',
  roleArn: 'arn:aws:iam::123456789012:role/x',
} as const;
const METRICS: CloudWatchTarget = {
  kind: 'cloudwatch',
  dimensions: [
    { name: 'campaign', source: 'MESSAGE_TAG', fallback: 'none' },
    { name: 'Subject', source: 'EMAIL_HEADER', fallback: 'none' },
    { name: 'place', source: 'LINK_TAG', fallback: 'none' },
  ],
};

let fauxqs: FauxqsServer;
let services: EventServices;
let destinations: AwsDestinations;

before(async () => {
  [fauxqs, services] = await Promise.all([startFauxqs({ port: 0, logger: false }), startEventServices()]);
  destinations = openAwsDestinations({
    region: 'us-east-1',
    credentials,
    endpoints: {
      sns: `http://127.0.0.1:${fauxqs.port}`,
      eventbridge: services.url,
      firehose: services.url,
      cloudwatch: services.url,
    },
    deadline: 500,
  });
});
after(async () => {
  destinations.close();
  await services.close();
  await fauxqs.stop();
});
afterEach(() => {
  services.calls.length = 0;
  services.faults.clear();
  services.silent.clear();
});

function events(count: number): EventMessage[] {
  return Array.from({ length: count }, (_, n) => {
    const event = {
      eventType: n % 2 === 0 ? 'Rendering Failure' : 'Click',
      mail: { tags: { campaign: [`c${n}`] }, headers: [{ name: 'subject', value: 'Hi' }] },
      ...(n % 2 === 1 && { click: { linkTags: { place: ['top'] } } }),
    };
    return {
      id: `id-${n}`,
      tenant: 't',
      messageId: `m-${n}`,
      at: 1_767_225_600_000,
      event,
      json: JSON.stringify(event),
    };
  });
}

const kinds = (results: { kind: string }[]): string[] => results.map(({ kind }) => kind);

test('EventBridge gets each event with the detail type of SES, and hands back what it did not take', async () => {
  services.faults.set('PutEvents', { code: 'ThrottlingException', entry: (place) => place === 1 });
  const results = await destinations.eventbridge.send(BUS, events(3));
  assert.deepEqual(kinds(results), ['taken', 'retry', 'taken']);
  assert.match(JSON.stringify(results[1]), /ThrottlingException/);
  const [{ input }] = services.calls as [(typeof services.calls)[number]];
  assert.deepEqual(
    input.Entries.map((one: Record<string, unknown>) => [one.EventBusName, one.Source, one.DetailType]),
    [
      [BUS.busArn, 'postern.ses', 'Email Rendering Failed'],
      [BUS.busArn, 'postern.ses', 'Email Clicked'],
      [BUS.busArn, 'postern.ses', 'Email Rendering Failed'],
    ],
  );
  assert.deepEqual(JSON.parse(input.Entries[0].Detail).mail.tags, { campaign: ['c0'] });
  services.faults.set('PutEvents', { code: 'MalformedDetail', entry: () => true });
  assert.deepEqual(kinds(await destinations.eventbridge.send(BUS, events(1))), ['refused']);
});

test('Firehose gets a line for each event, and hands back what it did not take', async () => {
  services.faults.set('PutRecordBatch', { code: 'ServiceUnavailableException', entry: (place) => place > 1 });
  const results = await destinations.firehose.send(STREAM, events(4));
  assert.deepEqual(kinds(results), ['taken', 'taken', 'retry', 'retry']);
  const [{ input }] = services.calls as [(typeof services.calls)[number]];
  assert.equal(input.DeliveryStreamName, 'mail');
  const lines = input.Records.map(({ Data }: { Data: string }) => Buffer.from(Data, 'base64').toString());
  assert.deepEqual(
    lines,
    events(4).map(({ json }) => `${json}\n`),
  );
});

test('CloudWatch counts each event by the dimensions of its destination', async () => {
  assert.deepEqual(kinds(await destinations.cloudwatch.send(METRICS, events(2))), ['taken', 'taken']);
  const [{ input }] = services.calls as [(typeof services.calls)[number]];
  assert.equal(input.Namespace, 'Postern/SES');
  assert.deepEqual(
    input.MetricData.map((one: Record<string, unknown>) => [one.MetricName, one.Value, one.Unit]),
    [
      ['RenderingFailure', 1, 'Count'],
      ['Click', 1, 'Count'],
    ],
  );
  assert.deepEqual(input.MetricData[1].Dimensions, [
    { Name: 'campaign', Value: 'c1' },
    { Name: 'Subject', Value: 'Hi' },
    { Name: 'place', Value: 'top' },
  ]);
});

test('SNS gets the event as its message, at a FIFO topic in the order of its message', async () => {
  const at = { endpoint: `http://127.0.0.1:${fauxqs.port}`, region: 'us-east-1', credentials };
  const sns = new SNSClient(at);
  const sqs = new SQSClient(at);
  for (const suffix of ['', '.fifo']) {
    const Attributes = suffix ? { FifoTopic: 'true' } : undefined;
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: `mail${suffix}`, Attributes }));
    const queue = { QueueName: `mail${suffix}`, Attributes: suffix ? { FifoQueue: 'true' } : undefined };
    const { QueueUrl } = await sqs.send(new CreateQueueCommand(queue as never));
    const Endpoint = `arn:aws:sqs:us-east-1:000000000000:mail${suffix}`;
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint }));
    const results = await destinations.sns.send({ kind: 'sns', topicArn: TopicArn! }, events(2));
    assert.deepEqual(kinds(results), ['taken', 'taken'], JSON.stringify(results));
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }),
    );
    assert.deepEqual(
      Messages.map(({ Body }) => JSON.parse(Body!).Message as string).sort(),
      events(2)
        .map(({ json }) => json)
        .sort(),
    );
  }
  const gone = { kind: 'sns', topicArn: 'arn:aws:sns:us-east-1:000000000000:gone' } as const;
  const results = await destinations.sns.send(gone, events(1));
  assert.deepEqual(kinds(results), ['retry']);
  assert.match(JSON.stringify(results), /NotFound/);
  sns.destroy();
  sqs.destroy();
});

test('a role that was withdrawn, throttling, and a service that hangs are tried again later, with the reason', async () => {
  services.faults.set('PutRecordBatch', { code: 'AccessDeniedException' });
  const [denied] = await destinations.firehose.send(STREAM, events(1));
  assert.deepEqual(denied, {
    kind: 'retry',
    text: 'AccessDeniedException: AccessDeniedException of the test',
  });
  services.faults.set('PutEvents', { code: 'ThrottlingException', status: 400 });
  const [throttled] = await destinations.eventbridge.send(BUS, events(1));
  assert.ok(throttled?.kind === 'retry');
  assert.equal(throttled.after, 1_000);
  services.silent.add('PutMetricData');
  const [hung] = await destinations.cloudwatch.send(METRICS, events(1));
  assert.equal(hung!.kind, 'retry');
  assert.match(JSON.stringify(hung), /Timeout/);
});
