import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PosternError } from '../../lib/errors.ts';
import { checkRetrySchedule, DEFAULT_RETRY, nextAttempt } from '../../lib/outcome/retry.ts';
import { DAY, HOUR, MINUTE } from '../../lib/time.ts';
import { seededRandom } from '../support/clock.ts';

const middle = () => 0.5;

/** Times of all attempts, the first at 0, until expiry. */
function attempts(expiresAt: number): number[] {
  const times = [0];
  for (;;) {
    const next = nextAttempt(DEFAULT_RETRY, times.length, times.at(-1)!, expiresAt, middle);
    if (next === undefined) return times;
    times.push(next);
  }
}

describe('retry schedule', () => {
  it('makes 9 attempts in 14 hours and 23 in three days', () => {
    const day = attempts(14 * HOUR);
    assert.deepEqual(
      day.map((time) => time / MINUTE),
      [0, 5, 15, 35, 75, 135, 255, 495, 735],
    );
    assert.equal(attempts(72 * HOUR).length, 23);
  });

  it('repeats the last delay, and uses the first one before any attempt', () => {
    const schedule = { delays: [1000, 2000], jitter: 0 };
    assert.equal(nextAttempt(schedule, 99, 0, HOUR, middle), 2000);
    assert.equal(nextAttempt(schedule, 0, 0, HOUR, middle), 1000);
  });

  it('expires exactly at the maximum age', () => {
    const schedule = { delays: [1000], jitter: 0 };
    assert.equal(nextAttempt(schedule, 1, 5000, 6001, middle), 6000);
    assert.equal(nextAttempt(schedule, 1, 5000, 6000, middle), undefined);
    assert.equal(nextAttempt(schedule, 1, 5000, 4000, middle), undefined);
  });

  it('spreads within the jitter, in both directions', () => {
    const random = seededRandom(7);
    const times = Array.from(
      { length: 2000 },
      () => nextAttempt({ delays: [10_000], jitter: 0.1 }, 1, 0, HOUR, random)!,
    );
    assert.ok(Math.min(...times) >= 9000 && Math.min(...times) < 9100);
    assert.ok(Math.max(...times) <= 11_000 && Math.max(...times) > 10_900);
  });

  it('checks a configured schedule', () => {
    assert.deepEqual(checkRetrySchedule({ delays: [1000], jitter: 0 }, 'retry'), {
      delays: [1000],
      jitter: 0,
    });
    assert.doesNotThrow(() => checkRetrySchedule(DEFAULT_RETRY, 'retry'));
    const wrong: [unknown, RegExp][] = [
      [undefined, /retry\.delays must be a list of 1 to 100/],
      [{ delays: [], jitter: 0 }, /retry\.delays must/],
      [{ delays: new Array(101).fill(1000), jitter: 0 }, /retry\.delays must/],
      [
        { delays: [1000, 999], jitter: 0 },
        /retry\.delays\[1\] is 999; must be a number of milliseconds from 1000/,
      ],
      [{ delays: ['5m'], jitter: 0 }, /retry\.delays\[0\] is "5m"/],
      [{ delays: [Number.NaN], jitter: 0 }, /delays\[0\]/],
      [{ delays: [7 * DAY + 1], jitter: 0 }, /delays\[0\]/],
      [{ delays: [1000], jitter: 0.51 }, /retry\.jitter is 0.51; must be a fraction from 0 to 0.5/],
      [{ delays: [1000] }, /retry\.jitter/],
    ];
    for (const [value, message] of wrong) {
      assert.throws(
        () => checkRetrySchedule(value, 'retry'),
        (error) =>
          error instanceof PosternError && error.code === 'bad_request' && message.test(error.message),
      );
    }
  });
});
