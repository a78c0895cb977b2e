import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createTransport } from 'nodemailer';
import { ownCertificate } from '../../lib/certificate.ts';
import { smtpPassword } from '../../lib/control/smtp-password.ts';
import type { AccessKey } from '../../lib/control/types.ts';
import { PosternError } from '../../lib/errors.ts';
import { type Log, silentLog } from '../../lib/log.ts';
import { defaultBudget } from '../../lib/smtp-server/octet-budget.ts';
import {
  type SubmissionOptions,
  type SubmissionServer,
  startSubmission,
} from '../../lib/submission/submission.ts';
import { openTestAccept, type TestAccept } from '../support/accept.ts';

let directory: string;
let tls: { key: string; cert: string };
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-submission-'));
  tls = await ownCertificate(directory, 'mail.example.com');
});
after(() => rm(directory, { recursive: true }));

interface Service extends TestAccept {
  refused: unknown[];
  submission: SubmissionServer;
  key: AccessKey;
  password: string;
}

async function open(change: Partial<SubmissionOptions> = {}): Promise<Service> {
  const t = await openTestAccept();
  const key = await t.control.keys.create({ tenant: 'default', admin: false });
  /** Failed logins, each of which is answered when the clock has gone on. */
  const refused: unknown[] = [];
  const log: Log = {
    ...silentLog,
    warn(text, fields) {
      if (text !== 'login refused') return;
      refused.push(fields);
      setImmediate(() => t.clock.advance(10_000));
    },
  };
  const submission = await startSubmission({
    host: '127.0.0.1',
    port: 0,
    implicitTls: false,
    hostname: 'mail.example.com',
    tls,
    relayFrom: [],
    allowInsecureAuth: false,
    maxMessageBytes: 100_000,
    maxRecipients: 50,
    dataDeadline: 600_000,
    maxClients: 100,
    region: 'us-east-1',
    budget: defaultBudget(0),
    accept: t.accept,
    control: t.control,
    clock: t.clock,
    log,
    ...change,
  });
  return { ...t, submission, key, refused, password: smtpPassword(key.secret, 'us-east-1') };
}

function transport(service: Service, options: Record<string, unknown> = {}) {
  return createTransport({
    host: '127.0.0.1',
    port: service.submission.address.port,
    auth: { user: service.key.id, pass: service.password },
    tls: { rejectUnauthorized: false },
    ...options,
  });
}

const MAIL = { from: 'ann@example.com', to: 'bob@gmail.com', subject: 'Hi', text: 'Hello.' };

/** Sends lines one after the other, each after the reply to the one before; returns the last reply of each. */
async function dialog(port: number, lines: (string | Buffer)[]): Promise<string[]> {
  const socket = connect(port, '127.0.0.1');
  const replies: string[] = [];
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  const reply = async (): Promise<string> => {
    for (;;) {
      const match = /^(?:\d{3}-.*\r\n)*(\d{3} .*)\r\n/.exec(text);
      if (match) {
        text = text.slice(match[0].length);
        return match[1]!;
      }
      await once(socket, 'data');
    }
  };
  await reply();
  for (const line of lines) {
    socket.write(line);
    replies.push(await reply());
  }
  socket.destroy();
  return replies;
}

const ENVELOPE = ['EHLO x\r\n', 'MAIL FROM:<ann@example.com>\r\n', 'RCPT TO:<bob@gmail.com>\r\n', 'DATA\r\n'];
const RELAY = { relayFrom: ['127.0.0.1/32'] };

for (const method of ['PLAIN', 'LOGIN']) {
  test(`a message over STARTTLS with AUTH ${method}: 250 Ok and the MessageId`, async () => {
    const service = await open();
    const info = await transport(service, { requireTLS: true, authMethod: method }).sendMail(MAIL);
    const { record } = service.queue.admissions[0]!;
    assert.equal(info.response, `250 Ok ${record.id}`);
    assert.equal(record.door, 'smtp');
    assert.equal(record.keyId, service.key.id);
    const text = Buffer.from(service.queue.admissions[0]!.body).toString();
    assert.match(text, /\r\nReceived: by mail\.example\.com \(Postern\) with ESMTPSA id \S+;\r\n\t/);
    await service.submission.close();
  });
}

test('a message over implicit TLS', async () => {
  const service = await open({ implicitTls: true });
  const info = await transport(service, { secure: true }).sendMail(MAIL);
  assert.match(info.response, /^250 Ok 0100/);
  await service.submission.close();
});

test('a wrong password and an unknown key get the same 535, and AUTH before TLS gets 538', async () => {
  const service = await open();
  const refused = /535 Authentication Credentials Invalid/;
  await assert.rejects(
    transport(service, { auth: { user: service.key.id, pass: service.key.secret } }).sendMail(MAIL),
    refused,
  );
  await assert.rejects(
    transport(service, { auth: { user: 'AKIANOBODY', pass: service.password } }).sendMail(MAIL),
    refused,
  );
  const plain = Buffer.from(`\0${service.key.id}\0${service.password}`).toString('base64');
  const [, reply] = await dialog(service.submission.address.port, ['EHLO x\r\n', `AUTH PLAIN ${plain}\r\n`]);
  assert.match(reply!, /^538 /);
  assert.deepEqual(
    service.refused,
    [service.key.id, 'AKIANOBODY'].map((user) => ({ listener: 'submission', address: '127.0.0.1', user })),
  );
  await service.submission.close();
});

test('without AUTH mail is accepted from a relay network only', async () => {
  const closed = await open({ relayFrom: ['10.0.0.0/8', '::1/128'] });
  const [, reply] = await dialog(closed.submission.address.port, ENVELOPE.slice(0, 2));
  assert.equal(reply, '530 5.7.0 Authentication required');
  await closed.submission.close();

  const relay = await open(RELAY);
  const info = await transport(relay, { auth: undefined }).sendMail(MAIL);
  assert.match(info.response, /^250 Ok /);
  assert.equal(relay.queue.admissions[0]!.record.keyId, 'relay');
  await relay.submission.close();
});

test('a revoked key sends nothing more on its open connection', async () => {
  const service = await open();
  const pool = transport(service, { pool: true, maxConnections: 1 });
  await pool.sendMail(MAIL);
  await service.control.keys.revoke(service.key.id);
  await assert.rejects(pool.sendMail(MAIL), /535 5\.7\.8/);
  pool.close();
  await service.submission.close();
});

test('an unverified sender is refused with the words of SES', async () => {
  const service = await open(RELAY);
  await assert.rejects(
    transport(service, { auth: undefined }).sendMail({ ...MAIL, from: 'x@other.example' }),
    /554 5\.7\.1 Email address is not verified\. The following identities failed the check in region US-EAST-1/,
  );
  assert.equal(service.queue.admissions.length, 0);
  await service.submission.close();
});

test('a message of the size limit is accepted, one byte more gets 552, and the session goes on', async () => {
  const service = await open({ ...RELAY, maxMessageBytes: 50_000 });
  const head = 'From: ann@example.com\r\n\r\n';
  const body = (bytes: number) => {
    const line = `${'x'.repeat(70)}\r\n`;
    const lines = Math.floor((bytes - head.length) / line.length);
    return `${head}${line.repeat(lines)}${'y'.repeat(bytes - head.length - lines * line.length - 2)}\r\n.\r\n`;
  };
  const replies = await dialog(service.submission.address.port, [
    ...ENVELOPE,
    body(50_001),
    ...ENVELOPE.slice(1),
    body(50_000),
    'MAIL FROM:<ann@example.com> SIZE=50001\r\n',
  ]);
  assert.match(replies[4]!, /^552 /);
  assert.match(replies[8]!, /^250 Ok /);
  assert.match(replies[9]!, /^552 /);
  await service.submission.close();
});

test('the recipient beyond the limit gets 452, and the others get the message', async () => {
  const service = await open({ ...RELAY, maxRecipients: 2 });
  const [, , first, second, third] = await dialog(service.submission.address.port, [
    'EHLO x\r\n',
    'MAIL FROM:<ann@example.com>\r\n',
    'RCPT TO:<a@example.org>\r\n',
    'RCPT TO:<b@example.org>\r\n',
    'RCPT TO:<c@example.org>\r\n',
  ]);
  assert.match(first!, /^250/);
  assert.match(second!, /^250/);
  assert.match(third!, /^452 4\.5\.3/);
  await service.submission.close();
});

test('smuggling: no bare line break or NUL ends a message or survives in it', async () => {
  const ends = [
    '\n.\n',
    '\n.\r\n',
    '\r.\r',
    '\r.\r\n',
    '\r\n.\r',
    '\r\n.\n',
    '\r\n\0.\r\n',
    '\r.\n',
    '\n.\r',
    '\r\n\x00.\r\n',
  ];
  for (const end of ends) {
    const service = await open(RELAY);
    const smuggled = `From: ann@example.com\r\n\r\nfirst${end}MAIL FROM:<eve@example.com>\r\nDATA\r\nsecond\r\n.\r\n`;
    const replies = await dialog(service.submission.address.port, [...ENVELOPE, smuggled, 'NOOP\r\n']);
    assert.match(replies[4]!, /^250 Ok /, JSON.stringify(end));
    assert.match(replies[5]!, /^250 /);
    assert.equal(service.queue.admissions.length, 1, JSON.stringify(end));
    const text = Buffer.from(service.queue.admissions[0]!.body).toString('latin1');
    assert.ok(!/\r(?!\n)|(?<!\r)\n|\0/.test(text), JSON.stringify(end));
    await service.submission.close();
  }
});

test('the next envelope may travel with the last body (RFC 2920), and replies come in order', async () => {
  const service = await open(RELAY);
  const envelope = (n: number) => `MAIL FROM:<ann@example.com>\r\nRCPT TO:<u${n}@example.org>\r\nDATA\r\n`;
  const body = 'From: ann@example.com\r\n\r\nHi\r\n.\r\n';
  const socket = connect(service.submission.address.port, '127.0.0.1');
  let text = '';
  let seen = 0;
  socket.on('data', (chunk) => {
    text += chunk.toString();
    const asked = text.match(/^354 /gm)?.length ?? 0;
    if (asked === seen) return;
    seen = asked;
    socket.write(body + (seen < 3 ? envelope(seen + 1) : 'QUIT\r\n'));
  });
  await once(socket, 'data');
  socket.write(`EHLO x\r\n${envelope(1)}`);
  await once(socket, 'close');
  assert.equal(text.match(/^250 Ok 0100/gm)?.length, 3);
  assert.deepEqual(
    service.queue.admissions.map(({ record }) => record.recipients[0]),
    ['u1@example.org', 'u2@example.org', 'u3@example.org'],
  );
  await service.submission.close();
});

test('a client that takes too long over its message is cut off with 421', async () => {
  const service = await open({ ...RELAY, dataDeadline: 1000 });
  const socket = connect(service.submission.address.port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString();
    if (text.includes('354 ')) service.clock.advance(1000);
  });
  await once(socket, 'data');
  socket.write(ENVELOPE.join(''));
  await once(socket, 'close');
  assert.match(text, /421 4\.4\.2 The message took too long to arrive/);
  assert.equal(service.queue.admissions.length, 0);
  await service.submission.close();
});

test('an unavailable store gives 451, so that the client keeps the message', async () => {
  const service = await open(RELAY);
  service.queue.next = () => {
    throw new PosternError('storage_unavailable', 'The store does not answer.');
  };
  await assert.rejects(
    transport(service, { auth: undefined }).sendMail(MAIL),
    (error: Error & { responseCode?: number }) => error.responseCode === 451,
  );
  await service.submission.close();
});
