import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { SMTPServer } from 'smtp-server';
import { dotStuff, endOfData } from '../../lib/smtp/body.ts';
import { DEFAULT_DEADLINES } from '../../lib/smtp/deadlines.ts';
import { openSession } from '../../lib/smtp/session.ts';
import type { SmtpSession, Transaction } from '../../lib/smtp/types.ts';
import { systemClock } from '../../lib/time.ts';

/** Bodies of dots, line ends and text. Line ends are CRLF, as the caller promises. */
const bodies = fc
  .array(fc.constantFrom('.', '..', '\r\n', '\r\n.', '\r\n.\r\n', '\r\n..\r\n', 'text', 'é', ' .'), {
    maxLength: 60,
  })
  .map((parts) => Buffer.from(parts.join('')));

/** A receiver's reading of a body (RFC 5321 §4.5.2), written as plainly as can be. */
function unstuff(wire: Buffer): { body: string; rest: string } {
  const lines = wire.toString('latin1').split('\r\n');
  const end = lines.indexOf('.');
  const body = lines.slice(0, end).map((line) => `${line.startsWith('.') ? line.slice(1) : line}\r\n`);
  return { body: body.join(''), rest: lines.slice(end + 1).join('\r\n') };
}

/** The body as it arrives: DATA carries whole lines. */
function whole(body: Buffer): string {
  const text = body.toString('latin1');
  return text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`;
}

test('a dot-stuffed body ends at its end and unstuffs to itself', () => {
  fc.assert(
    fc.property(bodies, (body) => {
      const wire = Buffer.concat([dotStuff(body), Buffer.from(endOfData(body))]);
      assert.deepEqual(unstuff(wire), { body: whole(body), rest: '' });
    }),
    { seed: 5321, numRuns: 5000 },
  );
});

test('a body without a dot at the beginning of a line is not copied', () => {
  const body = Buffer.from('a.\r\nb.c\r\n');
  assert.equal(dotStuff(body), body);
});

const received: string[] = [];
const waiting: Transaction[] = [];
let settled: (() => void) | undefined;
let server: SMTPServer;
let session: SmtpSession;

before(async () => {
  server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData(stream, _session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        received.push(Buffer.concat(chunks).toString('latin1'));
        callback();
      });
    },
  });
  const listener = server.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  session = openSession({
    address: '127.0.0.1',
    port: (listener.address() as AddressInfo).port,
    host: 'localhost',
    ehloName: 'client.test',
    tls: 'off',
    deadlines: DEFAULT_DEADLINES,
    maxTransactions: 10_000,
    idle: 60_000,
    clock: systemClock,
    next: () => waiting.shift(),
    done: (_item, result) => {
      assert.equal(result.results[0]!.kind, 'accepted');
      settled?.();
    },
    ended: () => {},
  });
});

after(async () => {
  session.destroy('The test is over.');
  await new Promise<void>((resolve) => server.close(() => resolve()));
});

test('a real server receives each body unchanged', async () => {
  await fc.assert(
    fc.asyncProperty(bodies, async (bytes) => {
      received.length = 0;
      const done = new Promise<void>((resolve) => {
        settled = resolve;
      });
      waiting.push({ mailFrom: '', recipients: ['b@x.test'], bytes, eightBit: false, smtpUtf8: false });
      session.wake();
      await done;
      assert.deepEqual(received, [whole(bytes)]);
    }),
    { seed: 2920, numRuns: 300 },
  );
});
