import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { createLog, type Log } from '../../lib/log.ts';

function logging(level: 'debug' | 'warn' = 'debug'): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const log = createLog({ level, now: () => Date.UTC(2026, 10, 29), write: (line) => lines.push(line) });
  return { log, lines };
}

function line(fields: Record<string, unknown>, message = 'x'): string {
  const { log, lines } = logging();
  log.warn(message, fields);
  assert.equal(lines.length, 1);
  assert.ok(lines[0]!.endsWith('\n') && lines[0]!.indexOf('\n') === lines[0]!.length - 1, 'one line');
  return lines[0]!;
}

const SECRET = 's3cr3t+value';

describe('a log never shows', () => {
  for (const name of [
    'secret',
    'password',
    'authorization',
    'Authorization',
    'proxy-authorization',
    'privateKey',
    'private_key',
    'bearer',
    'smtpPassword',
    'token',
    'sessionToken',
    'x-amz-security-token',
    'secretAccessKey',
    'clientSecret',
    'frontSecret',
    'masterKey',
    'credentials',
    'signature',
    'cookie',
    'set-cookie',
    'passphrase',
    'pass',
    'sealed',
    'body',
    'bytes',
    'html',
    'attachments',
    'substitutions',
  ]) {
    it(`the member ${name}, at any depth`, () => {
      for (const value of [SECRET, { inner: SECRET }, [SECRET], Buffer.from(SECRET)]) {
        const written = line({ [name]: value, deep: { list: [{ [name]: value }] } });
        assert.ok(!written.includes(SECRET), written);
        assert.ok(!written.includes('115,51,99'), 'nor its octets');
        assert.equal(JSON.parse(written)[name], '[redacted]');
      }
    });
  }

  it('secrets that an error quotes', () => {
    const pem = '-----BEGIN PRIVATE KEY-----\nMIIEvQ\nAAAA\n-----END PRIVATE KEY-----';
    for (const text of [
      `got "Authorization: Bearer AKIATEST.${SECRET}"`,
      `unknown command AUTH PLAIN ${SECRET}`,
      `auth login ${SECRET} again`,
    ]) {
      const cause = new Error(text);
      const written = line({ error: new Error('outer', { cause }), text }, text);
      assert.ok(!written.includes(SECRET), written);
      assert.match(written, /\[redacted\]/);
    }
    const written = line({ error: new Error(`bad key ${pem} of x`) });
    assert.ok(!/MIIEvQ|AAAA/.test(written), written);
    assert.match(JSON.parse(written).error.message, /^bad key \[redacted\] of x$/);
  });

  it('the octets of a buffer', () => {
    assert.equal(JSON.parse(line({ chunk: Buffer.from('mail') })).chunk, '[4 octets]');
  });
});

test('a log shows what identifies a message: ids, keys, addresses, replies and reasons', () => {
  const fields = {
    messageId: '0100-1',
    key: 'AKIATEST',
    recipient: 'bob@example.net',
    reason: { code: 'deferred', text: 'The peer asks for time.' },
    tokens: 3,
  };
  const { time, level, message, ...rest } = JSON.parse(line(fields, 'refused'));
  assert.deepEqual(rest, fields);
  assert.deepEqual([time, level, message], ['2026-11-29T00:00:00.000Z', 'warn', 'refused']);
});

test('an error is written with its code and its cause', () => {
  const error = Object.assign(new Error('outer', { cause: new Error('inner') }), { code: 'EPIPE' });
  const written = JSON.parse(line({ error })).error;
  assert.deepEqual([written.message, written.code, written.cause.message], ['outer', 'EPIPE', 'inner']);
});

test('a line with fields that JSON cannot hold is written without them, and throws nothing', () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  for (const fields of [{ circle }, { count: 1n }]) {
    const written = JSON.parse(line(fields, 'kept'));
    assert.equal(written.message, 'kept');
    assert.match(written.unwritable, /TypeError/);
  }
});

test('lines below the level are not written', () => {
  const { log, lines } = logging('warn');
  log.debug('a');
  log.info('b');
  log.warn('c');
  log.error('d');
  assert.deepEqual(
    lines.map((text) => JSON.parse(text).message),
    ['c', 'd'],
  );
});

test('the level is read at each line, so that a change applies at once', () => {
  const lines: string[] = [];
  const options = {
    level: 'warn' as 'warn' | 'debug',
    now: () => 0,
    write: (one: string) => void lines.push(one),
  };
  const log = createLog(options);
  log.debug('one');
  options.level = 'debug';
  log.debug('two');
  assert.deepEqual(
    lines.map((one) => (JSON.parse(one) as { message: string }).message),
    ['two'],
  );
});
