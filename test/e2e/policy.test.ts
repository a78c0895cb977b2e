/** A real `postern.policy.ts` in the whole service: live once saved, unless broken; its faults stop no mail. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  CreateEmailIdentityCommand,
  PutEmailIdentityFeedbackAttributesCommand,
  type SESv2Client,
  SendEmailCommand,
} from '@aws-sdk/client-sesv2';
import { createTransport } from 'nodemailer';
import type { Standalone } from '../../egress-node/standalone/standalone.ts';
import { PolicyFile, policySource } from '../support/policy.ts';
import { StandaloneSite, sesClient } from '../support/standalone.ts';

let site: StandaloneSite;
let file: PolicyFile;
let postern: Standalone;
let ses: SESv2Client;

before(async () => {
  site = await StandaloneSite.open();
  file = await PolicyFile.make();
  const note = (event: string, fields?: Record<string, unknown>): void => file.note(event, fields);
  const log = { debug: note, info: note, warn: note, error: note };
  postern = await site.start({ POSTERN_POLICY: file.path }, log);
  ses = sesClient(postern, postern.firstKey!.key);
  await ses.send(new CreateEmailIdentityCommand({ EmailIdentity: 'example.com' }));
  // What bounces would come back as mail to its sender, past the hooks that are counted here.
  await ses.send(
    new PutEmailIdentityFeedbackAttributesCommand({
      EmailIdentity: 'example.com',
      EmailForwardingEnabled: false,
    }),
  );
});
after(async () => {
  ses.destroy();
  await postern.stop();
  await file.remove();
  await site.close();
});

/** The fields of the API's answers that the tests use. */
interface Delivery {
  state: string;
  reason: string;
  text: string;
}
interface Message {
  class: string;
  deliveries: Delivery[];
}
interface Policy {
  loads: number;
  refused?: { message: string };
  hooks: { name: string; failures: number; overruns: number; lastFailure: { message: string } }[];
}

/** A call of the Postern API. */
async function call<T>(path: string, body?: object): Promise<{ status: number; json: T }> {
  const { id, secret } = postern.firstKey!.key;
  const answer = await fetch(`http://${postern.listening.api}/v1${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${id}.${secret}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  return { status: answer.status, json: (await answer.json()) as T };
}

const message = (to: string, subject = 'Hello') => ({
  from: 'ann@example.com',
  to: [to],
  subject,
  text: 'x',
});

/** Sends a message, and waits until its delivery is in the given state. */
async function sent(
  to: string,
  wanted: (delivery: Delivery) => boolean,
): Promise<{ message: Message; delivery: Delivery }> {
  const { status, json } = await call<{ messages: { id: string }[] }>('/messages', message(to));
  assert.equal(status, 202, JSON.stringify(json));
  const path = `/messages/${encodeURIComponent(json.messages[0]!.id)}`;
  for (;;) {
    const { json: found } = await call<Message>(path);
    const [delivery] = found.deliveries;
    if (wanted(delivery!)) return { message: found, delivery: delivery! };
  }
}

const delivered = ({ state }: Delivery): boolean => state === 'delivered';

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`http://${postern.listening.api}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

test('without a file mail is sent as before; a saved file is live in every protocol', async () => {
  await sent('bob@example.net', delivered);
  assert.deepEqual((await call('/policy')).json, {
    file: file.path,
    loads: 0,
    restarts: 0,
    skipped: 0,
    hooks: [],
  });
  await file.save(
    policySource(`
      onAccept: (m) => m.subject === 'Refused' ? { refuse: 'Nobody sends that by ' + m.door + '.' } : { class: 'bulk' },
      onRoute: (m) => m.domain === 'nowhere.example' ? { pool: 'nowhere' } : undefined,
      onReply: (r) => r.enhanced === '4.2.2' ? {
        state: 'bounced',
        directive: { scope: ['domain'], action: { kind: 'limit', limits: { connections: 1 } }, seconds: 60, reason: 'Full' },
      } : undefined`),
    'policy.loaded',
  );
  assert.equal((await sent('bob@example.net', delivered)).message.class, 'bulk');

  const refused = await call('/messages', message('bob@example.net', 'Refused'));
  assert.equal(refused.status, 400);
  assert.match(JSON.stringify(refused.json), /refused_by_policy.*Nobody sends that by postern\./);
  const byV2 = ses.send(
    new SendEmailCommand({
      FromEmailAddress: 'ann@example.com',
      Destination: { ToAddresses: ['bob@example.net'] },
      Content: { Simple: { Subject: { Data: 'Refused' }, Body: { Text: { Data: 'x' } } } },
    }),
  );
  await assert.rejects(byV2, { name: 'MessageRejected', message: 'Nobody sends that by ses-v2.' });
  const [host, port] = postern.listening.submission.split(':');
  const { key, smtpPassword } = postern.firstKey!;
  const bySmtp = createTransport({
    host,
    port: Number(port),
    auth: { user: key.id, pass: smtpPassword },
    tls: { rejectUnauthorized: false },
  }).sendMail({ from: 'ann@example.com', to: 'bob@example.net', subject: 'Refused', text: 'x' });
  await assert.rejects(bySmtp, /550 5\.7\.1 Nobody sends that by smtp\./);
});

test('the policy answers a reply, and its directive is listed under its name', async () => {
  const { delivery } = await sent('full@example.net', ({ state }) => state === 'bounced');
  assert.equal(delivery.reason, 'bounced_by_policy');
  assert.match(delivery.text, /^452 4\.2\.2 Mailbox full/);
  const { json } = await call<{ directives: { match: object; reason: string }[] }>(
    '/directives?rule=postern.policy.ts',
  );
  assert.deepEqual(
    json.directives.map(({ match, reason }) => ({ match, reason })),
    [{ match: { domain: 'example.net' }, reason: 'Full' }],
  );
  assert.equal(await metric('postern_directives{given="automatic"}'), 1);
});

test('mail routed to an unknown pool waits, with the reason', async () => {
  const { delivery } = await sent('bob@nowhere.example', ({ reason }) => reason === 'no_source_ip');
  assert.match(delivery.text, /onRoute of postern\.policy\.ts sends it by pool "nowhere"/);
  assert.equal(await metric('postern_policy_trouble_total{hook="onRoute",kind="failed"}'), 1);
});

test('a broken file is reported, and the old one stays', async () => {
  await file.save('export default { onAccept: ( => 1 };', 'policy.refused');
  const { json } = await call<Policy>('/policy');
  assert.ok(json.refused?.message);
  assert.equal(json.loads, 1);
  assert.equal((await call('/messages', message('bob@example.net', 'Refused'))).status, 400);
});

test('mail goes on past hooks that throw or never end; both are counted', async () => {
  await file.save(
    policySource(`
      onAccept: () => { throw new Error('No idea') },
      onRoute: () => { for (;;); },
      onShape: () => ({ connections: 0 }),
      onReply: () => { throw new Error('No idea') }`),
    'policy.loaded',
  );
  await sent('bob@example.net', delivered);
  const { delivery } = await sent('full@example.net', ({ state }) => state === 'deferred');
  assert.equal(delivery.reason, 'peer_temporary');
  const { json } = await call<Policy>('/policy');
  assert.deepEqual(
    Object.fromEntries(json.hooks.map(({ name, failures, overruns }) => [name, failures + overruns > 0])),
    { onAccept: true, onRoute: true, onShape: true, onReply: true },
  );
  assert.match(json.hooks[0]!.lastFailure.message, /^No idea \(line \d+\)$/);
  assert.equal(await metric('postern_policy_trouble_total{hook="onAccept",kind="failed"}'), 2);
  assert.ok((await metric('postern_policy_trouble_total{hook="onRoute",kind="overran"}')) > 0);
  assert.ok((await metric('postern_policy_calls_total{hook="onShape"}')) > 0);
  assert.ok((await metric('postern_policy_seconds_total{hook="onShape"}')) > 0);
});
