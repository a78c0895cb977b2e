import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openWarmupReports, type WarmupReports } from '../../lib/control/warmup-reports.ts';
import { WarmupCheckpoints } from '../../lib/egress/warmup-checkpoints.ts';
import type { Attempt, DeliveryRecord } from '../../lib/engine/items.ts';
import type { Leases } from '../../lib/engine/ports.ts';
import { warmupFeedback } from '../../lib/inbound/warmup-feedback.ts';
import type { Feedback } from '../../lib/outcome/feedback.ts';
import { DAY, HOUR } from '../../lib/time.ts';
import { REPORTS_AT_ONCE, WarmupBook } from '../../lib/warmup/book.ts';
import { checkpointName, type WarmupCheckpoint } from '../../lib/warmup/checkpoint.ts';
import { daysName, readDays } from '../../lib/warmup/history.ts';
import { readPlan } from '../../lib/warmup/plan.ts';
import { TestClock } from '../support/clock.ts';
import { settled, TestConfig } from '../support/engine.ts';
import { ACCEPTED_AT, attempt } from '../support/outcomes.ts';

const IP = '203.0.113.7';
const PLAN = readPlan({ schedule: [{ days: 1, messages: 100 }] }, 'warmup');
const LEASED = 5;

let clock: TestClock;
let config: TestConfig;
/** Checkpoints by name, and the counts and faults of their reads and writes. */
let stored: Map<string, unknown>;
let reads: number;
let writes: number;
let down: boolean;
let held: Promise<void> | undefined;
let nodes: Node[];

const leases = {
  async checkpoint(name: string) {
    reads += 1;
    if (down) throw new Error('no answer');
    const found = stored.get(name);
    await held;
    return found;
  },
  async saveCheckpoint(name: string, value: unknown) {
    if (down) throw new Error('no answer');
    writes += 1;
    stored.set(name, structuredClone(value));
  },
} as Leases;

/** One node with its warm-up of one IP. */
class Node {
  readonly book = new WarmupBook();
  readonly keeper: WarmupCheckpoints;
  readonly reports: WarmupReports;
  holds: boolean;

  constructor(reports: WarmupReports, holds: boolean) {
    this.reports = reports;
    this.holds = holds;
    this.keeper = new WarmupCheckpoints({
      book: this.book,
      leases,
      clock,
      reports,
      holds: (ip) => ip === IP && this.holds,
      holder: () => undefined,
    });
    nodes.push(this);
  }

  /** Messages that the node may send to the provider now. */
  get room(): number {
    return this.book.room(IP, 'google', clock.now());
  }

  get complained(): number {
    return this.book.status(IP, clock.now()).google?.counts.complained ?? 0;
  }

  stop(): void {
    this.keeper.stop();
    this.reports.close();
  }
}

async function node(holds = true): Promise<Node> {
  return new Node(await openWarmupReports(config, clock), holds);
}

/** Lets the checkpoint loops run a few times. */
async function look(times = 4): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    for (const each of nodes) if (each.holds) void each.room;
    clock.advance(100);
    await settled();
  }
}

function state(): WarmupCheckpoint {
  return stored.get(checkpointName(IP)) as WarmupCheckpoint;
}

beforeEach(() => {
  clock = new TestClock();
  config = new TestConfig();
  stored = new Map();
  [reads, writes, down, held, nodes] = [0, 0, false, undefined, []];
});

afterEach(() => {
  for (const each of nodes) each.stop();
});

describe('a plan set while the lease is held', () => {
  it('starts at once', async () => {
    const { book } = await node();
    await look();
    book.setPlan(IP, PLAN);
    await look();
    assert.equal(book.room(IP, 'google', clock.now()), LEASED);
  });

  it('is resumed where it was after removal and return, even between two checks', async () => {
    const warming = await node();
    const { book } = warming;
    book.setPlan(IP, PLAN);
    await look();
    book.take(IP, 'google', clock.now(), LEASED);
    await look();
    for (const looks of [0, 4]) {
      book.setPlan(IP, undefined);
      assert.equal(warming.room, Number.POSITIVE_INFINITY);
      await look(looks);
      book.setPlan(IP, PLAN);
      assert.equal(warming.room, 0, 'its state is read again first');
      await look();
      assert.equal(warming.room, LEASED);
      const { sent } = book.status(IP, clock.now()).google!;
      assert.ok(sent >= LEASED, `${sent}: what was let out counts as sent`);
    }
  });

  it('waits for a failing storage, and starts when it answers', async () => {
    const warming = await node();
    down = true;
    warming.book.setPlan(IP, PLAN);
    await look();
    assert.equal(warming.room, 0);
    assert.match(warming.book.explain(IP, 'google', clock.now()), /has not been read yet/);
    down = false;
    await look(1);
    down = true;
    await look();
    assert.equal(warming.room, 0, 'read, and nothing let out that could not be written');
    down = false;
    await look();
    assert.equal(warming.room, LEASED);
  });

  it('does not start from a checkpoint that was read before the lease was lost', async () => {
    const warming = await node();
    let release = (): void => undefined;
    held = new Promise((resolve) => (release = resolve));
    warming.book.setPlan(IP, PLAN);
    await look();
    assert.equal(reads, 1, 'one read at a time');
    warming.holds = false;
    warming.keeper.lost(IP);
    // Another node owns the IP meanwhile, and uses the budget of the day.
    const other = new WarmupBook();
    other.setPlan(IP, PLAN);
    other.restore(IP, undefined);
    other.take(IP, 'google', clock.now(), 100);
    release();
    await settled();
    held = undefined;
    stored.set(checkpointName(IP), other.close(IP));
    warming.holds = true;
    await look();
    assert.equal(warming.room, 0);
    assert.equal(warming.book.status(IP, clock.now()).google!.sent, 100);
  });
});

describe('the outcomes of mail', () => {
  it('are saved every 5 s, and budgets whenever they are needed', async () => {
    const { book } = await node();
    book.setPlan(IP, PLAN);
    await look();
    const before = writes;
    for (let i = 0; i < 100; i += 1) {
      book.outcome(IP, 'google', 'delivered', clock.now());
      await look(1);
    }
    assert.equal(writes - before, 2, 'in ten seconds');
    book.take(IP, 'google', clock.now(), LEASED);
    await look();
    assert.ok(book.room(IP, 'google', clock.now()) > 0);
  });
});

describe('a complaint', () => {
  const delivery = { messageId: 'm1', n: 0 };
  const complaint = { ip: IP, provider: 'google', signal: 'complained', at: ACCEPTED_AT } as const;

  async function warming(): Promise<Node> {
    const owner = await node();
    owner.book.setPlan(IP, PLAN);
    await look();
    return owner;
  }

  it('received by another node is counted once by the owner of the IP, and then deleted', async () => {
    const owner = await warming();
    const mx = await node(false);
    await mx.reports.put(complaint, delivery);
    await mx.reports.put(complaint, delivery);
    await mx.reports.put(complaint, { messageId: 'm1', n: 1 });
    await look();
    assert.equal(owner.complained, 2);
    assert.equal(state().ramps.google!.counts.complained, 2);
    assert.deepEqual(mx.reports.ips(), []);
    await mx.reports.put(complaint, delivery);
    await look();
    assert.equal(owner.complained, 2, 'a report deleted from the store is not counted again');
    assert.deepEqual(mx.reports.ips(), []);
  });

  it('is counted once when its node dies before or after it was saved', async () => {
    const owner = await warming();
    down = true;
    await owner.reports.put(complaint, delivery);
    await look();
    assert.equal(owner.complained, 1);
    assert.equal(owner.reports.of(IP).size, 1, 'it stays until it is counted on storage');
    owner.stop();
    nodes = [];
    down = false;
    const second = await warming();
    assert.equal(second.complained, 1);
    second.reports.remove = async () => Promise.reject(new Error('no answer'));
    await second.reports.put(complaint, { messageId: 'm2', n: 0 });
    await look();
    assert.equal(state().ramps.google!.counts.complained, 2);
    second.stop();
    nodes = [];
    const third = await warming();
    assert.equal(third.complained, 2);
    assert.deepEqual(third.reports.ips(), []);
  });

  it('in a storm is counted, in batches', async () => {
    const owner = await warming();
    for (let n = 0; n < 5 * REPORTS_AT_ONCE; n += 1)
      await owner.reports.put(complaint, { messageId: 'm', n });
    await look(1);
    assert.equal(owner.complained, REPORTS_AT_ONCE);
    await look(40);
    assert.equal(owner.complained, 5 * REPORTS_AT_ONCE);
    assert.deepEqual(owner.reports.ips(), []);
    assert.equal(state().heard!.length, 64);
  });

  it('is deleted with the plan, and after a week when no node owns the IP', async () => {
    const owner = await warming();
    const absent = { ...complaint, ip: '203.0.113.8', at: clock.now() };
    await owner.reports.put(absent, delivery);
    owner.book.setPlan(IP, undefined);
    await owner.reports.put({ ...complaint, at: clock.now() }, delivery);
    await look();
    assert.equal(owner.reports.of(IP).size, 1, 'the plan may be given back');
    clock.advance(HOUR);
    await settled();
    assert.deepEqual(owner.reports.ips(), ['203.0.113.8']);
    clock.advance(7 * DAY + 1);
    const later = await openWarmupReports(config, clock);
    assert.deepEqual(later.ips(), []);
    later.close();
  });

  it('moves the IP one step back', async () => {
    const steps = [
      { days: 1, messages: 50 },
      { days: 1, messages: 100 },
    ];
    const owner = await node();
    const at = '2026-01-01';
    owner.book.setPlan(IP, readPlan({ schedule: steps, progress: { percent: 50, at } }, 'warmup'));
    await look();
    owner.book.outcome(IP, 'google', 'delivered', clock.now(), 100);
    assert.equal(owner.book.status(IP, clock.now()).google!.budget, 100);
    for (const n of [0, 1]) await owner.reports.put(complaint, { messageId: 'm', n });
    await look();
    const { budget, cause } = owner.book.status(IP, clock.now()).google!;
    assert.equal(budget, 50);
    assert.equal(cause, '2.0 % complained');
  });
});

describe('feedback', () => {
  const complaint: Feedback = { kind: 'complaint', detail: { feedbackType: 'abuse' } };
  const bounce = (detail: object): Feedback =>
    ({ kind: 'bounce', detail: { hard: false, category: 'other', ...detail } }) as Feedback;
  const mx = { host: 'alt1.gmail-smtp-in.l.google.com', address: '8.8.8.8', port: 25 };
  const tried = (ip: string, delivered = true) =>
    attempt({ ip, mx, state: delivered ? 'delivered' : 'deferred' });

  async function fed(feedback: Feedback, attempts = [tried(IP)], plans = [IP]): Promise<[string, string][]> {
    return (await reported(feedback, attempts, plans)).map(({ ip, signal }) => [ip, signal]);
  }

  async function reported(feedback: Feedback, attempts: Attempt[], plans = [IP]) {
    const { reports, book } = await node(false);
    for (const ip of plans) book.setPlan(ip, PLAN);
    const records = {
      deliveries: async () =>
        [
          { n: 0, attempts: [] },
          { n: 1, attempts },
        ] as unknown as DeliveryRecord[],
    };
    await warmupFeedback({ records, reports, book, clock })(feedback, { messageId: 'm', n: 1 });
    const found = reports.ips().flatMap((ip) => [...reports.of(ip).values()]);
    for (const ip of reports.ips()) for (const id of reports.of(ip).keys()) await reports.remove(ip, id);
    return found;
  }

  it('counts as its signal for the IP that the message was sent from', async () => {
    assert.deepEqual(await fed(complaint), [[IP, 'complained']]);
    assert.deepEqual(await fed(complaint, [tried('203.0.113.9', false), tried(IP)]), [[IP, 'complained']]);
    assert.deepEqual(await fed(bounce({ hard: true, category: 'bad-mailbox' })), [[IP, 'bounced']]);
    assert.deepEqual(await fed(bounce({ category: 'spam-related' })), [[IP, 'blocked']]);
  });

  it('counts at the provider of the message’s site, not at that of its host', async () => {
    const [one] = await reported(complaint, [tried(IP)]);
    assert.equal(one!.provider, 'google');
    const [mixed] = await reported(complaint, [{ ...tried(IP), provider: 'other' }]);
    assert.equal(mixed!.provider, 'other');
  });

  it('counts nothing for an IP without a plan, an unsent message, or other feedback', async () => {
    assert.deepEqual(await fed(complaint, [tried('203.0.113.9')]), []);
    assert.deepEqual(await fed(complaint, [tried(IP, false)]), []);
    assert.deepEqual(await fed(complaint, [tried(IP)], []), []);
    assert.deepEqual(await fed(bounce({ category: 'quota-issues' })), []);
    assert.deepEqual(await fed({ kind: 'complaint', detail: { feedbackType: 'not-spam' } }), []);
  });
});

describe('a day that is over', () => {
  const days = () => readDays(stored.get(daysName(IP))).google ?? [];

  it('is written once, after what was there, and again when it could not be', async () => {
    const { book } = await node();
    book.setPlan(IP, PLAN);
    await look();
    for (const fault of [false, true]) {
      book.take(IP, 'google', clock.now(), LEASED);
      book.outcome(IP, 'google', 'delivered', clock.now(), LEASED);
      await look();
      clock.advance(DAY);
      down = fault;
      await look(60);
      assert.equal(days().length, 1, fault ? 'nothing is written while the store is away' : 'it is there');
      down = false;
      await look(60);
    }
    assert.deepEqual(
      days().map(({ budget, sent, verdict }) => [budget, sent, verdict]),
      [
        [100, LEASED, 'quiet'],
        [100, LEASED, 'quiet'],
      ],
    );
    const before = writes;
    await look(60);
    assert.equal(writes, before, 'nothing more is written');
  });

  it('is not written by a node that does not hold the address', async () => {
    const other = await node();
    other.book.setPlan(IP, PLAN);
    await look();
    other.book.take(IP, 'google', clock.now(), 1);
    other.book.outcome(IP, 'google', 'delivered', clock.now());
    clock.advance(DAY);
    void other.room;
    other.holds = false;
    await look(60);
    assert.equal(stored.has(daysName(IP)), false);
  });
});
