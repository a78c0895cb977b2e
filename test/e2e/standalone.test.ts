/** The whole service as `npm start` runs it, against a real sink: in by every door, out by SMTP, signed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  CreateEmailIdentityCommand,
  SESv2Client,
  SendBulkEmailCommand,
  SendEmailCommand,
} from '@aws-sdk/client-sesv2';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { readSettings } from '../../egress-node/settings.ts';
import { type Standalone, startStandalone } from '../../egress-node/standalone/standalone.ts';
import { checkStore } from '../../lib/engine/embedded/check.ts';
import { silentLog } from '../../lib/observe/log.ts';

interface Received {
  from: string;
  to: string;
  raw: Buffer;
}

let directory: string;
let sink: SMTPServer;
const received: Received[] = [];
let arrived: () => void = () => {};

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-standalone-'));
  sink = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    onRcptTo({ address }, _session, callback) {
      if (address.startsWith('nobody')) {
        callback(Object.assign(new Error('5.1.1 No such user'), { responseCode: 550 }));
      } else callback();
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        received.push({
          from: mailFrom ? mailFrom.address : '',
          to: rcptTo[0]!.address,
          raw: Buffer.concat(chunks),
        });
        callback();
        arrived();
      });
    },
  });
  sink.listen(0, '127.0.0.1');
  await once(sink.server, 'listening');
});
after(async () => {
  sink.close();
  await rm(directory, { recursive: true, force: true });
});

function start(): Promise<Standalone> {
  const { port } = sink.server.address() as AddressInfo;
  const settings = readSettings(
    {
      POSTERN_DATA: directory,
      POSTERN_API: '127.0.0.1:0',
      POSTERN_SUBMISSION: '127.0.0.1:0',
      POSTERN_INBOUND: '127.0.0.1:0',
      POSTERN_ROUTES: `*=127.0.0.1:${port}`,
    },
    { hostname: 'mail.example.com' },
    { verifyIdentities: false },
  );
  return startStandalone(settings, silentLog);
}

/** The message to a recipient, when the sink has it. */
async function delivered(to: string): Promise<Received> {
  for (;;) {
    const found = received.find((one) => one.to === to);
    if (found) return found;
    await new Promise<void>((resolve) => {
      arrived = resolve;
    });
  }
}

/** Asks until a message's first delivery has ended. */
async function ended(api: string, bearer: string, id: string): Promise<Record<string, unknown>> {
  for (;;) {
    const answer = await fetch(`${api}/v1/messages/${encodeURIComponent(id)}`, {
      headers: { authorization: bearer },
    });
    const { deliveries } = (await answer.json()) as { deliveries: Record<string, unknown>[] };
    if (['delivered', 'bounced'].includes(String(deliveries[0]!.state))) return deliveries[0]!;
  }
}

test('a first start, every door, a restart', async () => {
  const postern = await start();
  const { key, smtpPassword } = postern.firstKey!;
  const api = `http://${postern.listening.api}`;
  const bearer = `Bearer ${key.id}.${key.secret}`;
  const ses = new SESv2Client({
    endpoint: api,
    region: 'us-east-1',
    credentials: { accessKeyId: key.id, secretAccessKey: key.secret },
  });
  await ses.send(new CreateEmailIdentityCommand({ EmailIdentity: 'example.com' }));

  const one = await ses.send(
    new SendEmailCommand({
      FromEmailAddress: 'Ann <ann@example.com>',
      Destination: { ToAddresses: ['sdk@example.net'] },
      Content: { Simple: { Subject: { Data: 'Grüße' }, Body: { Text: { Data: 'Hello.\n.\n..two dots' } } } },
    }),
  );
  await ses.send(
    new SendBulkEmailCommand({
      FromEmailAddress: 'ann@example.com',
      DefaultContent: {
        Template: {
          TemplateContent: { Subject: 'Hi {{name}}', Text: 'Dear {{name}}' },
          TemplateData: '{"name":"friend"}',
        },
      },
      BulkEmailEntries: [
        {
          Destination: { ToAddresses: ['bulk@example.net'] },
          ReplacementEmailContent: { ReplacementTemplate: { ReplacementTemplateData: '{"name":"Bob"}' } },
        },
      ],
    }),
  );
  const [host, port] = postern.listening.submission.split(':');
  await createTransport({
    host,
    port: Number(port),
    auth: { user: key.id, pass: smtpPassword },
    tls: { rejectUnauthorized: false },
  }).sendMail({ from: 'ann@example.com', to: 'smtp@example.net', subject: 'Hi', text: 'Hello.' });
  const answer = await fetch(`${api}/v1/messages`, {
    method: 'POST',
    headers: { authorization: bearer, 'content-type': 'application/json' },
    body: JSON.stringify({
      from: 'ann@example.com',
      to: ['nobody@example.net'],
      subject: 'Hi',
      text: 'Hello.',
    }),
  });
  assert.equal(answer.status, 202);
  const bounced = ((await answer.json()) as { messages: { id: string }[] }).messages[0]!.id;

  const records = postern.control.identities.find('example.com')!.dkim.records;
  const resolver = async (name: string): Promise<string[][]> => {
    const record = records.find((candidate) => candidate.name === name);
    if (!record) throw Object.assign(new Error('none'), { code: 'ENOTFOUND' });
    return [[record.value]];
  };
  for (const to of ['sdk@example.net', 'bulk@example.net', 'smtp@example.net']) {
    const { raw, from } = await delivered(to);
    const { results } = await dkimVerify(raw, { resolver });
    assert.deepEqual(
      results.map((result) => result.status.result),
      ['pass'],
      to,
    );
    assert.match(from, /^b[a-z2-7]{56}@example\.com$/);
  }
  assert.match((await delivered('sdk@example.net')).raw.toString(), /\r\nHello\.\r\n\.\r\n\.\.two dots\r\n$/);
  assert.match((await delivered('bulk@example.net')).raw.toString(), /Subject: Hi Bob\r\n/);

  const outcome = await ended(api, bearer, bounced);
  assert.equal(outcome.state, 'bounced');
  assert.match(JSON.stringify(outcome), /550.*5\.1\.1 No such user|No such user/);

  // A bounce that comes later, at the return path of the delivery.
  await ended(api, bearer, one.MessageId!);
  const [inboundHost, inboundPort] = postern.listening.inbound.split(':');
  await createTransport({
    host: inboundHost,
    port: Number(inboundPort),
    tls: { rejectUnauthorized: false },
  }).sendMail({
    envelope: { from: '', to: (await delivered('sdk@example.net')).from },
    raw: [
      'From: MAILER-DAEMON@mx.example.net',
      'Content-Type: multipart/report; report-type=delivery-status; boundary=b',
      'MIME-Version: 1.0',
      '',
      '--b',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; mx.example.net',
      '',
      'Final-Recipient: rfc822; sdk@example.net',
      'Action: failed',
      'Status: 5.1.1',
      'Diagnostic-Code: smtp; 550 5.1.1 gone',
      '',
      '--b--',
      '',
    ].join('\r\n'),
  });
  const later = await ended(api, bearer, one.MessageId!);
  assert.equal(later.state, 'bounced');

  const metrics = await (await fetch(`${api}/metrics`)).text();
  assert.match(metrics, /postern_accepted_total\{door="ses-v2",result="accepted"\} 2/);
  for (const kind of ['rate', 'quota', 'concurrency']) {
    assert.match(metrics, new RegExp(`postern_shared_held\\{of="${kind}"\\} 0`));
  }
  assert.match(metrics, /postern_shared_asked_total 0/);
  assert.match(metrics, /TYPE postern_site_waiting gauge/);
  assert.equal((await fetch(`${api}/healthz`)).status, 200);
  await postern.stop();
  assert.deepEqual(checkStore(directory).problems, []);

  const again = await start();
  assert.equal(again.firstKey, undefined, 'the first key is shown once');
  const kept = await ended(`http://${again.listening.api}`, bearer, one.MessageId!);
  assert.equal(kept.state, 'bounced');
  await again.stop();
});

test('a second process on the same data is refused in words', async () => {
  const postern = await start();
  await assert.rejects(start(), { code: 'storage_locked' });
  await postern.stop();
});
