/**
 * Events on AWS over emulators: the functions of outcomes, of events and of the API, each under its role, to SNS of
 * fauxqs, to EventBridge, Firehose and CloudWatch by their protocol, and to a webhook.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, mock, test } from 'node:test';
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import type { SQSEvent } from 'aws-lambda';
import { Webhook } from 'standardwebhooks';
import { openService } from '../../functions/api-service.ts';
import { type EventParts, openEventParts, publisher } from '../../functions/event-parts.ts';
import { createSender } from '../../functions/events.ts';
import { makeFirstKey, openKeysOf } from '../../functions/first-key.ts';
import { createConsumer } from '../../functions/outcomes.ts';
import { type AwsEngine, openAws } from '../../lib/engine/aws/open.ts';
import { writeOutcomes } from '../../lib/engine/aws/outcome-message.ts';
import { EVENT_QUEUE } from '../../lib/engine/aws/schema.ts';
import type { MessageRecord, Outcome } from '../../lib/engine/items.ts';
import { EventCarrier } from '../../lib/events/carrier.ts';
import { answer, type Fetch } from '../../lib/http/function-url.ts';
import { silentLog } from '../../lib/log.ts';
import { newMessageId } from '../../lib/mail/message-id.ts';
import { StatisticsRecorder } from '../../lib/statistics/recorder.ts';
import { type Clock, DAY, HOUR, MINUTE } from '../../lib/time.ts';
import { moveTime, startTestAws, type TestAws } from '../support/aws.ts';
import { MASTER_KEY } from '../support/control.ts';
import { openEmf } from '../support/emf.ts';
import { type EventServices, startEventServices } from '../support/event-services.ts';
import { scheduled, sqsEvent, URL_DOMAIN, urlEvent } from '../support/lambda.ts';
import { attempt, messageRecord, outcome } from '../support/outcomes.ts';
import { inRole } from '../support/roles.ts';

const CONTEXT = { region: 'us-east-1', accountId: '123456789012', hostname: 'mail.example.com' };
const ACCOUNT = 'arn:aws:iam::123456789012:role/x';
const BUS = 'arn:aws:events:us-east-1:123456789012:event-bus/mail';
const STREAM = 'arn:aws:firehose:us-east-1:123456789012:deliverystream/mail';
const clock: Clock = {
  now: () => Date.now(),
  after(delay, task) {
    const timer = setTimeout(task, delay).unref();
    return () => clearTimeout(timer);
  },
};

let aws: TestAws;
let services: EventServices;
let sqs: SQSClient;
let sns: SNSClient;
let topicQueue: string;
let hooks: Server;
const posted: { id: string; type: string; messageId: string; verified: boolean }[] = [];
let status = 200;
let secret = '';
const engines: AwsEngine[] = [];
const parts: EventParts[] = [];
let api: Fetch;
let bearer: string;
let consume: ReturnType<typeof createConsumer>;
let sender: ReturnType<typeof createSender>;
const { emf, lines } = openEmf();
const output = { log: silentLog, emf };
/** By name. */
const made = new Map<string, string>();

async function engineOf(role: string): Promise<AwsEngine> {
  const client = inRole(role, aws.resources, aws.client);
  const engine = await openAws({ resources: aws.resources, clock, client, log: silentLog });
  engines.push(engine);
  return engine;
}

before(async () => {
  [aws, services] = await Promise.all([startTestAws([]), startEventServices()]);
  hooks = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      const event = JSON.parse(body);
      let verified = true;
      try {
        new Webhook(secret).verify(body, request.headers as Record<string, string>);
      } catch {
        verified = false;
      }
      posted.push({
        id: String(request.headers['webhook-id']),
        type: event.eventType,
        messageId: event.mail.messageId,
        verified,
      });
      response.writeHead(status).end();
    });
  });
  hooks.listen(0, '127.0.0.1');
  await once(hooks, 'listening');
  const { endpoints = {}, region, credentials } = aws.client;
  const at = { region, credentials: credentials as never, endpoint: endpoints.sqs };
  [sqs, sns] = [new SQSClient(at), new SNSClient(at)];
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'mail' }));
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'topic' }));
  topicQueue = QueueUrl!;
  await sns.send(
    new SubscribeCommand({
      TopicArn,
      Protocol: 'sqs',
      Endpoint: 'arn:aws:sqs:us-east-1:000000000000:topic',
      Attributes: { RawMessageDelivery: 'true' },
    }),
  );

  const first = await engineOf('api FirstKeyRole');
  const key = await makeFirstKey(openKeysOf(first.config, MASTER_KEY));
  bearer = `Bearer ${key.accessKeyId}.${key.secretAccessKey}`;
  const settings = {
    resources: aws.resources,
    ...CONTEXT,
    eventDays: 7,
    pools: ['default'],
    returnPathDomain: 'bounces.example.com',
    secrets: 'secrets',
  };
  api = await openService({
    engine: await engineOf('api ApiRole'),
    settings,
    masterKey: MASTER_KEY,
    returnPathKey: Buffer.alloc(32, 3),
    trackingKey: Buffer.alloc(32, 4),
    clock,
    random: Math.random,
    output,
  });
  const open = async (role: string, masterKey?: Buffer): Promise<[AwsEngine, EventParts]> => {
    const engine = await engineOf(role);
    const opened = openEventParts({
      engine,
      context: CONTEXT,
      eventDays: 7,
      masterKey,
      clock,
      random: Math.random,
      output,
      aws: {
        credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
        endpoints: {
          sns: endpoints.sqs,
          eventbridge: services.url,
          firehose: services.url,
          cloudwatch: services.url,
        },
      },
      webhookAllow: [`127.0.0.1:${(hooks.address() as AddressInfo).port}`],
    });
    parts.push(opened);
    return [engine, opened];
  };
  const [outcomes, ofOutcomes] = await open('api OutcomesRole');
  consume = createConsumer({
    records: outcomes.records,
    suppressions: outcomes.suppressions,
    keepReports: outcomes.keepReports,
    publish: publisher(ofOutcomes, CONTEXT, clock),
    statistics: new StatisticsRecorder({ rows: outcomes.rows, shards: 1 }),
    protection: { check: async () => {} },
    context: CONTEXT,
    output,
  });
  const [, ofSender] = await open('api EventsRole', MASTER_KEY);
  const carrier = new EventCarrier({
    ...ofSender,
    find: (id) => ofSender.destinations.find(id),
    context: CONTEXT,
    clock,
    log: silentLog,
  });
  sender = createSender(carrier, output, clock);
});

after(async () => {
  mock.timers.reset();
  for (const one of parts) await one.close();
  for (const engine of engines) await engine.close();
  sqs.destroy();
  sns.destroy();
  hooks.closeAllConnections();
  hooks.close();
  await services.close();
  await aws.stop();
});

async function call(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
  const [rawPath, rawQuery = ''] = `/v1/${path}`.split('?');
  const sent: [string, string][] = [
    ['host', URL_DOMAIN],
    ['content-type', 'application/json'],
    ['authorization', bearer],
    ...Object.entries(headers),
  ];
  const request = {
    method,
    rawPath: rawPath!,
    rawQuery,
    headers: sent,
    body: Buffer.from(body ? JSON.stringify(body) : ''),
    sourceIp: '192.0.2.77',
  };
  const result = await answer(api, urlEvent(request));
  assert.ok(typeof result === 'object');
  return { status: result.statusCode!, json: result.body ? JSON.parse(result.body) : undefined };
}

async function make(name: string, types: string[], target: object): Promise<string> {
  const { status: code, json } = await call('POST', 'event-destinations', { name, types, target });
  assert.equal(code, 201, JSON.stringify(json));
  made.set(name, json.id);
  if (json.target.secret) secret = json.target.secret;
  // A change shows within about a second, and each call of the functions begins so.
  await seen();
  return json.id;
}

/** A change of the configuration is in force in every function. */
async function seen(): Promise<void> {
  moveTime(Date.now() + 2_000);
  for (const engine of engines) await engine.config.catchUp();
}

const shown = async (name: string) => (await call('GET', `event-destinations/${made.get(name)}`)).json;

/** A message that was delivered: its outcomes are consumed as Lambda would bring them. @returns its id. */
async function deliver(count = 1): Promise<string[]> {
  const anybody = await engineOf('api ApiRole');
  const now = Date.now();
  const records = Array.from({ length: count }, (): MessageRecord => {
    const id = newMessageId(now);
    return messageRecord({ id, tenant: 'default', acceptedAt: now, expiresAt: now + HOUR });
  });
  await anybody.queue.admit(records.map((record) => ({ record, body: Buffer.alloc(0), deliveries: [] })));
  const happened = records.map(
    ({ id, tenant }): Outcome =>
      outcome('attempt', { messageId: id, tenant, at: now, attempt: attempt({ at: now }) }),
  );
  assert.deepEqual(await consume(sqsEvent([writeOutcomes(happened)])), { batchItemFailures: [] });
  return records.map(({ id }) => id);
}

/** Drains the queue of events as Lambda does. @returns how many parcels were handed back. */
async function lambda(): Promise<number> {
  const QueueUrl = `${aws.resources.queueUrlPrefix}${EVENT_QUEUE}`;
  let back = 0;
  for (;;) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: 10,
        VisibilityTimeout: 360,
        MessageSystemAttributeNames: ['All'],
      }),
    );
    if (Messages.length === 0) return back;
    const { batchItemFailures } = await sender(fifoEvent(Messages));
    const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    back += failed.size;
    for (const { MessageId, ReceiptHandle } of Messages) {
      if (!failed.has(MessageId!)) await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    }
  }
}

function fifoEvent(messages: readonly Message[]): SQSEvent {
  const { Records } = sqsEvent(messages.map(({ Body }) => Body!));
  return {
    Records: Records.map((record, at) => ({
      ...record,
      messageId: messages[at]!.MessageId!,
      attributes: { ...record.attributes, MessageGroupId: messages[at]!.Attributes!.MessageGroupId },
    })),
  };
}

/** The schedule of each minute, and what follows from it. */
async function minute(): Promise<void> {
  moveTime(Date.now() + MINUTE);
  await sender(scheduled);
  await lambda();
}

async function fromTopic(): Promise<string[]> {
  const ids: string[] = [];
  for (;;) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: topicQueue, MaxNumberOfMessages: 10 }),
    );
    if (Messages.length === 0) return ids;
    for (const { Body, ReceiptHandle } of Messages) {
      ids.push(JSON.parse(Body!).mail.messageId);
      await sqs.send(new DeleteMessageCommand({ QueueUrl: topicQueue, ReceiptHandle }));
    }
  }
}

describe('events on AWS', () => {
  before(() => moveTime(Date.now()));

  test('reach every kind of destination, each by the functions’ own roles', async () => {
    const { port } = hooks.address() as AddressInfo;
    const types = ['DELIVERY'];
    await make('topic', types, { kind: 'sns', topicArn: 'arn:aws:sns:us-east-1:000000000000:mail' });
    await make('bus', types, { kind: 'eventbridge', busArn: BUS });
    await make('stream', types, { kind: 'firehose', streamArn: STREAM, roleArn: ACCOUNT });
    const dimensions = [{ name: 'campaign', source: 'MESSAGE_TAG', fallback: 'none' }];
    await make('metrics', types, { kind: 'cloudwatch', dimensions });
    await make('hook', types, { kind: 'webhook', url: `http://127.0.0.1:${port}/in` });
    const file = { name: 'disk', types, target: { kind: 'file', path: '/tmp/x' } };
    const refused = await call('POST', 'event-destinations', file);
    assert.deepEqual([refused.status, refused.json.error.code], [400, 'unsupported_operation']);

    const [id] = await deliver();
    assert.deepEqual(await fromTopic(), [id]);
    assert.deepEqual(services.calls.map(({ operation }) => operation).sort(), [
      'PutEvents',
      'PutMetricData',
      'PutRecordBatch',
    ]);
    assert.equal(posted.length, 0, 'a webhook is not waited for');
    assert.equal(await lambda(), 0);
    assert.deepEqual(
      posted.map(({ messageId, type, verified }) => [messageId, type, verified]),
      [[id, 'Delivery', true]],
    );
    for (const name of made.keys()) {
      const { health } = await shown(name);
      assert.deepEqual([name, health.taken, health.waiting, health.failures], [name, 1, 0, 0]);
    }
    const { json } = await call('GET', `event-destinations/${made.get('hook')}/attempts`);
    assert.equal(json.attempts[0].result, 'taken');
    assert.equal(json.attempts[0].eventId, posted[0]!.id);
  });

  test('whose role was withdrawn, or that are throttled, disable nothing else, and catch up', async () => {
    services.calls.length = 0;
    services.faults.set('PutRecordBatch', { code: 'AccessDeniedException' });
    let throttled = 0;
    services.faults.set('PutEvents', () =>
      throttled++ < 1 ? { code: 'ThrottlingException', entry: (place) => place < 2 } : undefined,
    );
    const ids = await deliver(5);
    assert.deepEqual((await fromTopic()).sort(), [...ids].sort());
    await lambda();
    assert.equal(new Set(posted.slice(1).map(({ messageId }) => messageId)).size, 5);
    const { enabled, health } = await shown('stream');
    assert.equal(enabled, true);
    assert.equal(health.waiting, 5);
    assert.match(health.lastError, /AccessDenied/);
    lines.length = 0;
    await minute();
    assert.deepEqual(
      lines.flatMap(({ values }) => values.EventDestinationsBehind ?? []),
      [2],
    );
    services.faults.clear();
    for (let n = 0; n < 3; n += 1) await minute();
    for (const name of ['stream', 'bus']) {
      const { health: now } = await shown(name);
      assert.deepEqual([name, now.waiting, now.failures, now.dropped], [name, 0, 0, 0]);
    }
    const records = services.calls.filter(({ operation }) => operation === 'PutRecordBatch');
    assert.equal(records.flatMap(({ input }) => input.Records).length, 5);
  });

  test('wait for a webhook that is down, in order, and are sent with their ids when it is back', async () => {
    status = 503;
    posted.length = 0;
    const ids = await deliver(20);
    await lambda();
    assert.ok(posted.length <= 20);
    const tried = posted.length;
    await deliver(1);
    await lambda();
    assert.equal(posted.length, tried, 'a closed destination is not asked');
    const { health } = await shown('hook');
    assert.equal(health.waiting, 21);
    assert.match(health.lastError, /^503/);
    status = 200;
    const before = posted.length;
    for (let n = 0; n < 3; n += 1) await minute();
    const after = posted.slice(before);
    assert.equal(new Set(after.map(({ messageId }) => messageId)).size, 21);
    assert.ok(ids.every((id) => after.some(({ messageId }) => messageId === id)));
    for (const one of posted.slice(0, before)) {
      assert.ok(after.some(({ id, messageId }) => id === one.id && messageId === one.messageId));
    }
    assert.equal((await shown('hook')).health.waiting, 0);
  });

  test('are fetched by a cursor and a tenant; a stream of them is refused with the way that works', async () => {
    moveTime(Date.now() + MINUTE);
    const all = await call('GET', 'events');
    assert.equal(all.status, 400);
    assert.match(all.json.error.message, /tenant=default/);
    const first = await call('GET', 'events?tenant=default&max=10');
    assert.equal(first.json.events.length, 10);
    assert.equal(first.json.more, true);
    const rest = await call('GET', `events?tenant=default&max=500&after=${first.json.cursor}`);
    assert.equal(rest.json.events.length, 17);
    const seen = [...first.json.events, ...rest.json.events].map(({ id }) => id);
    assert.equal(new Set(seen).size, 27);
    const stream = await call('GET', 'events?tenant=default', undefined, { accept: 'text/event-stream' });
    assert.equal(stream.json.error.code, 'unsupported_operation');
    assert.match(stream.json.error.message, /cursor of each answer/);
  });

  test('are replayed, and a destination is tried, by orders of the API', async () => {
    posted.length = 0;
    const id = made.get('hook');
    const span = { from: new Date(Date.now() - DAY).toISOString() };
    const replayed = await call('POST', `event-destinations/${id}/replay`, span);
    assert.equal(replayed.status, 202, JSON.stringify(replayed.json));
    assert.equal(replayed.json.health.replaying, true);
    await lambda();
    for (let n = 0; n < 2; n += 1) await minute();
    assert.equal(new Set(posted.map((one) => one.id)).size, 27);
    assert.equal((await shown('hook')).health.replaying, false);

    // The answer is looked for by real time.
    const now = Date.now();
    mock.timers.reset();
    const tested = call('POST', `event-destinations/${id}/test`);
    let over = false;
    void tested.then(() => (over = true));
    while (!over) {
      await lambda();
      await new Promise((done) => setImmediate(done));
    }
    assert.deepEqual((await tested).json, { result: 'taken' });
    assert.match(posted.at(-1)!.id, /^test-/);
    moveTime(now);
  });

  test('come again with their ids when storage fails in the middle of a batch', async () => {
    posted.length = 0;
    const [id] = await deliver();
    const QueueUrl = `${aws.resources.queueUrlPrefix}${EVENT_QUEUE}`;
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl, MessageSystemAttributeNames: ['All'], VisibilityTimeout: 360 }),
    );
    const carrier = new EventCarrier({
      ...parts[1]!,
      find: () => Promise.reject(new Error('storage is away')),
      context: CONTEXT,
      clock,
      log: silentLog,
    });
    const broken = createSender(carrier, output, clock);
    const { batchItemFailures } = await broken(fifoEvent(Messages));
    assert.deepEqual(
      batchItemFailures.map(({ itemIdentifier }) => itemIdentifier),
      [Messages[0]!.MessageId],
    );
    await sender(fifoEvent(Messages));
    await sender(fifoEvent(Messages));
    assert.deepEqual(new Set(posted.map(({ messageId }) => messageId)), new Set([id]));
    assert.equal(new Set(posted.map((one) => one.id)).size, 1);
    // What stays in flight would hold back the next of its message group.
    for (const { ReceiptHandle } of Messages) {
      await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    }
  });

  test('no longer go to a webhook that answered 410, which says why', async () => {
    status = 410;
    await deliver();
    await lambda();
    await seen();
    const { enabled, disabledBecause } = await shown('hook');
    assert.equal(enabled, false);
    assert.match(disabledBecause, /410/);
    status = 200;
  });
});
