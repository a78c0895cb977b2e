import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DAY } from '../../lib/time.ts';
import { WarmupBook } from '../../lib/warmup/book.ts';
import { daysName, readDays, withDays } from '../../lib/warmup/history.ts';
import { readPlan } from '../../lib/warmup/plan.ts';
import { budgetsFrom } from '../../lib/warmup/schedule.ts';

const IP = '192.0.2.1';
const SCHEDULE = [
  { days: 1, messages: 100 },
  { days: 1, messages: 200 },
  { days: 1, messages: 400 },
];

function openBook(): WarmupBook {
  const book = new WarmupBook();
  book.setPlan(IP, readPlan({ schedule: SCHEDULE }, 'warmup'));
  book.restore(IP, undefined);
  return book;
}

function send(book: WarmupBook, day: number, delivered: number, bounced = 0): void {
  const now = day * DAY + 1;
  book.room(IP, 'google', now);
  book.take(IP, 'google', now, delivered + bounced);
  if (delivered > 0) book.outcome(IP, 'google', 'delivered', now, delivered);
  if (bounced > 0) book.outcome(IP, 'google', 'bounced', now, bounced);
}

test('each day that is over tells what was planned, what was sent, and what became of it', () => {
  const book = openBook();
  assert.equal(book.takeEnded(IP), undefined);
  send(book, 10, 90);
  send(book, 11, 100, 4);
  send(book, 12, 60, 40);
  send(book, 13, 1);
  book.room(IP, 'google', 16 * DAY);
  const { google } = book.takeEnded(IP)!;
  assert.deepEqual(
    google!.map(({ day, budget, sent, verdict, cause }) => [day, budget, sent, verdict, cause === undefined]),
    [
      [10, 100, 90, 'promoted', true],
      [11, 200, 104, 'held', false],
      [12, 100, 100, 'stepped-back', false],
      [13, 100, 1, 'quiet', true],
    ],
  );
  assert.equal(google![1]!.counts.bounced, 4);
  assert.equal(book.takeEnded(IP), undefined, 'each is taken once');
});

test('an address that is warm, or sent nothing, has no days', () => {
  const book = openBook();
  book.room(IP, 'google', 10 * DAY);
  book.room(IP, 'google', 12 * DAY);
  for (const day of [13, 14, 15]) send(book, day, 100);
  assert.equal(book.takeEnded(IP)!.google!.length, 2, 'the third day is under way');
  book.room(IP, 'google', 16 * DAY);
  assert.equal(book.warming(IP, 'google'), false);
  assert.equal(book.takeEnded(IP)!.google!.length, 1);
  send(book, 17, 1_000);
  book.room(IP, 'google', 18 * DAY);
  assert.equal(book.takeEnded(IP), undefined);
});

test('days are kept by provider, sixty of each, and what cannot be read is for people alone', () => {
  const day = (n: number) => ({
    day: n,
    budget: 10,
    sent: n,
    counts: { delivered: n, bounced: 0, complained: 0, deferred: 0, blocked: 0 },
    verdict: 'held' as const,
  });
  let stored: unknown;
  for (let n = 0; n < 70; n++) stored = withDays(stored, { google: [day(n)] });
  stored = withDays(stored, { google: [{ ...day(69), sent: 7 }], yahoo: [day(1)] });
  const { google, yahoo } = readDays(JSON.parse(JSON.stringify(stored)));
  assert.deepEqual([google!.length, google![0]!.day, google!.at(-1)!.sent, yahoo!.length], [60, 10, 7, 1]);
  for (const bad of [undefined, null, 7, {}, { v: 2, days: {} }, { v: 1 }, { v: 1, days: null }])
    assert.deepEqual(readDays(bad), {});
  assert.equal(daysName(IP), 'warmup-days:192.0.2.1');
});

test('the plan ahead ends where the address is warm', () => {
  assert.deepEqual(budgetsFrom(SCHEDULE, 1, 14), [200, 400]);
  assert.deepEqual(budgetsFrom(SCHEDULE, 0, 2), [100, 200]);
  assert.deepEqual(budgetsFrom(SCHEDULE, 3, 14), []);
});
