/** Warm-up and daily limits in the whole service: set over SES's API, moved by a complaint, kept over a restart. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import {
  CreateConfigurationSetCommand,
  CreateDedicatedIpPoolCommand,
  CreateEmailIdentityCommand,
  GetDedicatedIpCommand,
  PutDedicatedIpInPoolCommand,
  PutDedicatedIpWarmupAttributesCommand,
  PutEmailIdentityFeedbackAttributesCommand,
  type SESv2Client,
  SendEmailCommand,
} from '@aws-sdk/client-sesv2';
import { createTransport } from 'nodemailer';
import type { Standalone } from '../../egress-node/standalone/standalone.ts';
import { HOUR } from '../../lib/time.ts';
import { StandaloneSite, sesClient } from '../support/standalone.ts';

const IP = '127.0.0.1';
const KEY = { id: 'AKIAWARMUPTEST000001', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };

let site: StandaloneSite;
let postern: Standalone;

before(async () => {
  site = await StandaloneSite.open();
  await start();
});
after(async () => {
  await postern.stop();
  await site.close();
});

async function start(): Promise<void> {
  postern = await site.start({
    POSTERN_EGRESS_IPS: IP,
    POSTERN_ACCESS_KEY_ID: KEY.id,
    POSTERN_SECRET_ACCESS_KEY: KEY.secret,
  });
}

const ses = (): SESv2Client => sesClient(postern, KEY);

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

/** Polls until `done` is true. */
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
/** The counts at the only provider that had mail. */
const counts = async () => (await api('GET', `/warmup?ip=${IP}`)).ips[0].providers[0]?.counts ?? {};

test('an IP warms up by SES’s API, counts a complaint, and goes on after a restart', async () => {
  await ses().send(new CreateEmailIdentityCommand({ EmailIdentity: 'example.com' }));
  // The complaint by mail to its sender would be counted, too, once it is delivered.
  await ses().send(
    new PutEmailIdentityFeedbackAttributesCommand({
      EmailIdentity: 'example.com',
      EmailForwardingEnabled: false,
    }),
  );
  await ses().send(new PutDedicatedIpWarmupAttributesCommand({ Ip: IP, WarmupPercentage: 10 }));
  const id = await send('user@example.net');
  await delivered(id);

  const fixture = await readFile(new URL('../fixtures/reports/yahoo-arf.eml', import.meta.url), 'utf8');
  const raw = fixture.replace(/^(message-id:) *<[^>]*@[^>]*>/gim, `$1 <${id}>`).replaceAll('\n', '\r\n');
  const [host, port] = postern.listening.inbound.split(':');
  const peer = createTransport({ host, port: Number(port), ignoreTLS: true });
  const to = site.received('user@example.net')!.from;
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

test('a new pool accepts mail, and sends it once it has an IP', async () => {
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

test('a limit per day is not exceeded through a restart', async () => {
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
  assert.equal(site.received('second@example.net'), undefined);
});
