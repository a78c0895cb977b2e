import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createTransport } from 'nodemailer';
import { openEmbedded } from '../../lib/engine/embedded/open.ts';
import type { MessageRecord, Outcome, QueueItem } from '../../lib/engine/items.ts';
import { SCHEMA_VERSION } from '../../lib/engine/items.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { PosternError } from '../../lib/errors.ts';
import { type Inbound, type InboundOptions, MAX_BYTES, startInbound } from '../../lib/inbound/inbound.ts';
import { silentLog } from '../../lib/log.ts';
import { newMessageId, qualifiedId } from '../../lib/mail/message-id.ts';
import { createReferences } from '../../lib/mail/message-reference.ts';
import { createReportMailboxes } from '../../lib/mail/report-mailbox.ts';
import { createReturnPaths } from '../../lib/mail/return-path.ts';
import { createUnsubscribeAddresses } from '../../lib/mail/unsubscribe-address.ts';
import { MAX_PARSED } from '../../lib/outcome/report.ts';
import { defaultBudget } from '../../lib/smtp-server/octet-budget.ts';
import { DAY } from '../../lib/time.ts';
import { dmarcRow, dmarcXml, reportMail } from '../support/aggregate-reports.ts';
import { TestClock } from '../support/clock.ts';
import { ACCEPTED_AT, attempt, MESSAGE_ID, messageRecord } from '../support/outcomes.ts';

const HOST = 'mx.example.org';
const LANE = 'default:transactional:other';
const returnPaths = createReturnPaths(Buffer.alloc(32, 7));
const references = createReferences(Buffer.alloc(32, 7));
const reportMailboxes = createReportMailboxes(Buffer.alloc(32, 7));
const unsubscribeAddresses = createUnsubscribeAddresses(Buffer.alloc(32, 7));

let directory: string;
let engine: Engine;
let clock: TestClock;
let inbound: Inbound;
const listeners: Inbound[] = [];

async function listen(change: Partial<InboundOptions> = {}): Promise<Inbound> {
  const started = await startInbound({
    listen: { host: '127.0.0.1', port: 0 },
    hostname: HOST,
    engine,
    returnPaths,
    references,
    unsubscribeAddresses,
    reportMailboxes,
    budget: defaultBudget(0),
    clock,
    log: silentLog,
    ...change,
  });
  listeners.push(started);
  return started;
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-inbound-'));
  clock = new TestClock(ACCEPTED_AT);
  engine = await openEmbedded({ directory, clock, minimumFree: 0 });
});

after(async () => {
  await Promise.all(listeners.map((listener) => listener.close()));
  await engine.close();
  await rm(directory, { recursive: true });
});

beforeEach(async () => {
  inbound = await listen();
});

/** A message to user@example.com, with its delivery in the given state. */
async function sent(
  state: 'delivered' | 'queued' | 'bounced' = 'delivered',
  change: Partial<MessageRecord> = {},
) {
  const id = newMessageId(clock.now());
  const messageId = qualifiedId(id, 'example.org');
  const record: MessageRecord = {
    ...messageRecord({ id, acceptedAt: clock.now(), expiresAt: clock.now() + DAY, ...change }),
    commonHeaders: { from: ['s@example.org'], messageId: `<${messageId}>` },
  };
  const returnPath = returnPaths.make(id, 0, 'bounces.example.org', clock.now() + DAY);
  const item: QueueItem = {
    v: SCHEMA_VERSION,
    messageId: id,
    n: 0,
    tenant: record.tenant,
    lane: LANE,
    mailFrom: returnPath,
    recipient: 'user@example.com',
    domain: 'example.com',
    eightBit: false,
    smtpUtf8: false,
    requireTls: false,
    acceptedAt: clock.now(),
    expiresAt: record.expiresAt,
    attempts: 0,
    due: 0,
  };
  await engine.queue.admit([{ record, body: Buffer.from('x\r\n'), deliveries: [item] }]);
  if (state !== 'queued') {
    const leased = (await engine.queue.lease({ lane: LANE, max: 100, visibility: DAY, wait: 0 })).find(
      ({ item: { messageId: of } }) => of === id,
    );
    assert.ok(leased);
    const text = state === 'delivered' ? '250 OK' : '550 5.1.1 user unknown';
    await engine.queue.settle([{ kind: 'end', leased, state, attempt: attempt({ state, text }) }]);
  }
  return { id, messageId, returnPath };
}

/** A fixture about that message. */
async function report(name: string, of: { messageId: string; returnPath: string }): Promise<string> {
  const text = await readFile(new URL(`../fixtures/reports/${name}.eml`, import.meta.url), 'utf8');
  return text
    .replaceAll(MESSAGE_ID, of.messageId)
    .replaceAll('b-return-path@bounces.example.org', of.returnPath)
    .replaceAll('\n', '\r\n');
}

/** Sends by nodemailer; the last reply, or the refusal. */
async function send(to: string, raw: string, listener = inbound): Promise<string> {
  const transport = createTransport({ host: '127.0.0.1', port: listener.address.port, ignoreTLS: true });
  try {
    const { response } = await transport.sendMail({ envelope: { from: '', to }, raw });
    return response;
  } catch (error) {
    return (error as { response?: string }).response ?? String(error);
  } finally {
    transport.close();
  }
}

async function outcomesOf(id: string): Promise<Outcome[]> {
  const found: Outcome[] = [];
  for (let after = 0; ; ) {
    const { cursor, outcomes } = await engine.records.feed(after, 1000);
    found.push(
      ...outcomes.filter(
        ({ messageId, kind }) =>
          messageId === id && (kind === 'bounce' || kind === 'complaint' || kind === 'subscription'),
      ),
    );
    if (outcomes.length === 0) return found;
    after = cursor;
  }
}

/** Sends raw SMTP: each step waits for one reply. @returns the replies, the greeting first. */
async function dialogue(steps: (string | Buffer)[], listener = inbound): Promise<string[]> {
  const socket = net.connect(listener.address.port, '127.0.0.1');
  const replies: string[] = [];
  let text = '';
  const waiting = [...steps];
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => resolve());
    socket.on('data', (chunk) => {
      text += chunk.toString();
      for (;;) {
        const match = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(text);
        if (!match) return;
        replies.push(match[0].trimEnd());
        text = text.slice(match[0].length);
        const step = waiting.shift();
        if (step === undefined) socket.end();
        else socket.write(step);
      }
    });
  });
  return replies;
}

const codes = (replies: string[]): string => replies.map((line) => line.slice(0, 3)).join(' ');

describe('inbound', () => {
  it('records a bounce once, and marks the delivery as bounced', async () => {
    const message = await sent();
    const dsn = await report('postfix-dsn', message);
    assert.match(await send(message.returnPath, dsn), /^250 2\.0\.0 Recorded/);
    assert.match(await send(message.returnPath, dsn), /^250 2\.0\.0 Known already/);
    const outcomes = await outcomesOf(message.id);
    assert.equal(outcomes.length, 1);
    assert.deepEqual([outcomes[0]!.kind, outcomes[0]!.n, outcomes[0]!.tenant], ['bounce', 0, 'tenant-1']);
    assert.deepEqual(
      [outcomes[0]!.detail?.status, outcomes[0]!.detail?.hard, outcomes[0]!.detail?.recipient],
      ['5.1.1', true, 'user@example.com'],
    );
    assert.equal(await engine.records.state(message.id, 0), 'bounced');
    assert.match((await engine.records.deliveries(message.id))[0]!.text, /User unknown in virtual mailbox/);
    assert.deepEqual(
      { ...inbound.counts },
      { bounces: 1, complaints: 0, autoReplies: 0, repeats: 1, ignored: 0 },
    );
  });

  it('records one of many simultaneous copies', async () => {
    const message = await sent();
    const dsn = await report('qmail', message);
    const replies = await Promise.all(Array.from({ length: 8 }, () => send(message.returnPath, dsn)));
    assert.equal(replies.filter((reply) => reply.includes('Recorded')).length, 1);
    assert.ok(replies.every((reply) => /^(?:250|451) /.test(reply)));
    assert.equal((await outcomesOf(message.id)).length, 1);
  });

  it('records a complaint once, at the return path or at abuse@', async () => {
    const message = await sent();
    const arf = await report('yahoo-arf', message);
    assert.match(await send(`Abuse@${HOST}`, arf), /^250 .*Recorded/);
    assert.match(await send(message.returnPath, arf), /^250 .*Known/);
    const jmrp = await sent();
    assert.match(await send(`abuse@${HOST}`, await report('outlook-jmrp', jmrp)), /^250 .*Recorded/);
    assert.deepEqual(
      (await outcomesOf(message.id)).map(({ kind, detail }) => [kind, detail?.feedbackType]),
      [['complaint', 'abuse']],
    );
    assert.equal(await engine.records.state(message.id, 0), 'delivered');
  });

  it('records one complaint and one not-spam of a delivery, alternating over several nodes', async () => {
    const message = await sent();
    const arf = await report('yahoo-arf', message);
    const notSpam = arf.replace('Feedback-Type: abuse', 'Feedback-Type: not-spam');
    const other = await listen();
    const replies: string[] = [];
    for (const [text, at] of [
      [arf, inbound],
      [notSpam, inbound],
      [arf, other],
      [notSpam, other],
      [arf, inbound],
    ] as const) {
      replies.push(await send(message.returnPath, text, at));
    }
    assert.deepEqual(
      replies.map((reply) => / (Recorded|Known)/.exec(reply)?.[1]),
      ['Recorded', 'Recorded', 'Known', 'Known', 'Known'],
    );
    assert.deepEqual(
      (await outcomesOf(message.id)).map(({ detail }) => detail?.feedbackType),
      ['abuse', 'not-spam'],
    );
  });

  it('recognises a repeated complaint behind 1,000 opens', async () => {
    const message = await sent();
    const opens = Array.from({ length: 1000 }, (_, i) => ({
      v: SCHEMA_VERSION,
      messageId: message.id,
      n: 0,
      at: clock.now() + i,
      kind: 'open' as const,
      tenant: 'tenant-1',
      detail: { ipAddress: '192.0.2.1', userAgent: 'x' },
    }));
    await engine.records.append(opens);
    const arf = await report('yahoo-arf', message);
    assert.match(await send(message.returnPath, arf), /Recorded/);
    assert.match(await send(message.returnPath, arf), /Known/);
  });

  describe('a complaint whose returned message has no Return-Path', () => {
    const without = async (
      message: { messageId: string; returnPath: string },
      field: string,
    ): Promise<string> =>
      (await report('outlook-jmrp', message)).replace(`Return-Path: ${message.returnPath}\r\n`, field);

    it('is found by the envelope sender in Authentication-Results', async () => {
      const message = await sent();
      const field = `Authentication-Results: spf=pass (sender IP is 192.0.2.1)\r\n smtp.mailfrom=${message.returnPath}; dkim=pass header.d=example.org\r\n`;
      assert.match(await send(`abuse@${HOST}`, await without(message, field)), /^250 .*Recorded/);
      assert.equal((await outcomesOf(message.id))[0]?.detail?.unsigned, undefined);
    });

    it('is found by the envelope sender in Received-SPF', async () => {
      const message = await sent();
      const field = `Received-SPF: Pass (mx: ok) client-ip=192.0.2.1; envelope-from=<${message.returnPath}>; helo=a;\r\n`;
      assert.match(await send(`abuse@${HOST}`, await without(message, field)), /^250 .*Recorded/);
    });

    it('is matched by Message-ID and recipient, and marked so', async () => {
      const message = await sent();
      assert.match(await send(`abuse@${HOST}`, await without(message, '')), /^250 .*Recorded/);
      assert.equal((await outcomesOf(message.id))[0]?.detail?.unsigned, true);
    });

    it('is refused when it names another recipient, or an altered or expired return path', async () => {
      const message = await sent();
      const refused = /^550 5\.7\.1 Only feedback reports/;
      const foreign = (await without(message, '')).replace('Recipient: user@', 'Recipient: other@');
      assert.match(await send(`abuse@${HOST}`, foreign), refused);
      const forged = 'Authentication-Results: spf=pass smtp.mailfrom=bforged@bounces.example.org\r\n';
      assert.match(await send(`abuse@${HOST}`, await without(message, forged)), refused);
      assert.deepEqual(await outcomesOf(message.id), []);
    });

    it('is read when only the header is returned', async () => {
      const message = await sent();
      const text = await report('header-only-arf', message);
      assert.match(await send(`abuse@${HOST}`, text), /^250 .*Recorded/);
    });
  });

  it('accepts postmaster@ and abuse@ of our domains and their subdomains', async () => {
    const listener = await listen({ ownsAny: async (domains) => domains.includes('shop.example') });
    const domains = [HOST, 'example.org', 'shop.example', 'bounces.shop.example'];
    for (const address of [
      ...domains.flatMap((domain) => [`postmaster@${domain}`, `Abuse@${domain}`]),
      'postmaster',
    ]) {
      const replies = await dialogue(
        ['EHLO a\r\n', 'MAIL FROM:<>\r\n', `RCPT TO:<${address}>\r\n`, 'QUIT\r\n'],
        listener,
      );
      assert.equal(codes(replies), '220 250 250 250 221', address);
    }
    for (const address of [
      'postmaster@org',
      'abuse@other.example',
      'postmaster@notshop.example',
      `ann@${HOST}`,
    ]) {
      const replies = await dialogue(
        ['EHLO a\r\n', 'MAIL FROM:<>\r\n', `RCPT TO:<${address}>\r\n`, 'QUIT\r\n'],
        listener,
      );
      assert.equal(codes(replies), '220 250 250 550 221', address);
    }
  });

  it('counts automatic replies and notices, and records nothing', async () => {
    const message = await sent();
    for (const name of ['vacation', 'outlook-oof', 'postfix-delayed', 'human-reply']) {
      assert.match(await send(message.returnPath, await report(name, message)), /^250 2\.0\.0 Taken note/);
    }
    assert.deepEqual(await outcomesOf(message.id), []);
    assert.deepEqual([inbound.counts.autoReplies, inbound.counts.ignored], [2, 2]);
  });

  it('ignores a report that returns another message than that of its return path', async () => {
    const [mine, other] = [await sent(), await sent()];
    const dsn = await report('postfix-dsn', { ...mine, messageId: other.messageId });
    assert.match(await send(mine.returnPath, dsn), /^250 .*Taken note/);
    assert.deepEqual([...(await outcomesOf(mine.id)), ...(await outcomesOf(other.id))], []);
  });

  it('defers a bounce that arrives before our own result is stored', async () => {
    const message = await sent('queued');
    assert.match(await send(message.returnPath, await report('postfix-dsn', message)), /^451 4\.3\.0 /);
    assert.deepEqual(await outcomesOf(message.id), []);
  });

  it('counts a report about a delivery that has bounced already as a repeat', async () => {
    const message = await sent('bounced');
    assert.match(await send(message.returnPath, await report('postfix-dsn', message)), /^250 .*Known/);
    assert.deepEqual(await outcomesOf(message.id), []);
  });

  it('counts a report whose record was pruned', async () => {
    const messageId = newMessageId(clock.now());
    const returnPath = returnPaths.make(messageId, 0, 'bounces.example.org', clock.now() + DAY);
    assert.match(
      await send(returnPath, await report('postfix-dsn', { messageId, returnPath })),
      /^250 .*Taken note/,
    );
  });

  it('unsubscribes the reader who writes to the address of its message, once', async () => {
    const message = await sent('delivered', { unsubscribe: {} });
    const address = unsubscribeAddresses.make(message.id, 'bounces.example.org', clock.now() + DAY);
    const mail = 'From: user@example.com\r\nSubject: unsubscribe\r\n\r\nx\r\n';
    assert.match(await send(address, await report('postfix-dsn', message)), /^250 .*Taken note/);
    assert.deepEqual(await outcomesOf(message.id), [], 'a bounce asks for nothing');
    for (let i = 0; i < 3; i++) assert.match(await send(address.toUpperCase(), mail), /^250 .*Unsubscribed/);
    const outcomes = await outcomesOf(message.id);
    assert.deepEqual(
      outcomes.map(({ kind, n, tenant, detail }) => [kind, n, tenant, detail]),
      [['subscription', 0, 'tenant-1', { address: 'user@example.com' }]],
    );
    const other = await sent();
    const without = unsubscribeAddresses.make(other.id, 'bounces.example.org', clock.now() + DAY);
    assert.match(await send(without, mail), /^550 5\.7\.1/, 'a message that nobody subscribed to');
    const expired = unsubscribeAddresses.make(message.id, 'bounces.example.org', clock.now() - 2 * DAY);
    const altered = address.slice(0, 9) + (address[9] === 'a' ? 'b' : 'a') + address.slice(10);
    const ofReturnPath = `u${message.returnPath.slice(1)}`;
    for (const bad of [expired, altered, ofReturnPath]) assert.match(await send(bad, mail), /^550 5\.1\.1/);
  });

  it('stores aggregate reports about a domain at its mailbox, larger ones than other mail is read', async () => {
    const address = reportMailboxes.make('example.com', 'bounces.example.org');
    const begin = clock.now() / 1000 - 86_400;
    const xml = dmarcXml(dmarcRow('192.0.2.1', 5).repeat(600), { begin });
    const mail = reportMail('text/xml', Buffer.from(xml)).toString('latin1');
    assert.ok(mail.length > MAX_PARSED);
    assert.match(await send(address, mail), /^250 .*Recorded/);
    assert.match(await send(address, reportMail('text/plain', Buffer.from('x')).toString()), /^550 5\.6\.0 /);
    const large = 'x'.repeat(76).concat('\r\n').repeat(30_000);
    assert.match(await send(address, `From: a@b.example\r\n\r\n${large}`), /^552 5\.3\.4 /);
    const [row] = await engine.rows.query({ kind: 'report', partition: 'example.com', max: 10 });
    assert.equal((row!.value as { messages: number }).messages, 3000);
    const forged = `r${'a'.repeat(32)}@bounces.example.org`;
    assert.match(await send(forged, mail), /^550 5\.1\.1/);
  });

  it('refuses every other recipient: forged, expired, foreign', async () => {
    const { returnPath } = await sent();
    const flipped = (returnPath[5] === 'a' ? 'b' : 'a') + returnPath.slice(6);
    const expired = returnPaths.make(newMessageId(clock.now()), 0, 'example.org', clock.now() - 2 * DAY);
    const recipients = [
      returnPath.slice(0, 5) + flipped,
      expired,
      'user@example.com',
      'postmaster@example.com',
      `user%example.com@${HOST}`,
      `"user@example.com"@${HOST}`,
      `@${HOST}:user@example.com`,
    ];
    const refused = recipients.map(async (to) => {
      const replies = await dialogue(['EHLO a\r\n', 'MAIL FROM:<>\r\n', `RCPT TO:<${to}>\r\n`, 'QUIT\r\n']);
      assert.match(codes(replies), /^220 250 250 5\d\d 221$/, to);
    });
    await Promise.all(refused);
  });

  it('accepts only feedback reports with a signed return path at postmaster@ and abuse@', async () => {
    const message = await sent();
    const refused = /^550 5\.7\.1 Only feedback reports/;
    assert.match(await send(`postmaster@${HOST}`, await report('human-reply', message)), refused);
    assert.match(await send(`abuse@${HOST}`, await report('postfix-dsn', message)), refused);
    const forged = { ...message, returnPath: 'bforged@bounces.example.org' };
    assert.match(await send(`abuse@${HOST}`, await report('yahoo-arf', forged)), refused);
  });

  it('accepts one recipient per message', async () => {
    const [a, b] = [await sent(), await sent()];
    const replies = await dialogue([
      'EHLO a\r\n',
      'MAIL FROM:<>\r\n',
      `RCPT TO:<${a.returnPath}>\r\n`,
      `RCPT TO:<${b.returnPath}>\r\n`,
      'QUIT\r\n',
    ]);
    assert.equal(codes(replies), '220 250 250 250 452 221');
  });

  it('records a bounce that returns a message of 3 MB whole, by its first 128 KB', async () => {
    const large = await sent();
    const text = (await report('postfix-dsn', large)) + `${'x'.repeat(70)}\r\n`.repeat(42_000);
    assert.match(await send(large.returnPath, text), /^250 .*Recorded/);
    assert.equal(await engine.records.state(large.id, 0), 'bounced');
  });

  it('accepts 64 MB and refuses one byte more', async () => {
    const { returnPath } = await sent();
    const envelope = ['EHLO a\r\n', 'MAIL FROM:<>\r\n', `RCPT TO:<${returnPath}>\r\n`, 'DATA\r\n'];
    const body = Buffer.alloc(MAX_BYTES + 5, 'x\r\n');
    body.write('\r\n.\r\n', MAX_BYTES - 2);
    const most = body.subarray(0, MAX_BYTES + 3);
    const whole = await dialogue([...envelope, most, 'QUIT\r\n']);
    assert.equal(codes(whole), '220 250 250 250 354 250 221');
    const more = await dialogue([...envelope, Buffer.concat([Buffer.from('x'), most]), 'QUIT\r\n']);
    assert.equal(codes(more), '220 250 250 250 354 552 221');
    const declared = await dialogue(['EHLO a\r\n', `MAIL FROM:<> SIZE=${MAX_BYTES + 1}\r\n`, 'QUIT\r\n']);
    assert.equal(codes(declared), '220 250 552 221');
  });

  it('records a bounce with stray line breaks and NUL', async () => {
    for (const [from, to] of [
      ['\r\n', '\n'],
      ['\r\n', '\r\r\n'],
      ['User unknown', 'User\0 unknown'],
      ['User unknown', 'User\r unknown'],
    ] as const) {
      const message = await sent();
      const dsn = (await report('postfix-dsn', message)).replaceAll(from, to);
      const replies = await dialogue([
        'EHLO a\r\n',
        'MAIL FROM:<>\r\n',
        `RCPT TO:<${message.returnPath}>\r\n`,
        'DATA\r\n',
        `${dsn}\r\n.\r\n`,
        'QUIT\r\n',
      ]);
      assert.match(replies[5]!, /^250 .*Recorded/, JSON.stringify(to));
    }
  });

  it('ends a message at CRLF.CRLF only, with any stray line breaks and NUL', async () => {
    const { returnPath } = await sent();
    const smuggled = `MAIL FROM:<>\r\nRCPT TO:<${returnPath}>\r\nDATA\r\nSubject: second\r\n\r\nx`;
    const ends = [
      '\n.\n',
      '\n.\r\n',
      '\r\n.\n',
      '\r.\r',
      '\r.\r\n',
      '\r\n.\r',
      '\r\n\0.\r\n',
      '\r\n.\0\r\n',
      '\r\r\n.\r\r\n',
    ];
    const refused = ends.map(async (end) => {
      const replies = await dialogue([
        'EHLO a\r\n',
        'MAIL FROM:<>\r\n',
        `RCPT TO:<${returnPath}>\r\n`,
        'DATA\r\n',
        `Subject: first\r\n\r\nx${end}${smuggled}\r\n.\r\n`,
        'QUIT\r\n',
      ]);
      assert.equal(codes(replies), '220 250 250 250 354 250 221', JSON.stringify(end));
    });
    await Promise.all(refused);
  });

  it('offers neither AUTH nor, without a certificate, STARTTLS', async () => {
    const [, ehlo, starttls, auth] = await dialogue([
      'EHLO a\r\n',
      'STARTTLS\r\n',
      'AUTH PLAIN\r\n',
      'QUIT\r\n',
    ]);
    assert.doesNotMatch(ehlo!, /AUTH|STARTTLS/);
    assert.match(`${starttls} ${auth}`, /^5\d\d .* 5\d\d /s);
  });

  it('answers 451 while the storage does not answer, and records when it does', async () => {
    const message = await sent();
    let broken = true;
    const records = new Proxy(engine.records, {
      get(target, name: keyof Engine['records']) {
        if (name === 'append' && broken) {
          return () => Promise.reject(new PosternError('storage_full', 'The disk is full.'));
        }
        return target[name].bind(target);
      },
    });
    const listener = await listen({ engine: { ...engine, records } });
    const dsn = await report('postfix-dsn', message);
    assert.match(await send(message.returnPath, dsn, listener), /^452 4\.3\.1 /);
    assert.deepEqual(await outcomesOf(message.id), []);
    broken = false;
    assert.match(await send(message.returnPath, dsn, listener), /^250 .*Recorded/);
  });

  it('limits connections and messages per address', async () => {
    const listener = await listen({ limits: { anonymousOfOne: 2, messagesOfOne: 3 } });
    const open = await Promise.all(
      [0, 1].map(
        () =>
          new Promise<net.Socket>((resolve) => {
            const socket = net.connect(listener.address.port, '127.0.0.1');
            socket.once('data', () => resolve(socket));
          }),
      ),
    );
    assert.equal(codes(await dialogue([], listener)), '421');
    await Promise.all(
      open.map((socket) => new Promise((resolve) => socket.once('close', resolve).end('QUIT\r\n'))),
    );
    const mails = [
      'MAIL FROM:<>\r\n',
      'RSET\r\n',
      'MAIL FROM:<>\r\n',
      'RSET\r\n',
      'MAIL FROM:<>\r\n',
      'RSET\r\n',
    ];
    const replies = await dialogue(['EHLO a\r\n', ...mails, 'MAIL FROM:<>\r\n', 'QUIT\r\n'], listener);
    assert.equal(codes(replies), '220 250 250 250 250 250 250 250 451 221');
    clock.advance(60_000);
    const later = await dialogue(['EHLO a\r\n', 'MAIL FROM:<>\r\n', 'QUIT\r\n'], listener);
    assert.equal(codes(later), '220 250 250 221');
  });

  it('cuts off a peer that does not finish its message', async () => {
    const { returnPath } = await sent();
    const socket = net.connect(inbound.address.port, '127.0.0.1');
    let text = '';
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('data', (chunk) => {
      const greeted = text.startsWith('220 ');
      text += chunk.toString();
      if (!greeted) socket.write(`EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<${returnPath}>\r\nDATA\r\n`);
      if (text.includes('354 ') && !text.includes('421 ')) {
        socket.write('Subject: slow\r\n');
        clock.advance(120_000);
      }
    });
    await closed;
    assert.match(text, /421 4\.4\.2 .*\r\n$/);
  });
});
