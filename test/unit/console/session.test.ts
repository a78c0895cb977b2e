import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOwnForm, isSecure, setCookie } from '../../../lib/console/security.ts';
import { ConsoleSessions } from '../../../lib/console/session.ts';
import { HOUR, MINUTE } from '../../../lib/time.ts';
import { TestClock } from '../../support/clock.ts';

const MASTER = Buffer.alloc(32, 7);
const BEARER = 'AKIAADMIN.secret';

test('a session is found by its cookie for twelve hours, in any process with the master key', () => {
  const clock = new TestClock();
  const cookie = new ConsoleSessions(MASTER, clock).begin(BEARER);
  const other = new ConsoleSessions(MASTER, clock);
  assert.equal(other.find(cookie)?.bearer, BEARER);
  assert.ok(!cookie.includes('secret') && !Buffer.from(cookie, 'base64url').includes('secret'), 'sealed');
  clock.advance(12 * HOUR - 1);
  assert.equal(other.find(cookie)?.bearer, BEARER);
  clock.advance(1);
  assert.equal(other.find(cookie), undefined);
});

test('a cookie that was altered, made elsewhere or for another use opens nothing', () => {
  const clock = new TestClock();
  const sessions = new ConsoleSessions(MASTER, clock);
  const cookie = sessions.begin(BEARER);
  const bytes = Buffer.from(cookie, 'base64url');
  for (let i = 0; i < bytes.length; i += 7) {
    const altered = Buffer.from(bytes);
    altered[i]! ^= 1;
    assert.equal(sessions.find(altered.toString('base64url')), undefined, `byte ${i}`);
  }
  for (const bad of [undefined, '', 'x', cookie.slice(0, -2), cookie + cookie, 'A'.repeat(5_000)])
    assert.equal(sessions.find(bad), undefined);
  assert.equal(new ConsoleSessions(Buffer.alloc(32, 8), clock).find(cookie), undefined);
  assert.equal(sessions.find(sessions.notice('It is done.')), undefined, 'a notice is no session');
  assert.equal(sessions.noticeOf(cookie), undefined);
  const notice = sessions.notice('It is done.');
  assert.equal(sessions.noticeOf(notice), 'It is done.');
  clock.advance(MINUTE);
  assert.equal(sessions.noticeOf(notice), undefined);
});

test('the token of a form is that of its session alone', () => {
  const sessions = new ConsoleSessions(MASTER, new TestClock());
  const [one, two] = [1, 2].map(() => sessions.find(sessions.begin(BEARER))!);
  assert.ok(sessions.isToken(one!, sessions.token(one!)));
  for (const bad of [sessions.token(two!), undefined, '', `${sessions.token(one!)}x`])
    assert.ok(!sessions.isToken(one!, bad));
});

test('a form is of this origin where the browser says so', () => {
  const head = (...headers: [string, string][]) => ({
    method: 'POST',
    rawPath: '/console',
    rawQuery: '',
    headers: [['host', 'mail.example:8025'], ...headers] as [string, string][],
    sourceIp: '127.0.0.1',
  });
  for (const [own, ...headers] of [
    [true, ['origin', 'http://mail.example:8025']],
    [true, ['origin', 'https://mail.example:8025']],
    [true, ['sec-fetch-site', 'same-origin'], ['origin', 'https://proxied.example']],
    [false, ['origin', 'http://mail.example']],
    [false, ['origin', 'http://evil.example']],
    [false, ['origin', 'null']],
    [false, ['origin', 'mail.example:8025']],
    [false, ['sec-fetch-site', 'cross-site'], ['origin', 'http://mail.example:8025']],
    [false, ['sec-fetch-site', 'same-site'], ['origin', 'http://mail.example:8025']],
    [false, ['sec-fetch-site', 'none']],
    [false],
  ] as [boolean, ...[string, string][]][])
    assert.equal(isOwnForm(head(...headers)), own, JSON.stringify(headers));
  assert.ok(isSecure(head(), 'https://x/') && isSecure(head(['x-forwarded-proto', 'https']), 'http://x/'));
  assert.ok(!isSecure(head(), 'http://x/'));
});

test('cookies cannot be read by script or come from another site, and over TLS not be set by another host', () => {
  assert.equal(setCookie('a', 'v', false), 'a=v; Path=/; HttpOnly; SameSite=Strict');
  assert.equal(
    setCookie('a', '', true, 0),
    '__Host-a=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure',
  );
});
