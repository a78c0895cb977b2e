/** Schedules and plans of a warm-up. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PosternError } from '../../lib/errors.ts';
import { readPlan } from '../../lib/warmup/plan.ts';
import {
  budgetAt,
  positionFor,
  readSchedule,
  SCHEDULES,
  stepBefore,
  totalDays,
} from '../../lib/warmup/schedule.ts';
import { THRESHOLDS } from '../../lib/warmup/verdict.ts';

const STEPS = [
  { days: 1, messages: 10 },
  { days: 2, messages: 100 },
  { days: 1, messages: 1000 },
];

describe('a warm-up schedule', () => {
  it('is a named one, each of which rises', () => {
    assert.deepEqual(
      SCHEDULES['eight-weeks'].map(({ messages }) => messages),
      [50, 200, 1_000, 5_000, 25_000, 100_000, 400_000],
    );
    assert.equal(totalDays(SCHEDULES['eight-weeks']), 49, 'full on the first day of the eighth week');
    assert.equal(totalDays(SCHEDULES.fast), 14);
    assert.equal(totalDays(SCHEDULES.slow), 60);
    for (const [name, schedule] of Object.entries(SCHEDULES)) {
      assert.equal(readSchedule(name, 'schedule'), schedule);
      assert.deepEqual(readSchedule([...schedule], 'schedule'), schedule);
    }
  });

  it('is a list of steps, refused with path and reason when it falls or is invalid', () => {
    const rows: [unknown, RegExp][] = [
      [
        [
          { days: 1, messages: 100 },
          { days: 1, messages: 99 },
        ],
        /^warmup\.schedule\[1\]\.messages: 99 is less than the 100 of the step before; a schedule must not go down\.$/,
      ],
      ['quick', /^warmup\.schedule: "quick" is none of eight-weeks, fast, slow\.$/],
      [[], /^warmup\.schedule: A schedule has 1 to 100 steps\.$/],
      [[{ days: 0, messages: 1 }], /^warmup\.schedule\[0\]\.days: 0 is out of bounds/],
      [[{ days: 1.5, messages: 1 }], /days: 1\.5 is not a whole number/],
      [[{ days: 1, messages: 0 }], /messages: 0 is out of bounds/],
      [
        [{ days: 1, message: 5 }],
        /^warmup\.schedule\[0\]\.message: is unknown; the members are days, messages\.$/,
      ],
      [[5], /^warmup\.schedule\[0\]: 5 is not an object\.$/],
      [Array.from({ length: 101 }, () => ({ days: 1, messages: 1 })), /1 to 100 steps/],
    ];
    for (const [schedule, message] of rows) {
      assert.throws(
        () => readPlan({ schedule }, 'warmup'),
        (error) =>
          error instanceof PosternError && error.code === 'bad_request' && message.test(error.message),
      );
    }
    assert.doesNotThrow(() => readSchedule([STEPS[0], STEPS[0]], 'schedule'), 'level is not down');
  });

  it('has a budget for each position, and a position with the same budget in another schedule', () => {
    assert.deepEqual(
      [0, 0.9, 1, 2.5, 3, 3.99, 4, 5].map((position) => budgetAt(STEPS, position)),
      [10, 10, 100, 100, 1000, 1000, Infinity, Infinity],
    );
    assert.deepEqual(
      [0, 0.5, 1, 2.9, 3].map((position) => stepBefore(STEPS, position)),
      [0, 0, 0, 0, 1],
    );
    assert.deepEqual(
      [9, 10, 999, 1000, 5000, Infinity].map((budget) => positionFor(STEPS, budget)),
      [0, 0, 1, 3, 3, 4],
    );
  });
});

describe('a plan', () => {
  it('has defaults, schedules of single providers and thresholds of its own', () => {
    const plan = readPlan({}, 'warmup');
    assert.equal(plan.schedule, SCHEDULES['eight-weeks']);
    assert.equal(plan.thresholds, THRESHOLDS);
    const own = readPlan(
      {
        schedule: 'slow',
        providers: { google: 'fast' },
        thresholds: { bounced: { hold: 0.01 } },
        spread: true,
      },
      'warmup',
    );
    assert.equal(own.providers.get('google'), SCHEDULES.fast);
    assert.deepEqual(own.thresholds.bounced, { hold: 0.01, stepBack: 0.05, atLeast: 3 });
    assert.equal(own.thresholds.blocked, THRESHOLDS.blocked);
  });

  it('is refused with the path of what is wrong', () => {
    const rows: [unknown, RegExp][] = [
      [{ providers: { google: 'quick' } }, /^warmup\.providers\.google: /],
      [
        { thresholds: { bounced: { hold: 0.2, stepBack: 0.1 } } },
        /^warmup\.thresholds\.bounced\.stepBack: 0\.1 is less/,
      ],
      [{ thresholds: { bounces: {} } }, /^warmup\.thresholds\.bounces: is unknown/],
      [{ spread: 'yes' }, /^warmup\.spread: "yes" is neither true nor false/],
      [{ progress: { percent: 101, at: '2026-01-01' } }, /^warmup\.progress\.percent: 101 is out of bounds/],
      [{ progress: { percent: 10, at: 'soon' } }, /^warmup\.progress\.at: "soon" is not a date/],
      [[], /^warmup: \[\] is not an object/],
    ];
    for (const [plan, message] of rows)
      assert.throws(() => readPlan(plan, 'warmup'), { code: 'bad_request', message });
  });
});
