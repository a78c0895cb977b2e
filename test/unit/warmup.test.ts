import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DAY, HOUR } from '../../lib/time.ts';
import { WarmupBook } from '../../lib/warmup/book.ts';
import { readCheckpoint, type WarmupCheckpoint } from '../../lib/warmup/checkpoint.ts';
import { readPlan } from '../../lib/warmup/plan.ts';
import { sesWarmup } from '../../lib/warmup/ses.ts';
import { signalOf } from '../../lib/warmup/signals.ts';
import { judge, noCounts, type Signal, THRESHOLDS } from '../../lib/warmup/verdict.ts';

const IP = '203.0.113.7';
const START = Date.UTC(2026, 2, 1);
const STEPS = [
  { days: 1, messages: 10 },
  { days: 2, messages: 100 },
  { days: 1, messages: 1000 },
];

/** A book with one restored IP, whose checkpoints are kept as storage would keep them. */
class Bench {
  book = new WarmupBook();
  stored: WarmupCheckpoint | undefined;

  constructor(plan: unknown = { schedule: STEPS }) {
    this.book.setPlan(IP, readPlan(plan, 'warmup'));
    this.book.restore(IP, undefined);
  }

  save(): void {
    for (const ip of this.book.unsaved()) {
      this.stored = JSON.parse(JSON.stringify(this.book.checkpoint(ip))) as WarmupCheckpoint;
      this.book.saved(ip);
    }
  }

  /** Sends within the budget, up to `want`, saving whenever a lease runs out. */
  send(now: number, want = Number.POSITIVE_INFINITY): number {
    let sent = 0;
    for (let idle = 0; idle < 2 && sent < want; ) {
      const count = Math.min(this.book.room(IP, 'google', now), want - sent);
      if (count > 0) this.book.take(IP, 'google', now, count);
      sent += count;
      idle = count > 0 ? 0 : idle + 1;
      this.save();
    }
    return sent;
  }

  signal(signal: Signal, count: number, now: number): void {
    this.book.outcome(IP, 'google', signal, now, count);
  }

  /** A day with the whole budget sent and delivered. */
  goodDay(now: number): number {
    const sent = this.send(now);
    this.signal('delivered', sent, now);
    this.save();
    return sent;
  }
}

describe('an IP that warms up', () => {
  it('waits until its state has been read, and while its first lease is being written', () => {
    const book = new WarmupBook();
    assert.equal(book.wait(IP, 'google', START), 0, 'no plan, no limit');
    book.setPlan(IP, readPlan({}, 'warmup'));
    assert.equal(book.wait(IP, 'google', START), 1000);
    assert.match(book.explain(IP, 'google', START), /has not been read yet/);
    assert.deepEqual([book.unread(), book.unsaved()], [[IP], []]);
    book.restore(IP, undefined);
    assert.deepEqual(book.unread(), []);
    assert.equal(book.wait(IP, 'google', START), 250);
    assert.deepEqual(book.unsaved(), [IP]);
    book.checkpoint(IP);
    assert.equal(book.wait(IP, 'google', START), 250, 'not before it is on storage');
    book.saved(IP);
    assert.equal(book.wait(IP, 'google', START), 0);
    assert.equal(book.room(IP, 'google', START), 3, 'a twentieth of 50');
  });

  it('sends its budget of the day and no more, waits for midnight, and rises', () => {
    const bench = new Bench();
    assert.equal(bench.goodDay(START), 10);
    assert.equal(bench.book.wait(IP, 'google', START + 5000), DAY - 5000);
    assert.match(
      bench.book.explain(IP, 'google', START),
      /^203\.0\.113\.7 warms up at google: 10 of 10 messages today, day 1 of 4\. More from 2026-03-02T00:00:00\.000Z\.$/,
    );
    assert.equal(bench.send(START + DAY - 1), 0, 'the last moment of the day');
    assert.equal(bench.goodDay(START + DAY), 100, 'the first of the next');
    assert.equal(bench.goodDay(START + 2 * DAY), 100);
    assert.equal(bench.goodDay(START + 3 * DAY), 1000);
    assert.equal(bench.book.warming(IP, 'google'), true);
    assert.equal(bench.book.room(IP, 'google', START + 4 * DAY), Infinity);
    assert.equal(bench.book.warming(IP, 'google'), false);
    assert.equal(bench.book.warming(IP, 'yahoo'), true, 'each provider by itself');
    assert.equal(bench.book.explain(IP, 'google', START + 4 * DAY), `${IP} is warm at google.`);
  });

  it('counts a day only when it had traffic', () => {
    const bench = new Bench();
    bench.goodDay(START);
    assert.equal(bench.send(START + DAY, 9), 9);
    bench.signal('delivered', 9, START + DAY);
    assert.equal(bench.book.status(IP, START + 2 * DAY).google!.day, 2, '9 of 100 are less than a tenth');
    bench.send(START + 2 * DAY, 10);
    bench.signal('delivered', 10, START + 2 * DAY);
    assert.equal(bench.book.status(IP, START + 3 * DAY).google!.day, 3, '10 are a tenth');
    assert.equal(
      bench.book.status(IP, START + 30 * DAY).google!.day,
      3,
      'weeks without traffic change nothing',
    );
  });

  it('is held by signals at their threshold, with the cause', () => {
    const rows: [Signal, number][] = [
      ['bounced', 3],
      ['deferred', 12],
      ['blocked', 2],
      ['complained', 2],
    ];
    for (const [signal, count] of rows) {
      // A share between hold and step back, for every signal.
      const bench = new Bench({
        schedule: STEPS,
        thresholds: { [signal]: { hold: 0.01, stepBack: 0.9, atLeast: 2 } },
        progress: { percent: 25, at: '2026-01-01' },
      });
      const sent = bench.send(START);
      assert.equal(sent, 100);
      bench.signal('delivered', sent - count, START);
      bench.signal(signal, count, START);
      const status = bench.book.status(IP, START + DAY).google!;
      assert.equal(status.day, 2, signal);
      assert.match(status.cause!, new RegExp(`% ${signal}$`));
    }
  });

  it('goes back a step at once on bad signals, once a day, and that day does not count', () => {
    const bench = new Bench({ schedule: STEPS, progress: { percent: 75, at: '2026-01-01' } });
    assert.equal(bench.send(START, 60), 60);
    bench.signal('delivered', 40, START);
    bench.signal('blocked', 20, START);
    assert.equal(bench.book.status(IP, START).google!.budget, 100);
    bench.signal('blocked', 20, START);
    assert.equal(bench.book.status(IP, START).google!.budget, 100, 'not twice for the same day');
    assert.equal(bench.send(START), 40, 'what is left of the smaller budget');
    bench.signal('delivered', 1000, START);
    assert.equal(bench.book.status(IP, START + DAY).google!.day, 2);
    assert.equal(bench.goodDay(START + DAY), 100);
  });

  it('is not moved by one or two bounces of few messages', () => {
    assert.equal(judge({ ...noCounts(), delivered: 8, bounced: 2 }, 0, THRESHOLDS).kind, 'promote');
    assert.equal(judge({ ...noCounts(), delivered: 47, bounced: 3 }, 0, THRESHOLDS).kind, 'step-back');
    assert.equal(judge({ ...noCounts(), delivered: 97, bounced: 3 }, 0, THRESHOLDS).kind, 'hold');
    assert.equal(judge({ ...noCounts(), delivered: 99, complained: 1 }, 0, THRESHOLDS).kind, 'promote');
  });

  it('counts late complaints on the day of their messages', () => {
    const late = { ...noCounts(), delivered: 5, complained: 2 };
    assert.equal(judge(late, 0, THRESHOLDS).kind, 'step-back');
    assert.equal(judge(late, 10_000, THRESHOLDS).kind, 'promote', '0.02 % of yesterday');
  });

  it('spreads the budget over the day with `spread`', () => {
    const bench = new Bench({ schedule: [{ days: 1, messages: 240 }], spread: true });
    assert.equal(bench.send(START), 10, "an hour's worth at midnight");
    assert.equal(bench.book.wait(IP, 'google', START), 1, 'the next as its time comes');
    assert.equal(bench.send(START + 1), 1);
    assert.equal(bench.book.wait(IP, 'google', START + 1), 360_000);
    assert.equal(bench.send(START + 360_000), 0);
    assert.equal(bench.send(START + 360_001), 1);
    assert.equal(bench.send(START + DAY / 2), 130 - 12);
    assert.equal(bench.send(START + 23 * HOUR), 110);
    assert.equal(bench.send(START + DAY - 1), 0);
    assert.equal(bench.book.wait(IP, 'google', START + DAY - 1), 1, 'then the next day');
  });

  it('goes on at the same budget when its schedule changes, and at its step when it does not', () => {
    const bench = new Bench();
    bench.goodDay(START);
    bench.goodDay(START + DAY);
    bench.book.setPlan(IP, readPlan({ schedule: [...STEPS], spread: false }, 'warmup'));
    assert.equal(bench.book.status(IP, START + 2 * DAY).google!.day, 3, 'the same schedule, read again');
    bench.book.setPlan(IP, readPlan({ schedule: 'fast' }, 'warmup'));
    assert.equal(
      bench.book.status(IP, START + 2 * DAY).google!.budget,
      200,
      'the first step bears more than 100',
    );
    bench.book.setPlan(IP, readPlan({ schedule: 'eight-weeks' }, 'warmup'));
    assert.equal(bench.book.status(IP, START + 2 * DAY).google!.day, 8);
    bench.book.setPlan(IP, undefined);
    assert.equal(bench.book.room(IP, 'google', START), Infinity);
  });
});

describe('a checkpoint', () => {
  it('counts all leased budget as spent after a crash', () => {
    const bench = new Bench({ schedule: [{ days: 1, messages: 1000 }] });
    assert.equal(bench.send(START, 10), 10);
    const heir = new WarmupBook();
    heir.setPlan(IP, readPlan({ schedule: [{ days: 1, messages: 1000 }] }, 'warmup'));
    heir.restore(IP, bench.stored);
    assert.equal(heir.status(IP, START).google!.sent, 50, 'a chunk of 50 was leased');
  });

  it('holds exactly what was sent after an orderly close', () => {
    const bench = new Bench({ schedule: [{ days: 1, messages: 1000 }] });
    bench.send(START, 10);
    bench.signal('bounced', 2, START);
    const last = bench.book.close(IP);
    assert.equal(bench.book.wait(IP, 'google', START), 1000, 'nothing more from here');
    assert.equal(bench.book.close(IP), undefined);
    bench.book.restore(IP, JSON.parse(JSON.stringify(last)));
    const status = bench.book.status(IP, START).google!;
    assert.equal(status.sent, 10);
    assert.equal(status.counts.bounced, 2);
  });

  it('releases no budget whose save failed, and is saved again', () => {
    const bench = new Bench();
    bench.book.wait(IP, 'google', START);
    bench.book.checkpoint(IP);
    assert.deepEqual(bench.book.unsaved(), [], 'one save at a time');
    bench.book.notSaved(IP);
    assert.equal(bench.book.room(IP, 'google', START), 0);
    assert.deepEqual(bench.book.unsaved(), [IP]);
    bench.save();
    assert.equal(bench.book.room(IP, 'google', START), 1);
    bench.book.saved('198.51.100.1');
    bench.book.notSaved('198.51.100.1');
  });

  it('does not release on a new day the budget leased for the old one', () => {
    const bench = new Bench();
    bench.book.wait(IP, 'google', START + DAY - 1);
    bench.book.checkpoint(IP);
    assert.equal(bench.book.room(IP, 'google', START + DAY), 0);
    bench.book.saved(IP);
    assert.equal(bench.book.room(IP, 'google', START + DAY), 0);
    assert.equal(bench.send(START + DAY), 10);
  });

  it('counts its day as begun when the clock of the next node is behind', () => {
    const bench = new Bench();
    assert.equal(bench.send(START), 10);
    const heir = new Bench();
    heir.book.restore(IP, bench.stored);
    assert.equal(heir.book.room(IP, 'google', START - 2000), 0);
    assert.equal(heir.book.wait(IP, 'google', START - 2000), DAY + 2000);
  });

  it('is refused when it is damaged or of a newer version, and the IP waits', () => {
    const bench = new Bench();
    bench.send(START);
    const good = bench.stored!;
    assert.equal(readCheckpoint(good, IP), good);
    const row = good.ramps.google!;
    for (const bad of [
      null,
      5,
      {},
      { ...good, ip: '198.51.100.1' },
      { ...good, start: -1 },
      { ...good, ramps: null },
      { ...good, ramps: { google: { ...row, leased: Number.NaN } } },
      { ...good, ramps: { google: { ...row, counts: {} } } },
      { ...good, ramps: { google: { ...row, schedule: [] } } },
    ]) {
      assert.throws(() => bench.book.restore(IP, bad), { code: 'storage_damaged' });
    }
    assert.throws(() => bench.book.restore(IP, { ...good, v: 2 }), { code: 'storage_too_new' });
  });

  it('goes on under a schedule that was changed while no node owned the IP', () => {
    const bench = new Bench();
    bench.goodDay(START);
    bench.goodDay(START + DAY);
    const heir = new WarmupBook();
    heir.setPlan(
      IP,
      readPlan(
        {
          schedule: [
            { days: 5, messages: 20 },
            { days: 5, messages: 90 },
            { days: 1, messages: 500 },
          ],
        },
        'w',
      ),
    );
    heir.restore(IP, bench.stored);
    assert.equal(heir.status(IP, START + DAY).google!.budget, 90);
  });
});

describe('the warm-up percentage of SES', () => {
  it('is applied once, on any node, and read back as it was written', () => {
    const plan = (percent: number, at: string): unknown => ({ progress: { percent, at } });
    const read = (value: unknown) => readPlan(value, 'warmup');
    const bench = new Bench({});
    bench.send(START);
    for (let percent = 0; percent <= 100; percent += 1) {
      const at = new Date(START + percent).toISOString();
      const put = read(plan(percent, at));
      const shown = { WarmupStatus: percent === 100 ? 'DONE' : 'IN_PROGRESS', WarmupPercentage: percent };
      assert.deepEqual(sesWarmup(put, bench.stored), shown, 'before the node has read it');
      bench.book.setPlan(IP, put);
      bench.save();
      assert.deepEqual(sesWarmup(put, bench.stored), shown);
    }
    const half = read(plan(50, '2026-04-01'));
    bench.book.setPlan(IP, half);
    assert.equal(bench.goodDay(START + DAY), 5_000, 'day 24 of 49');
    bench.send(START + 2 * DAY, 1);
    const heir = new WarmupBook();
    heir.setPlan(IP, half);
    heir.restore(IP, bench.stored);
    assert.equal(heir.status(IP, START + 2 * DAY).google!.day, 26, 'not put back to 50 by the restart');
  });

  it('is done without a plan, and the mean over the providers with one', () => {
    assert.deepEqual(sesWarmup(undefined, undefined), { WarmupStatus: 'DONE', WarmupPercentage: 100 });
    const bench = new Bench({ schedule: [{ days: 1, messages: 10 }] });
    assert.equal(sesWarmup(readPlan({}, 'w'), undefined).WarmupPercentage, 0);
    bench.goodDay(START);
    bench.book.room(IP, 'yahoo', START + DAY);
    bench.book.room(IP, 'google', START + DAY);
    bench.save();
    assert.deepEqual(sesWarmup(readPlan({}, 'w'), bench.stored), {
      WarmupStatus: 'IN_PROGRESS',
      WarmupPercentage: 50,
    });
  });
});

describe('a signal', () => {
  it('is read from the result of an attempt', () => {
    const refused = (code: number, text: string, phase = 'rcpt', enhanced?: string) =>
      ({ kind: 'refused', phase, reply: { code, enhanced, lines: [text] } }) as const;
    const rows: [Parameters<typeof signalOf>[0], number, Signal | undefined][] = [
      [{ kind: 'accepted', phase: 'body' }, 0, 'delivered'],
      [{ kind: 'uncertain', phase: 'body' }, 0, undefined],
      [{ kind: 'unsent', phase: 'connect', code: 'connect_failed' }, 3, undefined],
      [
        refused(550, 'The email account that you tried to reach does not exist.', 'rcpt', '5.1.1'),
        0,
        'bounced',
      ],
      [
        refused(
          550,
          'Service unavailable, Client host [203.0.113.7] blocked using Spamhaus.',
          'rcpt',
          '5.7.1',
        ),
        0,
        'blocked',
      ],
      [refused(554, 'No service for you', 'greeting'), 0, 'blocked'],
      [
        refused(
          421,
          'Messages from 203.0.113.7 temporarily deferred due to unexpected volume or user complaints',
          'greeting',
          '4.7.0',
        ),
        0,
        'deferred',
      ],
      [
        refused(450, 'Our system has detected an unusual rate of unsolicited mail', 'body', '4.7.28'),
        0,
        'deferred',
      ],
      [refused(421, 'Too many connections, slow down', 'mail'), 0, 'deferred'],
      [refused(450, 'Greylisted, please try again in 300 seconds'), 0, undefined],
      [refused(451, 'Greylisted'), 4, undefined],
      [refused(451, 'Please come back later'), 0, undefined],
      [refused(451, 'Please come back later'), 1, 'deferred'],
      [refused(452, 'Mailbox full', 'rcpt', '4.2.2'), 2, undefined],
    ];
    for (const [result, attempts, expected] of rows) {
      assert.equal(signalOf(result, attempts), expected, JSON.stringify(result));
    }
  });
});
