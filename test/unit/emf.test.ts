import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createEmf, METRICS } from '../../lib/observe/emf.ts';
import { createMailMetrics } from '../../lib/observe/mail-metrics.ts';
import { PacedFlush } from '../../lib/observe/paced-flush.ts';
import { TestClock } from '../support/clock.ts';
import { EMF_AT, openEmf } from '../support/emf.ts';
import { ACCEPTED_AT, attempt, messageRecord, outcome } from '../support/outcomes.ts';

describe('a line', () => {
  test('is one JSON object that declares its metrics', () => {
    const written: string[] = [];
    createEmf({ now: () => EMF_AT, write: (line) => written.push(line) }).put(
      { Node: 'a' },
      { Heartbeat: 1 },
    );
    assert.deepEqual(JSON.parse(written.join('')), {
      Node: 'a',
      Heartbeat: 1,
      _aws: {
        Timestamp: EMF_AT,
        CloudWatchMetrics: [
          {
            Namespace: 'Postern',
            Dimensions: [['Node'], []],
            Metrics: [{ Name: 'Heartbeat', Unit: 'Count' }],
          },
        ],
      },
    });
  });

  test('is in the namespace of its stage', () => {
    const written: string[] = [];
    const write = (line: string) => written.push(line);
    createEmf({ now: () => EMF_AT, write, stage: 'prod' }).put({}, { Heartbeat: 1 });
    assert.match(written.join(''), /"Namespace":"Postern\/prod"/);
  });

  test('holds 100 values of a metric, and the rest goes into the next', () => {
    for (const [count, expected] of [
      [1, [1]],
      [100, [100]],
      [101, [100, 1]],
      [250, [100, 100, 50]],
    ] as const) {
      const { emf, lines } = openEmf();
      emf.put(
        { Pool: 'default' },
        { Latency: Array.from({ length: count }, (_, at) => at), Delivered: count },
      );
      assert.deepEqual(
        lines.map(({ values }) => values.Latency?.length),
        expected,
      );
      // A counter is written once, even when other metrics need more lines.
      assert.deepEqual(
        lines.flatMap(({ values }) => values.Delivered ?? []),
        [count],
      );
    }
  });

  test('is not written without values', () => {
    const { emf, lines } = openEmf();
    emf.put({}, {});
    emf.put({}, { Latency: [], Delivered: undefined });
    assert.equal(lines.length, 0);
  });

  test('never carries a value that CloudWatch refuses', () => {
    const { emf, lines } = openEmf();
    emf.put({ Pool: '', Class: 'ü\n', Group: 'x'.repeat(2_000) }, { Latency: [1, Number.NaN, Infinity, 2] });
    emf.put({}, { Latency: Number.NaN });
    assert.deepEqual(lines[0]!.values.Latency, [1, 2]);
    assert.equal(lines[0]!.root.Pool, 'none');
    assert.equal(lines[0]!.root.Class, '??');
    assert.equal(lines.length, 1);
  });

  test('has at most 100 metrics', () => {
    assert.ok(Object.keys(METRICS).length <= 100);
  });
});

describe('mail', () => {
  test('is counted by pool, class and provider group, and once more overall', () => {
    const { emf, lines } = openEmf();
    const metrics = createMailMetrics(emf);
    const record = messageRecord({
      recipients: ['a@gmail.com', 'b@GMAIL.com', 'c@example.com'],
      class: 'bulk',
    });
    for (const n of [0, 1, 2]) metrics.outcome(record, outcome('attempt', { n, attempt: attempt({}) }));
    metrics.flush();
    const [google, other, reputation] = lines;
    assert.deepEqual(google!.dimensions, [['Pool', 'Class', 'Group'], []]);
    assert.deepEqual(
      [google!.root.Pool, google!.root.Class, google!.root.Group],
      ['default', 'bulk', 'google'],
    );
    assert.deepEqual(google!.values, { Attempted: [2], Delivered: [2], Latency: [546, 546] });
    assert.equal(other!.root.Group, 'other');
    assert.deepEqual(reputation!.dimensions, [[]]);
    assert.deepEqual(reputation!.values, {
      'Reputation.BounceRate': [0, 0, 0],
      'Reputation.ComplaintRate': [0, 0, 0],
    });
  });

  const hard = attempt({
    state: 'bounced',
    reason: 'peer_permanent',
    text: '550 5.1.1 no such user',
    replies: [{ phase: 'rcpt', code: 550, text: '5.1.1 no such user' }],
  });
  const policy = attempt({
    state: 'bounced',
    reason: 'peer_permanent',
    text: '550 5.7.1 blocked',
    replies: [{ phase: 'rcpt', code: 550, text: '5.7.1 blocked by policy' }],
  });
  const detail = (change: Record<string, unknown>) => ({
    action: 'failed',
    status: '5.1.1',
    text: '',
    category: 'bad-mailbox',
    bounce: { type: 'Permanent', subType: 'General' },
    hard: true,
    ...change,
  });
  const cases = {
    'a hard bounce': [outcome('attempt', { attempt: hard }), { Attempted: 1, Bounced: 1 }, [1], undefined],
    'a bounce for policy': [
      outcome('attempt', { attempt: policy }),
      { Attempted: 1, Bounced: 1 },
      undefined,
      undefined,
    ],
    'a deferral without a reply': [
      outcome('attempt', { attempt: attempt({ state: 'deferred', reason: 'uncertain', uncertain: true }) }),
      { Attempted: 1, Deferred: 1, Uncertain: 1 },
      undefined,
      undefined,
    ],
    'an expiry': [
      outcome('attempt', { attempt: attempt({ state: 'expired', reason: 'expired' }) }),
      { Attempted: 1, Bounced: 1 },
      undefined,
      undefined,
    ],
    'a bounce report': [outcome('bounce', { detail: detail({}) }), { Bounced: 1 }, [1], undefined],
    'a soft bounce report': [
      outcome('bounce', { detail: detail({ hard: false }) }),
      { Bounced: 1 },
      undefined,
      undefined,
    ],
    'a complaint': [
      outcome('complaint', { detail: { feedbackType: 'abuse' } }),
      { Complaints: 1 },
      undefined,
      [1],
    ],
    'a withdrawn complaint': [
      outcome('complaint', { detail: { feedbackType: 'not-spam' } }),
      {},
      undefined,
      undefined,
    ],
    'a cancellation': [outcome('cancelled'), {}, undefined, undefined],
  } as const;
  for (const [name, [happened, counts, bounces, complaints]] of Object.entries(cases)) {
    test(`${name} counts as it should`, () => {
      const { emf, lines } = openEmf();
      const metrics = createMailMetrics(emf);
      metrics.outcome(messageRecord(), happened);
      metrics.flush();
      const values = Object.assign({}, ...lines.map((line) => line.values)) as Record<string, number[]>;
      const {
        'Reputation.BounceRate': bounceRate,
        'Reputation.ComplaintRate': complaintRate,
        ...rest
      } = values;
      assert.deepEqual(
        rest,
        Object.fromEntries(Object.entries(counts).map(([key, value]) => [key, [value]])),
      );
      assert.deepEqual([bounceRate, complaintRate], [bounces, complaints]);
    });
  }

  test('is counted in its lane, not by the provider data of its domain', () => {
    const { emf, lines } = openEmf();
    const metrics = createMailMetrics(emf);
    const record = messageRecord({
      recipients: ['a@company.example', 'b@gmail.com'],
      groups: { 0: 'google' },
    });
    for (const n of [0, 1]) metrics.outcome(record, outcome('attempt', { n, attempt: attempt({}) }));
    metrics.outcome(record, outcome('bounce', { n: 0, detail: detail({ hard: false }) }));
    metrics.outcome(record, outcome('complaint', { n: 0, detail: { feedbackType: 'abuse' } }));
    metrics.flush();
    assert.equal(lines[0]!.root.Group, 'google');
    const counts = { Attempted: [2], Delivered: [2], Bounced: [1], Complaints: [1] };
    assert.deepEqual(lines[0]!.values, { ...counts, Latency: [546, 546] });
    assert.deepEqual(Object.keys(lines[1]!.values), ['Reputation.BounceRate', 'Reputation.ComplaintRate']);
  });

  test('to the simulator does not count in the reputation', () => {
    const { emf, lines } = openEmf();
    const metrics = createMailMetrics(emf);
    const record = messageRecord({ recipients: ['bounce@simulator.amazonses.com'] });
    metrics.outcome(record, outcome('attempt', { attempt: hard }));
    metrics.outcome(record, outcome('complaint', { detail: { feedbackType: 'abuse' } }));
    metrics.flush();
    assert.deepEqual(
      lines.map(({ values }) => values),
      [{ Attempted: [1], Bounced: [1], Complaints: [1] }],
    );
  });

  test('that was accepted is counted by the lane of each delivery', () => {
    const { emf, lines } = openEmf();
    const metrics = createMailMetrics(emf);
    const item = {
      v: 1,
      messageId: 'x',
      tenant: 't',
      mailFrom: '',
      recipient: 'a@gmail.com',
      domain: 'gmail.com',
      eightBit: false,
      smtpUtf8: false,
      requireTls: false,
      acceptedAt: ACCEPTED_AT,
      expiresAt: ACCEPTED_AT,
      attempts: 0,
      due: 0,
    };
    metrics.accepted([0, 1].map((n) => ({ ...item, n, lane: 'vip:transactional:google' })));
    assert.equal(metrics.pending, true);
    metrics.accepted([{ ...item, n: 2, lane: 'vip:transactional:other' }]);
    metrics.flush();
    assert.equal(metrics.pending, false);
    metrics.flush();
    assert.deepEqual(
      lines.map(({ root, values }) => [root.Pool, root.Group, values.Accepted]),
      [
        ['vip', 'google', [2]],
        ['vip', 'other', [1]],
      ],
    );
  });
});

describe('counts of a function', () => {
  test('are written at each call, and in a burst at one in two seconds', () => {
    const clock = new TestClock();
    let written = 0;
    const paced = new PacedFlush(clock, () => (written += 1));
    const calls = (count: number, pause: number): number => {
      const before = written;
      for (let i = 0; i < count; i += 1) {
        paced.run();
        clock.advance(pause);
      }
      return written - before;
    };
    assert.equal(calls(100, 5_000), 100, 'a call now and then');
    assert.equal(calls(1_000, 10), 30 + 4, 'a hundred a second');
    assert.equal(calls(1_000, 10), 5);
    clock.advance(60_000);
    assert.equal(calls(100, 1), 30, 'a quiet minute gives all back');
  });
});
