/** Statistics: what is counted, how it is bounded, and how it is read. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { MessageRecord, Outcome } from '../../lib/engine/items.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { countsOf, dimensionsOf, type MailCounts } from '../../lib/statistics/counters.ts';
import { StatisticsReader, sumOf } from '../../lib/statistics/reader.ts';
import { StatisticsRecorder } from '../../lib/statistics/recorder.ts';
import { sendStatistics } from '../../lib/statistics/ses-metrics.ts';
import { DISTINCT_VALUES, STATISTICS_AGE, Tally } from '../../lib/statistics/tally.ts';
import { DAY, HOUR, MINUTE } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';
import { ACCEPTED_AT, attempt, messageRecord, outcome } from '../support/outcomes.ts';

const tried = (change: Parameters<typeof attempt>[0], more: Partial<Outcome> = {}): Outcome =>
  outcome('attempt', { attempt: attempt(change), ...more });
const refused = (text: string): Outcome => tried({ state: 'bounced', reason: 'peer_permanent', text });

describe('what is counted of an outcome', () => {
  const cases: [string, Outcome, MailCounts][] = [
    ['a delivery', tried({}), { sent: 1, delivered: 1, ratedSent: 1 }],
    ['a deferral', tried({ state: 'deferred', reason: 'connect_failed', text: 'x' }), { deferred: 1 }],
    [
      'an unknown user',
      refused('550 5.1.1 user unknown'),
      { sent: 1, permanentBounces: 1, ratedSent: 1, ratedBounces: 1 },
    ],
    ['a full mailbox', refused('552 5.2.2 mailbox full'), { sent: 1, transientBounces: 1, ratedSent: 1 }],
    [
      'an expiry',
      tried({ state: 'expired', reason: 'expired', text: 'x' }),
      { sent: 1, transientBounces: 1, ratedSent: 1 },
    ],
    [
      'a suppressed address',
      tried({ state: 'suppressed', reason: 'suppressed', text: 'x' }),
      { suppressed: 1 },
    ],
    [
      'a complaint',
      outcome('complaint', { detail: { feedbackType: 'abuse' } }),
      { complaints: 1, ratedComplaints: 1 },
    ],
    ['a complaint that is withdrawn', outcome('complaint', { detail: { feedbackType: 'not-spam' } }), {}],
    [
      'a later bounce',
      outcome('bounce', { detail: { bounce: { type: 'Permanent', subType: 'General' }, hard: true } }),
      { permanentBounces: 1, ratedBounces: 1 },
    ],
    ['an open', outcome('open', { n: undefined }), { opens: 1 }],
    ['a click', outcome('click', { n: undefined }), { clicks: 1 }],
    ['an unsubscribe', outcome('subscription'), { unsubscribes: 1 }],
    ['a rendering failure', outcome('rendering-failure'), { renderingFailures: 1 }],
    ['a reject', outcome('reject'), { rejects: 1 }],
    ['a cancellation', outcome('cancelled'), { cancelled: 1 }],
    ['an acceptance', outcome('accepted', { n: undefined }), {}],
    ['what a newer version reports', outcome('moved' as Outcome['kind']), {}],
  ];
  for (const [what, happened, counts] of cases) {
    test(what, () => assert.deepEqual(countsOf(messageRecord(), happened), counts));
  }

  test('mail to the simulator is in no rate', () => {
    const record = messageRecord({ recipients: ['bounce@simulator.amazonses.com'] });
    const counts = countsOf(record, refused('550 5.1.1 user unknown'));
    assert.deepEqual(counts, { sent: 1, permanentBounces: 1 });
  });

  test('of mail with a campaign the acceptance of each recipient', () => {
    const record = messageRecord({ campaign: 'spring', recipients: ['a@example.com', 'b@example.com'] });
    assert.deepEqual(countsOf(record, outcome('accepted', { n: undefined })), { accepted: 2 });
  });

  test('the provider is that of the attempt, else that of the MX host, else the group of the lane', () => {
    const record = messageRecord({
      recipients: ['ann@gmail.com', 'bob@example.com'],
      groups: { 1: 'microsoft' },
    });
    const provider = (happened: Outcome) => dimensionsOf(record, happened).provider;
    assert.equal(provider(tried({ provider: 'yahoo' })), 'yahoo');
    const mx = { host: 'aspmx.l.google.com', address: '192.0.2.1', port: 25 };
    assert.equal(provider(tried({ mx })), 'google');
    const complaint = (n?: number) => outcome('complaint', { n, detail: { feedbackType: 'abuse' } });
    assert.deepEqual(
      [0, 1, undefined].map((n) => provider(complaint(n))),
      ['google', 'microsoft', undefined],
    );
  });
});

describe('statistics', () => {
  let engine: Engine;
  let recorder: StatisticsRecorder;
  let reader: StatisticsReader;
  let batches = 0;

  beforeEach(() => {
    engine = openMemory({ clock: new TestClock(ACCEPTED_AT) });
    recorder = new StatisticsRecorder({ rows: engine.rows, shards: 4 });
    reader = new StatisticsReader(engine.rows);
  });
  afterEach(() => engine.close());

  function tallyOf(...happened: [MessageRecord, Outcome][]): Tally {
    const tally = new Tally();
    for (const [record, one] of happened) tally.add(record, one);
    return tally;
  }
  const count = (...happened: [MessageRecord, Outcome][]) =>
    recorder.count(`batch ${(batches += 1)}`, tallyOf(...happened));
  const range = { from: ACCEPTED_AT - DAY, before: ACCEPTED_AT + 7 * DAY };

  test('are kept by tenant, by each dimension, and over all tenants, to the quarter of an hour', async () => {
    const one = messageRecord({ campaign: 'spring' });
    const two = messageRecord({ tenant: 'tenant-2', fromDomain: 'two.example', configurationSet: undefined });
    const late = ACCEPTED_AT + HOUR + 20 * MINUTE;
    await count(
      [one, tried({})],
      [two, tried({})],
      [one, tried({ ip: '192.0.2.26' }, { at: late })],
      [one, outcome('complaint', { at: late, detail: { feedbackType: 'abuse' } })],
    );
    const delivered = { sent: 1, delivered: 1, ratedSent: 1 };
    const both = { ...delivered, complaints: 1, ratedComplaints: 1 };
    const series = (query: object) => reader.series({ ...range, granularity: 'hour', ...query });
    assert.deepEqual(await series({ tenant: 'tenant-1' }), [
      { at: ACCEPTED_AT, value: undefined, counts: delivered },
      { at: ACCEPTED_AT + HOUR, value: undefined, counts: both },
    ]);
    assert.deepEqual(await series({ tenant: 'tenant-1', granularity: 'quarter' }), [
      { at: ACCEPTED_AT, value: undefined, counts: delivered },
      { at: ACCEPTED_AT + HOUR + 15 * MINUTE, value: undefined, counts: both },
    ]);
    assert.deepEqual(
      (await series({ tenant: 'tenant-1', granularity: 'day', by: 'ip' })).map(({ value, counts }) => [
        value,
        counts.delivered,
      ]),
      [
        ['192.0.2.25', 1],
        ['192.0.2.26', 1],
      ],
    );
    for (const [by, value] of [
      ['identity', 'example.org'],
      ['configurationSet', 'cs'],
      ['pool', 'default'],
      ['provider', 'other'],
      ['campaign', 'spring'],
    ] as const) {
      const points = await series({ tenant: 'tenant-1', granularity: 'day', by });
      assert.deepEqual(points, [
        { at: ACCEPTED_AT, value, counts: { ...both, sent: 2, delivered: 2, ratedSent: 2 } },
      ]);
    }
    const only = { dimension: 'ip', value: '192.0.2.26' } as const;
    assert.deepEqual(sumOf(await series({ tenant: 'tenant-1', only })), delivered);
    assert.equal(sumOf(await series({})).delivered, 3);
    assert.equal(sumOf(await series({ by: 'pool' })).delivered, 3);
    assert.deepEqual(await series({ by: 'identity' }), [], 'names of tenants are not mixed');
    assert.deepEqual(await reader.tenants(undefined, 1), ['tenant-1']);
    assert.deepEqual(await reader.tenants('tenant-1', 9), ['tenant-2']);
    assert.deepEqual(await series({ tenant: 'tenant-3' }), []);
  });

  test('count a batch once, and batches in any row beside each other', async () => {
    const tally = tallyOf([messageRecord(), tried({})]);
    const first = Array.from({ length: 10 }, (_, n) => recorder.count(`same ${n}`, tally));
    assert.deepEqual(new Set(await Promise.all(first)), new Set([true]));
    assert.equal(await recorder.count('same 3', tally), false);
    const points = await reader.series({ ...range, tenant: 'tenant-1', granularity: 'day' });
    assert.equal(sumOf(points).delivered, 10);
    const rows = await engine.rows.query({ kind: 'statistics', partition: 'tenant-1', max: 100 });
    assert.ok(rows.length > 1 && rows.length <= 4, `${rows.length} shards`);
  });

  test('hold a bounded number of values apart, also when another process counts on', async () => {
    const campaigns = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, n): [MessageRecord, Outcome] => [
        messageRecord({ campaign: `c${from + n}` }),
        tried({}),
      ]);
    recorder = new StatisticsRecorder({ rows: engine.rows, shards: 1 });
    await count(...campaigns(0, DISTINCT_VALUES - 1));
    recorder = new StatisticsRecorder({ rows: engine.rows, shards: 1 });
    await count(...campaigns(DISTINCT_VALUES - 1, DISTINCT_VALUES + 20));
    await count(...campaigns(0, 1), ...campaigns(DISTINCT_VALUES + 5, DISTINCT_VALUES + 6));
    const query = { ...range, tenant: 'tenant-1', granularity: 'day', by: 'campaign' } as const;
    const points = new Map(
      (await reader.series(query)).map(({ value, counts }) => [value, counts.delivered]),
    );
    assert.equal(points.size, DISTINCT_VALUES + 1);
    assert.equal(points.get('other'), 21);
    assert.equal(points.get('c0'), 2);
    assert.equal(points.get(`c${DISTINCT_VALUES - 1}`), 1);
  });

  test('of more tenants than one call of the store holds', async () => {
    const many = Array.from({ length: 1_200 }, (_, n): [MessageRecord, Outcome] => [
      messageRecord({ tenant: `t${n}` }),
      tried({}),
    ]);
    await count(...many);
    assert.equal(sumOf(await reader.series({ ...range, granularity: 'day' })).delivered, 1_200);
    const last = { ...range, tenant: 't1199', granularity: 'day' } as const;
    assert.equal(sumOf(await reader.series(last)).delivered, 1);
  });

  test('are the data points of GetSendStatistics, a quarter of an hour each, for two weeks', async () => {
    const now = ACCEPTED_AT + 20 * DAY;
    const record = messageRecord();
    await count(
      [record, tried({}, { at: now - 15 * DAY })],
      [record, tried({}, { at: now - DAY + 46 * MINUTE })],
      [record, { ...refused('550 5.1.1 user unknown'), at: now - DAY + 50 * MINUTE }],
      [record, outcome('complaint', { at: now + MINUTE, detail: { feedbackType: 'abuse' } })],
    );
    const none = { DeliveryAttempts: 0, Bounces: 0, Complaints: 0, Rejects: 0 };
    assert.deepEqual(await sendStatistics(reader, 'tenant-1', now), [
      { ...none, Timestamp: new Date(now - DAY + 45 * MINUTE), DeliveryAttempts: 2, Bounces: 1 },
      { ...none, Timestamp: new Date(now), Complaints: 1 },
    ]);
  });

  test('are read in ranges of whole hours over many pages, and go with their age', async () => {
    const clock = new TestClock(ACCEPTED_AT);
    const aging = openMemory({ clock });
    const old = new StatisticsRecorder({ rows: aging.rows, shards: 1 });
    const tally = new Tally();
    for (let hour = 0; hour < 400; hour += 1)
      tally.add(messageRecord(), tried({}, { at: ACCEPTED_AT + hour * HOUR + 1 }));
    await old.count('hours', tally);
    const aged = new StatisticsReader(aging.rows);
    const query = { tenant: 'tenant-1', granularity: 'hour' } as const;
    const at = (hour: number) => ACCEPTED_AT + hour * HOUR;
    const read = (from: number, before: number) =>
      aged.series({ ...query, from: at(from), before: at(before) });
    assert.equal((await read(0, 400)).length, 400);
    assert.deepEqual(
      (await read(10, 12)).map((point) => point.at),
      [at(10), at(11)],
    );
    clock.advance(STATISTICS_AGE + 10 * HOUR);
    assert.equal((await read(0, 400)).length, 389);
    await aging.close();
  });
});
