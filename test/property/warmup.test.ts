import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DAY } from '../../lib/time.ts';
import { WarmupBook } from '../../lib/warmup/book.ts';
import type { WarmupCheckpoint } from '../../lib/warmup/checkpoint.ts';
import type { WarmupPlan } from '../../lib/warmup/plan.ts';
import { budgetAt, type Schedule, totalDays } from '../../lib/warmup/schedule.ts';
import { SIGNALS, THRESHOLDS } from '../../lib/warmup/verdict.ts';

const SETTINGS = { seed: 20261121, numRuns: 1500 };
const START = Date.UTC(2026, 4, 31);
const IP = '203.0.113.7';
const PROVIDERS = ['google', 'yahoo'];

const schedule: fc.Arbitrary<Schedule> = fc
  .array(fc.record({ days: fc.integer({ min: 1, max: 3 }), messages: fc.integer({ min: 1, max: 400 }) }), {
    minLength: 1,
    maxLength: 5,
  })
  .map((steps) => {
    const volumes = steps.map(({ messages }) => messages).sort((a, b) => a - b);
    return steps.map(({ days }, i) => ({ days, messages: volumes[i]! }));
  });

type Step =
  | { kind: 'send'; provider: number; want: number }
  | { kind: 'signal'; provider: number; signal: number; count: number }
  | { kind: 'pass'; ms: number }
  | { kind: 'begin-save' }
  | { kind: 'end-save'; landed: boolean; known: boolean }
  | { kind: 'crash' }
  | { kind: 'hand-over' };

const provider = fc.integer({ min: 0, max: PROVIDERS.length - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      provider,
      want: fc.integer({ min: 1, max: 300 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('signal' as const),
      provider,
      signal: fc.integer({ min: 0, max: SIGNALS.length - 1 }),
      count: fc.integer({ min: 1, max: 50 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      ms: fc.oneof(fc.constantFrom(1, DAY / 2, DAY - 1, DAY, 3 * DAY), fc.integer({ min: 1, max: 2 * DAY })),
    }),
  },
  { weight: 4, arbitrary: fc.constant({ kind: 'begin-save' as const }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('end-save' as const),
      landed: fc.boolean(),
      known: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'crash' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'hand-over' as const }) },
);

test('no day exceeds its budget through crashes, failed saves and take-overs', () => {
  fc.assert(
    fc.property(schedule, fc.boolean(), fc.array(step, { maxLength: 120 }), (steps, spread, story) => {
      const plan: WarmupPlan = { schedule: steps, providers: new Map(), thresholds: THRESHOLDS, spread };
      const open = (): WarmupBook => {
        const opened = new WarmupBook();
        opened.setPlan(IP, plan);
        opened.restore(IP, stored === undefined ? undefined : JSON.parse(stored));
        return opened;
      };
      let stored: string | undefined;
      let saving: WarmupCheckpoint | undefined;
      let book = open();
      let now = START;
      /** Sent by day and provider, and the largest budget that the ramp had on that day. */
      const sent = new Map<string, number>();
      const allowed = new Map<string, number>();
      const keep = (name: string): string => `${Math.floor(now / DAY)} ${name}`;

      for (const one of story) {
        const name = PROVIDERS['provider' in one ? one.provider : 0]!;
        switch (one.kind) {
          case 'send': {
            const room = book.room(IP, name, now);
            if (room === Number.POSITIVE_INFINITY) break;
            assert.equal(room > 0, book.wait(IP, name, now) === 0);
            const count = Math.min(room, one.want);
            const key = keep(name);
            const { budget } = book.status(IP, now)[name]!;
            allowed.set(key, Math.max(allowed.get(key) ?? 0, budget!));
            sent.set(key, (sent.get(key) ?? 0) + count);
            book.take(IP, name, now, count);
            assert.ok(sent.get(key)! <= allowed.get(key)!, `${key}: ${sent.get(key)} of ${budget}`);
            break;
          }
          case 'signal':
            book.outcome(IP, name, SIGNALS[one.signal]!, now, one.count);
            break;
          case 'pass':
            now += one.ms;
            break;
          case 'begin-save':
            if (book.unsaved().length > 0) saving = book.checkpoint(IP);
            break;
          case 'end-save':
            if (saving === undefined) break;
            // A save can land without its answer reaching the node; never the other way round.
            if (one.landed) stored = JSON.stringify(saving);
            if (one.landed && one.known) book.saved(IP);
            else book.notSaved(IP);
            saving = undefined;
            break;
          case 'crash':
            // A save under way may still land.
            if (saving !== undefined) stored = JSON.stringify(saving);
            saving = undefined;
            book = open();
            break;
          case 'hand-over': {
            // The save that is under way ends first.
            if (saving !== undefined) stored = JSON.stringify(saving);
            saving = undefined;
            const before = book.status(IP, now);
            stored = JSON.stringify(book.close(IP));
            book = open();
            assert.deepEqual(
              Object.entries(book.status(IP, now)).map(([key, row]) => [
                key,
                row.sent,
                row.day,
                row.budget,
                row.counts,
              ]),
              Object.entries(before).map(([key, row]) => [key, row.sent, row.day, row.budget, row.counts]),
            );
            break;
          }
        }
      }
    }),
    SETTINGS,
  );
});

test('a crash wastes at most two chunks of a day', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 500_000 }),
      fc.integer({ min: 1, max: 60 }),
      (messages, crashes) => {
        const plan: WarmupPlan = {
          schedule: [{ days: 1, messages }],
          providers: new Map(),
          thresholds: THRESHOLDS,
          spread: false,
        };
        const chunk = Math.min(5_000, Math.ceil(messages / 20));
        let stored: unknown;
        let sent = 0;
        for (let life = 0; life <= crashes; life += 1) {
          const book = new WarmupBook();
          book.setPlan(IP, plan);
          book.restore(IP, stored);
          for (let turn = 0; turn < (life === crashes ? 1000 : 3); turn += 1) {
            const room = Math.min(
              book.room(IP, 'google', START),
              life === crashes ? messages : 1 + (life % chunk),
            );
            book.take(IP, 'google', START, room);
            sent += room;
            if (book.unsaved().length === 0) continue;
            stored = JSON.parse(JSON.stringify(book.checkpoint(IP)));
            book.saved(IP);
          }
        }
        assert.ok(sent <= messages);
        assert.ok(sent >= messages - crashes * 2 * chunk, `${sent} of ${messages}, ${crashes} crashes`);
      },
    ),
    { ...SETTINGS, numRuns: 300 },
  );
});

test('each good day is one step up the schedule, to its end', () => {
  fc.assert(
    fc.property(schedule, fc.integer({ min: 0, max: 3 }), (steps, gap) => {
      const book = new WarmupBook();
      book.setPlan(IP, { schedule: steps, providers: new Map(), thresholds: THRESHOLDS, spread: false });
      book.restore(IP, undefined);
      let now = START;
      for (let position = 0; position < totalDays(steps); position += 1) {
        const budget = budgetAt(steps, position);
        let sent = 0;
        for (let room = 1; sent < budget && room >= 0; ) {
          room = book.room(IP, 'google', now);
          book.take(IP, 'google', now, room);
          sent += room;
          if (book.unsaved().length > 0) book.checkpoint(IP);
          book.saved(IP);
        }
        assert.equal(sent, budget);
        book.outcome(IP, 'google', 'delivered', now, sent);
        now += DAY * (1 + gap);
      }
      assert.equal(book.room(IP, 'google', now), Number.POSITIVE_INFINITY);
    }),
    { ...SETTINGS, numRuns: 300 },
  );
});
