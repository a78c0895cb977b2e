/** Warm-up and limits by the day in the whole service: told over SES's API, moved by a complaint, kept over a restart. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  CreateConfigurationSetCommand,
  CreateDedicatedIpPoolCommand,
  CreateEmailIdentityCommand,
  GetDedicatedIpCommand,
  PutDedicatedIpInPoolCommand,
  PutDedicatedIpWarmupAttributesCommand,
  SESv2Client,
  SendEmailCommand,
} from '@aws-sdk/client-sesv2';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { readSettings } from '../../egress-node/settings.ts';
import { type Standalone, startStandalone } from '../../egress-node/standalone/standalone.ts';
import { silentLog } from '../../lib/observe/log.ts';

const IP = '127.0.0.1';
const KEY = { id: 'AKIAWARMUPTEST000001', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
const HOUR = 3_600_000;

let directory: string;
let sink: SMTPServer;
let postern: Standalone;
/** Return paths by recipient, as the sink saw them. */
const returnPaths = new Map<string, string>();

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-warmup-'));
  sink = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    onData(stream, { envelope }, callback) {
      stream.resume();
      stream.on('end', () => {
        if (envelope.mailFrom) returnPaths.set(envelope.rcptTo[0]!.address, envelope.mailFrom.address);
        callback();
      });
    },
  });
  sink.listen(0, '127.0.0.1');
  await once(sink.server, 'listening');
  await start();
});
after(async () => {
  await postern.stop();
  sink.close();
  await rm(directory, { recursive: true, force: true });
});

async function start(): Promise<void> {
  const { port } = sink.server.address() as AddressInfo;
  const settings = readSettings(
    {
      POSTERN_DATA: directory,
      POSTERN_API: '127.0.0.1:0',
      POSTERN_SUBMISSION: '127.0.0.1:0',
      POSTERN_INBOUND: '127.0.0.1:0',
      POSTERN_ROUTES: `*=127.0.0.1:${port}`,
      POSTERN_EGRESS_IPS: IP,
      POSTERN_ACCESS_KEY_ID: KEY.id,
      POSTERN_SECRET_ACCESS_KEY: KEY.secret,
    },
    { hostname: 'mail.example.com' },
    { verifyIdentities: false },
  );
  postern = await startStandalone(settings, silentLog);
}

const ses = (): SESv2Client =>
  new SESv2Client({
    endpoint: `http://${postern.listening.api}`,
    region: 'us-east-1',
    credentials: { accessKeyId: KEY.id, secretAccessKey: KEY.secret },
  });

async function api(method: string, path: string, body?: object) {
  const answer = await fetch(`http://${postern.listening.api}/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${KEY.id}.${KEY.secret}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const json = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(json));
  // biome-ignore lint/suspicious/noExplicitAny: its shape is checked where the document of the API is
  return json as any;
}

async function send(to: string, set?: string): Promise<string> {
  const { MessageId } = await ses().send(
    new SendEmailCommand({
      FromEmailAddress: 'ann@example.com',
      Destination: { ToAddresses: [to] },
      Content: { Simple: { Subject: { Data: 'Hi' }, Body: { Text: { Data: 'Hello.' } } } },
      ConfigurationSetName: set,
    }),
  );
  return MessageId!;
}

/** Asks until it is so. */
async function until<T>(ask: () => Promise<T>, so: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (so(answer)) return answer;
  }
}

const delivered = (id: string) =>
  until(
    () => api('GET', `/messages/${encodeURIComponent(id)}`),
    ({ deliveries }) => deliveries[0].state === 'delivered',
  );
/** What is counted at the only provider that had mail. */
const counts = async () => (await api('GET', `/warmup?ip=${IP}`)).ips[0].providers[0]?.counts ?? {};

test('an IP warms up by SES’s API, hears a complaint, and goes on after a restart', async () => {
  await ses().send(new CreateEmailIdentityCommand({ EmailIdentity: 'example.com' }));
  await ses().send(new PutDedicatedIpWarmupAttributesCommand({ Ip: IP, WarmupPercentage: 10 }));
  const id = await send('user@example.net');
  await delivered(id);

  const fixture = await readFile(new URL('../fixtures/reports/yahoo-arf.eml', import.meta.url), 'utf8');
  const raw = fixture.replace(/^(message-id:) *<[^>]*@[^>]*>/gim, `$1 <${id}>`).replaceAll('\n', '\r\n');
  const [host, port] = postern.listening.inbound.split(':');
  const peer = createTransport({ host, port: Number(port), ignoreTLS: true });
  const to = returnPaths.get('user@example.net')!;
  const { response } = await peer.sendMail({ envelope: { from: '', to }, raw });
  assert.match(response, /^250 .*Recorded/);
  peer.close();
  await until(counts, ({ complained }) => complained === 1);

  await postern.stop();
  await start();
  const after = await counts();
  assert.equal(after.complained, 1);
  assert.equal(after.delivered, 1);
  const { DedicatedIp } = await ses().send(new GetDedicatedIpCommand({ Ip: IP }));
  assert.equal(DedicatedIp!.WarmupStatus, 'IN_PROGRESS');
  assert.equal(DedicatedIp!.WarmupPercentage, 10);
});

test('a pool that was just made takes mail, and sends it when it has an IP', async () => {
  const PoolName = 'fresh';
  await ses().send(new CreateDedicatedIpPoolCommand({ PoolName }));
  await ses().send(
    new CreateConfigurationSetCommand({
      ConfigurationSetName: 'fresh',
      DeliveryOptions: { SendingPoolName: PoolName },
    }),
  );
  await ses().send(new PutDedicatedIpInPoolCommand({ Ip: IP, DestinationPoolName: PoolName }));
  await delivered(await send('pool@example.net', 'fresh'));
  await ses().send(
    new PutDedicatedIpInPoolCommand({ Ip: IP, DestinationPoolName: 'ses-default-dedicated-pool' }),
  );
});

test('a limit by the day is not exceeded by a restart', async () => {
  await api('PUT', '/config/limits/default', { route: { messageRate: '24/d' } });
  await delivered(await send('first@example.net'));
  await postern.stop();
  await start();
  await send('second@example.net');
  const { explanations } = await until(
    () => api('GET', '/shaping/explain?domain=example.net'),
    ({ explanations: [one] }) => one.binding?.limit === 'messageRate',
  );
  const wait = explanations[0].binding.waitMs;
  assert.ok(wait > HOUR / 2 && wait <= HOUR + 10, `${wait} ms`);
  assert.equal(returnPaths.has('second@example.net'), false);
});
