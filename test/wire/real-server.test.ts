import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import tlsOptions from 'smtp-server/lib/tls-options.js';
import { DEFAULT_DEADLINES } from '../../lib/smtp/deadlines.ts';
import { openSession } from '../../lib/smtp/session.ts';
import type { SessionEnd, SessionOptions, SmtpSession, Transaction } from '../../lib/smtp/types.ts';
import { systemClock } from '../../lib/time.ts';
import { BODY, mail } from './run.ts';

const { key, cert } = tlsOptions({});

interface Delivered {
  from: string;
  to: string[];
  body: string;
  secure: boolean;
}

/** Sends these messages to a real server, over one connection. */
async function send(items: Transaction[], tls: SessionOptions['tls'], server: SMTPServerOptions = {}) {
  const delivered: Delivered[] = [];
  const results: string[] = [];
  const real = new SMTPServer({
    authOptional: true,
    key,
    cert,
    onData(stream, { envelope, secure }, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const from = envelope.mailFrom ? envelope.mailFrom.address : '';
        const to = envelope.rcptTo.map(({ address }) => address);
        delivered.push({ from, to, body: Buffer.concat(chunks).toString(), secure });
        callback();
      });
    },
    ...server,
  });
  real.on('error', () => {});
  const listener = real.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const queue = [...items];
  const ended = Promise.withResolvers<SessionEnd>();
  const session: SmtpSession = openSession({
    address: '127.0.0.1',
    port: (listener.address() as AddressInfo).port,
    host: 'localhost',
    ehloName: 'client.test',
    tls,
    deadlines: DEFAULT_DEADLINES,
    maxTransactions: 1000,
    idle: 60_000,
    clock: systemClock,
    next: () => {
      if (queue.length === 0) session.quit();
      return queue.shift();
    },
    done: (_item, result) => {
      for (const { recipient, kind, reply, code } of result.results) {
        results.push(`${recipient} ${kind} ${reply?.code ?? code}`);
      }
    },
    ended: ended.resolve,
  });
  const end = await ended.promise;
  await new Promise<void>((resolve) => real.close(() => resolve()));
  return { delivered, results, end, session };
}

test('by TLS with a self-signed certificate', async () => {
  for (const tls of ['opportunistic', 'required'] as const) {
    const { delivered, end, session } = await send([mail('b@x.test'), mail('c@x.test')], tls);
    assert.equal(end.code, 'quit');
    assert.deepEqual(
      delivered.map(({ to, secure, body }) => ({ to, secure, body })),
      ['b@x.test', 'c@x.test'].map((to) => ({ to: [to], secure: true, body: BODY })),
    );
    assert.equal(session.tls!.verified, false);
    assert.match(session.tls!.protocol, /^TLSv1\.[23]$/);
    assert.match(session.tls!.cipher, /AES|CHACHA/);
    assert.equal(session.extensions.has('STARTTLS'), false);
  }
});

test('never below TLS 1.2', async () => {
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  const { delivered, end } = await send([mail('b@x.test')], 'opportunistic', old);
  assert.deepEqual([end.code, end.phase, delivered.length], ['tls_failed', 'tls', 0]);
});

test('in plaintext when TLS is off', async () => {
  const { delivered, session } = await send([mail('b@x.test')], 'off');
  assert.equal(delivered[0]!.secure, false);
  assert.equal(session.tls, undefined);
});

test('1,000 messages over one TLS connection', async () => {
  const items = Array.from({ length: 1000 }, (_, i) => mail(`user${i}@x.test`));
  const { delivered, results } = await send(items, 'opportunistic');
  assert.deepEqual(
    delivered.map(({ to }) => to[0]),
    items.map(({ recipients }) => recipients[0]),
  );
  assert.ok(results.every((result) => result.endsWith('accepted 250')));
});

test('recipients refused, all or some, and a message that is too large', async () => {
  const bytes = Buffer.from(`${'x'.repeat(998)}\r\n`.repeat(20));
  const { delivered, results, end } = await send(
    [
      mail(['no-1@x.test', 'b@x.test', 'no-2@x.test']),
      mail(['no-3@x.test']),
      mail('c@x.test', { bytes }),
      mail('d@x.test', { mailFrom: '' }),
      mail('jörg@x.test', { eightBit: true, smtpUtf8: true }),
    ],
    'off',
    {
      size: 10_000,
      onRcptTo({ address }, _session, callback) {
        callback(address.startsWith('no-') ? new Error('No such user') : null);
      },
    },
  );
  assert.deepEqual(results, [
    'no-1@x.test refused 550',
    'b@x.test accepted 250',
    'no-2@x.test refused 550',
    'no-3@x.test refused 550',
    'c@x.test unsent over_peer_size',
    'd@x.test accepted 250',
    'jörg@x.test accepted 250',
  ]);
  assert.deepEqual(
    delivered.map(({ from, to }) => [from, ...to]),
    [
      ['from@a.test', 'b@x.test'],
      ['', 'd@x.test'],
      ['from@a.test', 'jörg@x.test'],
    ],
  );
  assert.equal(end.code, 'quit');
});
