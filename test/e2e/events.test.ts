/** Events of the whole service: to webhooks, to SNS by the SES API, and to a file. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  AlreadyExistsException,
  BadRequestException,
  CreateConfigurationSetCommand,
  CreateConfigurationSetEventDestinationCommand,
  CreateEmailIdentityCommand,
  CreateEmailTemplateCommand,
  DeleteConfigurationSetEventDestinationCommand,
  GetConfigurationSetEventDestinationsCommand,
  NotFoundException,
  type SESv2Client,
  SendEmailCommand,
  UpdateConfigurationSetEventDestinationCommand,
} from '@aws-sdk/client-sesv2';
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { CreateQueueCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { type FauxqsServer, startFauxqs } from 'fauxqs';
import { Webhook } from 'standardwebhooks';
import type { Standalone } from '../../egress-node/standalone/standalone.ts';
import { StandaloneSite, sesClient } from '../support/standalone.ts';

const KEY = { id: 'AKIAEVENTS0000000001', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
const AWS = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' };

type Json = ReturnType<typeof JSON.parse>;

let site: StandaloneSite;
let postern: Standalone;
let ses: SESv2Client;
let hooks: Server;
let fauxqs: FauxqsServer;
const bell = new EventEmitter();
const posted: { headers: Record<string, string>; body: string }[] = [];
let status = 200;

before(async () => {
  fauxqs = await startFauxqs({ port: 0, logger: false });
  Object.assign(process.env, AWS, { AWS_ENDPOINT_URL_SNS: `http://127.0.0.1:${fauxqs.port}` });
  hooks = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      posted.push({ headers: request.headers as Record<string, string>, body });
      response.writeHead(status).end();
      bell.emit('posted');
    });
  });
  hooks.listen(0, '127.0.0.1');
  await once(hooks, 'listening');
  site = await StandaloneSite.open();
  await start();
  await ses.send(new CreateEmailIdentityCommand({ EmailIdentity: 'example.org' }));
  await ses.send(new CreateConfigurationSetCommand({ ConfigurationSetName: 'news' }));
});
after(async () => {
  ses.destroy();
  await postern.stop();
  await site.close();
  hooks.closeAllConnections();
  hooks.close();
  await fauxqs.stop();
});

const port = (): number => (hooks.address() as AddressInfo).port;

async function start(): Promise<void> {
  postern = await site.start({
    POSTERN_ACCESS_KEY_ID: KEY.id,
    POSTERN_SECRET_ACCESS_KEY: KEY.secret,
    POSTERN_WEBHOOK_ALLOW: `127.0.0.1:${port()}`,
  });
  ses = sesClient(postern, KEY);
}

async function api(method: string, path: string, body?: object): Promise<{ status: number; body: Json }> {
  const response = await fetch(`http://${postern.listening.api}/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${KEY.id}.${KEY.secret}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

async function send(to: string, more: object = {}): Promise<string> {
  const { MessageId } = await ses.send(
    new SendEmailCommand({
      FromEmailAddress: 's@example.org',
      Destination: { ToAddresses: [to] },
      Content: { Simple: { Subject: { Data: 'Grüße' }, Body: { Text: { Data: 'Hi' } } } },
      ...more,
    }),
  );
  return MessageId!;
}

/** The first event that was posted, of this type, about mail to an address. */
async function postedEvent(
  type: string,
  to: string,
): Promise<{ event: Json; headers: Record<string, string>; body: string }> {
  for (;;) {
    for (const { headers, body } of posted) {
      const event = JSON.parse(body);
      if (event.eventType === type && event.mail.destination.includes(to)) return { event, headers, body };
    }
    await once(bell, 'posted');
  }
}

test('a webhook gets signed events of each outcome, with all headers of the mail', async () => {
  const { status: made, body } = await api('POST', '/event-destinations', {
    name: 'crm',
    types: ['SEND', 'DELIVERY', 'BOUNCE'],
    target: { kind: 'webhook', url: `http://127.0.0.1:${port()}/hook` },
  });
  assert.equal(made, 201);
  assert.match(body.target.secret, /^whsec_/);
  const shown = await api('GET', `/event-destinations/${body.id}`);
  assert.equal(shown.body.target.secret, undefined);

  const messageId = await send('ann@example.net', { EmailTags: [{ Name: 'kind', Value: 'greeting' }] });
  const sent = await postedEvent('Send', 'ann@example.net');
  const delivery = await postedEvent('Delivery', 'ann@example.net');
  for (const { headers, body: text } of [sent, delivery]) {
    assert.ok(new Webhook(body.target.secret).verify(text, headers));
  }
  const { mail } = delivery.event;
  assert.equal(mail.messageId, messageId);
  assert.equal(mail.commonHeaders.messageId, mail.messageId);
  assert.deepEqual(mail.tags.kind, ['greeting']);
  assert.deepEqual(mail.tags['ses:operation'], ['SendEmail']);
  assert.equal(mail.headersTruncated, false);
  assert.deepEqual(
    mail.headers.filter(({ name }: { name: string }) => ['Subject', 'MIME-Version'].includes(name)),
    [
      { name: 'Subject', value: 'Grüße' },
      { name: 'MIME-Version', value: '1.0' },
    ],
  );

  await send('nobody@example.net');
  const { event: bounce } = await postedEvent('Bounce', 'nobody@example.net');
  assert.equal(bounce.bounce.bounceType, 'Permanent');
});

test('an endpoint that is down shows the reason, and gets its events when it is back', async () => {
  status = 503;
  await send('late@example.net');
  await postedEvent('Send', 'late@example.net');
  const { body } = await api('GET', '/event-destinations');
  const crm = await body.eventDestinations.find(({ name }: { name: string }) => name === 'crm');
  for (;;) {
    const { body: now } = await api('GET', `/event-destinations/${crm.id}`);
    if (now.health.failures > 0) {
      assert.match(now.health.lastError, /^503/);
      break;
    }
  }
  const { body: tries } = await api('GET', `/event-destinations/${crm.id}/attempts`);
  assert.equal(tries.attempts.at(-1).result, 'retry');
  status = 200;
  const stream = await fetch(`http://${postern.listening.api}/v1/events?after=0`, {
    headers: { authorization: `Bearer ${KEY.id}.${KEY.secret}`, accept: 'text/event-stream' },
  });
  await postern.stop();
  assert.match(await stream.text(), /event: SEND\ndata: .*late@example.net/);
  ses.destroy();
  await start();
  const again = posted.length;
  const { body: tested } = await api('POST', `/event-destinations/${crm.id}/test`);
  assert.deepEqual(tested, { result: 'taken' });
  assert.ok(posted.length > again);
});

test('a rendering failure is an event with the template and the error', async () => {
  await ses.send(
    new CreateEmailTemplateCommand({
      TemplateName: 'welcome',
      TemplateContent: { Subject: 'Hi {{name}}', Text: 'Hi {{name}}' },
    }),
  );
  await api('POST', '/event-destinations', {
    name: 'failures',
    types: ['RENDERING_FAILURE'],
    target: { kind: 'file', path: join(site.directory, 'events.jsonl') },
  });
  const messageId = await send('ann@example.net', {
    Content: { Template: { TemplateName: 'welcome', TemplateData: '{}' } },
  });
  let line = '';
  while (!line.endsWith('\n')) {
    line = await readFile(join(site.directory, 'events.jsonl'), 'utf8').catch(() => '');
    await new Promise((done) => setImmediate(done));
  }
  const { type, event, messageId: id } = JSON.parse(line);
  assert.equal(type, 'Rendering Failure');
  assert.equal(id, messageId);
  assert.equal(event.failure.templateName, 'welcome');
  assert.match(event.failure.errorMessage, /name/);
  const { body } = await api('GET', `/messages/${messageId}/events`);
  assert.equal(body.events.at(-1).eventType, 'Rendering Failure');
});

test('the SES API makes an SNS destination of a set, and events reach the topic', async () => {
  const at = {
    endpoint: `http://127.0.0.1:${fauxqs.port}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
  const sns = new SNSClient(at);
  const sqs = new SQSClient(at);
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'mail' }));
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'mail' }));
  const Endpoint = 'arn:aws:sqs:us-east-1:000000000000:mail';
  await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint }));

  const named = { ConfigurationSetName: 'news', EventDestinationName: 'topic' };
  const EventDestination = {
    Enabled: true,
    MatchingEventTypes: ['DELIVERY' as const],
    SnsDestination: { TopicArn },
  };
  await ses.send(new CreateConfigurationSetEventDestinationCommand({ ...named, EventDestination }));
  await assert.rejects(
    ses.send(new CreateConfigurationSetEventDestinationCommand({ ...named, EventDestination })),
    AlreadyExistsException,
  );
  const { EventDestinations } = await ses.send(
    new GetConfigurationSetEventDestinationsCommand({ ConfigurationSetName: 'news' }),
  );
  assert.deepEqual(EventDestinations, [{ Name: 'topic', ...EventDestination }]);

  const messageId = await send('topic@example.net', { ConfigurationSetName: 'news' });
  for (;;) {
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 1 }));
    if (Messages.length === 0) continue;
    const { Message, Subject } = JSON.parse(Messages[0]!.Body!);
    assert.equal(Subject, 'Amazon SES Email Event Notification');
    assert.equal(JSON.parse(Message).mail.messageId, messageId);
    assert.equal(JSON.parse(Message).eventType, 'Delivery');
    break;
  }

  await ses.send(
    new UpdateConfigurationSetEventDestinationCommand({
      ...named,
      EventDestination: { ...EventDestination, Enabled: false },
    }),
  );
  await ses.send(new DeleteConfigurationSetEventDestinationCommand(named));
  await assert.rejects(ses.send(new DeleteConfigurationSetEventDestinationCommand(named)), NotFoundException);
  sns.destroy();
  sqs.destroy();
});

test('an invalid destination is refused with the reason', async () => {
  const named = { ConfigurationSetName: 'news', EventDestinationName: 'wrong' };
  const given = { Enabled: true, MatchingEventTypes: ['SEND' as const] };
  for (const EventDestination of [
    given,
    { ...given, SnsDestination: { TopicArn: 'arn:aws:sqs:us-east-1:111122223333:queue' } },
    {
      ...given,
      MatchingEventTypes: [],
      SnsDestination: { TopicArn: 'arn:aws:sns:us-east-1:111122223333:t' },
    },
  ]) {
    await assert.rejects(
      ses.send(new CreateConfigurationSetEventDestinationCommand({ ...named, EventDestination })),
      BadRequestException,
    );
  }
  for (const [url, words] of [
    ['ftp://example.com/', /begins with https/],
    ['https://user:password@example.com/', /no user and password/],
    ['nonsense', /begins with https/],
  ] as const) {
    const { status: refused, body } = await api('POST', '/event-destinations', {
      name: 'x',
      types: ['SEND'],
      target: { kind: 'webhook', url },
    });
    assert.equal(refused, 400);
    assert.match(body.error.message, words);
  }
});
