/** The whole service as `npm start` runs it, against a real sink: in by every protocol, out by SMTP, signed. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CreateEmailIdentityCommand, SendBulkEmailCommand, SendEmailCommand } from '@aws-sdk/client-sesv2';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { createTransport } from 'nodemailer';
import { checkStore } from '../../lib/engine/embedded/check.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { StandaloneSite, sesClient } from '../support/standalone.ts';

let site: StandaloneSite;

before(async () => {
  site = await StandaloneSite.open();
});
after(() => site.close());

/** Polls until a message's first delivery has ended. */
async function ended(api: string, bearer: string, id: string): Promise<Record<string, unknown>> {
  for (;;) {
    const answer = await fetch(`${api}/v1/messages/${encodeURIComponent(id)}`, {
      headers: { authorization: bearer },
    });
    const { deliveries } = (await answer.json()) as { deliveries: Record<string, unknown>[] };
    if (['delivered', 'bounced'].includes(String(deliveries[0]!.state))) return deliveries[0]!;
  }
}

test('a first start, mail by every protocol, and a restart', async () => {
  const postern = await site.start();
  const { key, smtpPassword } = postern.firstKey!;
  const api = `http://${postern.listening.api}`;
  const bearer = `Bearer ${key.id}.${key.secret}`;
  const ses = sesClient(postern, key);
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

  const records = (await postern.control.identities.find('example.com'))!.dkim.records;
  const resolver = async (name: string): Promise<string[][]> => {
    const record = records.find((candidate) => candidate.name === name);
    if (!record) throw Object.assign(new Error('none'), { code: 'ENOTFOUND' });
    return [[record.value]];
  };
  for (const to of ['sdk@example.net', 'bulk@example.net', 'smtp@example.net']) {
    const { raw, from } = await site.delivered(to);
    const { results } = await dkimVerify(raw, { resolver });
    assert.deepEqual(
      results.map((result) => result.status.result),
      ['pass'],
      to,
    );
    assert.match(from, /^b[a-z2-7]{56}@example\.com$/);
  }
  assert.match(
    (await site.delivered('sdk@example.net')).raw.toString(),
    /\r\nHello\.\r\n\.\r\n\.\.two dots\r\n$/,
  );
  assert.match((await site.delivered('bulk@example.net')).raw.toString(), /Subject: Hi Bob\r\n/);

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
    envelope: { from: '', to: (await site.delivered('sdk@example.net')).from },
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
  // Requests that a proxy on this host passes on come from outside.
  const stranger = { 'x-forwarded-for': '192.0.2.9' };
  assert.equal((await fetch(`${api}/metrics`, { headers: stranger })).status, 403);
  const health = (await (await fetch(`${api}/healthz`, { headers: stranger })).json()) as object;
  assert.deepEqual(Object.keys(health).sort(), ['ok', 'version']);
  const admin = { ...stranger, authorization: `Bearer ${key.id}.${key.secret}` };
  assert.equal((await fetch(`${api}/metrics`, { headers: admin })).status, 200);
  for (const path of ['live', 'delivery']) assert.equal((await fetch(`${api}/healthz/${path}`)).status, 200);
  await postern.stop();
  assert.deepEqual(checkStore(site.directory).problems, []);

  const again = await site.start();
  assert.equal(again.firstKey, undefined, 'the first key is shown once');
  const kept = await ended(`http://${again.listening.api}`, bearer, one.MessageId!);
  assert.equal(kept.state, 'bounced');
  await again.stop();
});

test('the health of the host is seen without a connection to strangers', async () => {
  const dns = await startDnsServer();
  const postern = await site.start({ POSTERN_DNS: `127.0.0.1:${dns.port}`, POSTERN_EGRESS_IPS: '127.0.0.1' });
  const { id, secret } = await postern.control.keys.create({ tenant: 'default', admin: true });
  const report = await fetch(`http://${postern.listening.api}/v1/health`, {
    headers: { authorization: `Bearer ${id}.${secret}` },
  });
  const { checks, findings } = (await report.json()) as {
    checks: { name: string; state: string }[];
    findings: { id: string }[];
  };
  assert.deepEqual(
    checks.filter(({ state }) => state !== 'done').map(({ name, state }) => `${name} ${state}`),
    ['outward skipped', 'blocklists skipped'],
  );
  assert.equal(checks.length, 12);
  const ids = findings.map((one) => one.id);
  for (const id of ['address.private', 'certificate.self-signed', 'clock.unknown', 'resolver.not-validating'])
    assert.ok(ids.includes(id), id);
  await postern.stop();
  await dns.close();
});

test('a second process on the same data is refused with a sentence', async () => {
  const postern = await site.start();
  await assert.rejects(site.start(), { code: 'storage_locked' });
  await postern.stop();
});

test('a restored copy that is started paused sends nothing until its directive is removed', async (context) => {
  const copy = await StandaloneSite.open();
  context.after(() => copy.close());
  const first = await copy.start({ POSTERN_START: 'paused' });
  const ses = sesClient(first, first.firstKey!.key);
  await ses.send(new CreateEmailIdentityCommand({ EmailIdentity: 'mail.example.com' }));
  const { MessageId } = await ses.send(
    new SendEmailCommand({
      FromEmailAddress: 'a@mail.example.com',
      Destination: { ToAddresses: ['paused@example.net'] },
      Content: { Simple: { Subject: { Data: 'Hi' }, Body: { Text: { Data: 'x' } } } },
    }),
  );
  await first.stop();
  const again = await copy.start({ POSTERN_START: 'paused' });
  const waits = async () => (await again.engine.records.deliveries(MessageId!))[0]!.text;
  while (!(await waits()).includes('Started paused')) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(copy.received('paused@example.net'), undefined);
  const [directive, ...others] = again.control.directives.list();
  assert.deepEqual(others, [], 'one start or two order one directive');
  await again.control.directives.remove(directive!.id);
  await copy.delivered('paused@example.net');
  await again.stop();
});
