import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { boundedHint, retryHint } from '../../lib/automation/hint.ts';
import { DAY, HOUR, MINUTE, SECOND } from '../../lib/time.ts';

describe('a retry hint', () => {
  it('is read from the wordings of real servers', () => {
    const rows: [string, number][] = [
      ['Please try again in 30 minutes', 30 * MINUTE],
      ['retry after 3600 seconds', HOUR],
      ['Please try again in 2 hours', 2 * HOUR],
      ['Temporarily rejected, retry in 10 min', 10 * MINUTE],
      [
        'Greylisted for 300 seconds (see http://isg.ee.ethz.ch/tools/postgrey/help/example.com.html)',
        5 * MINUTE,
      ],
      ['<user@example.com>: Recipient address rejected: Greylisted, try again in 60 seconds', MINUTE],
      ['Greylisting in action, please come back in 00:04:56', 4 * MINUTE + 56 * SECOND],
      ['Greylisting in action, please come back in 04:56', 4 * MINUTE + 56 * SECOND],
      ['Graylisted, please try again in 5 minutes', 5 * MINUTE],
      ['You have been greylisted, please wait at least 5 minutes', 5 * MINUTE],
      ['Too many connections. Please wait 15 min and try again', 15 * MINUTE],
      ['TRY AGAIN AFTER ONE HOUR', HOUR],
      ['please retry in an hour', HOUR],
      ['please retry in about a minute', MINUTE],
      ['try your request again in fifteen minutes', 15 * MINUTE],
      ['retry in 1h', HOUR],
      ['retry in 90s.', 90 * SECOND],
      ['Your IP is blocked for 24 hours', DAY],
      ['message deferred for 2 days', 48 * HOUR],
      ['try again later, in 20 minutes', 20 * MINUTE],
    ];
    for (const [text, expected] of rows) assert.equal(retryHint(text), expected, text);
  });

  it('is not read from numbers that mean something else', () => {
    const texts = [
      'try again later',
      'Too many messages: 100 in 60 minutes, try again later',
      'try again later. The limit is 100 messages per 10 minutes',
      'connection rate limit exceeded (10 per minute)',
      'temporarily deferred due to user complaints - 4.16.55.1; see https://help.yahoo.com/421-ts02.html',
      'retry in 0 seconds',
      'greylisted 00:00:00',
      'wait',
      '30 minutes',
      '',
    ];
    for (const text of texts) assert.equal(retryHint(text), undefined, text);
  });

  it('is searched in the first 500 characters', () => {
    assert.equal(retryHint(`${'x '.repeat(235)} try again in 5 minutes`), 5 * MINUTE);
    assert.equal(retryHint(`${'x '.repeat(250)} try again in 5 minutes`), undefined);
  });

  it('is kept within its limits', () => {
    assert.equal(boundedHint('retry in 1 second', MINUTE, HOUR), MINUTE);
    assert.equal(boundedHint('retry in 9999999 days', MINUTE, HOUR), HOUR);
    assert.equal(boundedHint('retry in 5 minutes', MINUTE, HOUR), 5 * MINUTE);
    assert.equal(boundedHint('retry', MINUTE, HOUR), undefined);
  });
});
