/** When a tenant's rates are too high, its pause, and the way back. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type Directives, openDirectives } from '../../lib/control/directives.ts';
import type { StoredTenant } from '../../lib/control/tenants.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import {
  DEFAULT_PROTECTION,
  judge,
  type Protection,
  type RatedHour,
  readProtection,
  reputationOf,
  rulesOf,
} from '../../lib/outcome/protection.ts';
import { TenantProtection } from '../../lib/statistics/protection.ts';
import { StatisticsRecorder } from '../../lib/statistics/recorder.ts';
import { Tally } from '../../lib/statistics/tally.ts';
import { DAY, HOUR, MINUTE } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';
import { settled } from '../support/engine.ts';
import { attempt, messageRecord, outcome } from '../support/outcomes.ts';

const hour = (at: number, sent: number, bounces = 0, complaints = 0): RatedHour => ({
  at: at * HOUR,
  sent,
  bounces,
  complaints,
});

describe('the representative volume', () => {
  test('is the average day of a sender, however it is spread', () => {
    // Ten days of 4,000 each, an hour a day; the last two days bounce.
    const hours = Array.from({ length: 10 }, (_, day) => hour(day * 24, 4_000, day >= 8 ? 400 : 0));
    const { sent, bounces, since, bounceRate } = reputationOf(hours, 1_000);
    assert.deepEqual([sent, bounces, since, bounceRate], [4_000, 400, 9 * DAY, 0.1]);
  });

  test('is never less than the volume, and reaches back for it', () => {
    const hours = Array.from({ length: 20 }, (_, day) => hour(day * 24, 100, 1));
    const reputation = reputationOf(hours, 1_000);
    assert.deepEqual([reputation.sent, reputation.bounces, reputation.representative], [1_000, 10, true]);
    const few = reputationOf(hours.slice(0, 9), 1_000);
    assert.deepEqual([few.sent, few.representative], [900, false]);
    assert.equal(reputationOf([], 1_000).bounceRate, 0);
  });
});

describe('the verdict', () => {
  const of = (sent: number, bounces: number, complaints: number) =>
    judge(reputationOf([hour(1, sent, bounces, complaints)], 1_000), DEFAULT_PROTECTION);

  test('at the edge of each threshold', () => {
    assert.equal(of(1_000, 49, 0).kind, 'good');
    assert.equal(of(1_000, 50, 0).kind, 'warn');
    assert.equal(of(1_000, 99, 0).kind, 'warn');
    assert.equal(of(1_000, 100, 0).kind, 'pause');
    assert.equal(of(1_001, 0, 1).kind, 'good');
    assert.equal(of(1_000, 0, 1).kind, 'warn');
    assert.equal(of(1_000, 0, 5).kind, 'pause');
    assert.equal(of(999, 999, 999).kind, 'good');
  });

  test('names its figures', () => {
    const text =
      '120 of 1000 messages since 1970-01-01T01:00Z bounced hard: 12 %, and 10 % is the threshold.';
    assert.equal(of(1_000, 120, 1).text, text);
    assert.match(of(1_000, 60, 6).text, /^6 of 1000 messages since .* were reported as spam: 0\.6 %/);
  });
});

describe('the document', () => {
  test("a tenant's members stand for those above them, and these for the usual ones", () => {
    const bounce = { warn: 0.02, pause: 0.04 };
    const read = readProtection({ bounce, tenants: { one: { pause: false }, two: { volume: 100 } } }, 'p');
    const { complaint } = DEFAULT_PROTECTION;
    assert.deepEqual(rulesOf(read, 'one'), { volume: 1_000, bounce, complaint, pauses: false });
    assert.deepEqual(rulesOf(read, 'two').volume, 100);
    assert.deepEqual(rulesOf(read, 'two').bounce, bounce);
    assert.deepEqual([rulesOf(read, 'else').complaint, rulesOf(read, 'else').pauses], [complaint, true]);
  });

  test('with a fault is refused with its path', () => {
    const cases: [unknown, RegExp][] = [
      [{ volume: 99 }, /^p\.volume: 99 is out of bounds/],
      [{ bounce: { warn: 0.2, pause: 0.1 } }, /^p\.bounce\.warn: is above/],
      [{ complaint: { warn: 0.1 } }, /^p\.complaint\.pause: /],
      [{ bounce: { warn: 5, pause: 10 } }, /^p\.bounce\.warn: 5 is out of bounds/],
      [{ tenants: { a: { tenants: {} } } }, /^p\.tenants\.a\.tenants: is unknown/],
      [{ pause: 'yes' }, /^p\.pause: "yes" is neither/],
    ];
    for (const [document, message] of cases)
      assert.throws(() => readProtection(document, 'p'), { code: 'bad_request', message });
  });
});

describe('a tenant', () => {
  let clock: TestClock;
  let engine: Engine;
  let directives: Directives;
  let rules: Protection;
  let tenant: Pick<StoredTenant, 'reputationPolicy' | 'order'> | undefined;
  let logged: string[];
  let verdicts: string[];
  let recorder: StatisticsRecorder;
  let protection: TenantProtection;
  let batch = 0;

  beforeEach(async () => {
    clock = new TestClock(Date.UTC(2026, 0, 10, 12, 30));
    engine = openMemory({ clock });
    directives = await openDirectives({ config: engine.config, clock });
    rules = DEFAULT_PROTECTION;
    tenant = undefined;
    logged = [];
    verdicts = [];
    recorder = new StatisticsRecorder({ rows: engine.rows, shards: 1 });
    protection = open();
  });
  afterEach(async () => {
    await directives.close();
    await engine.close();
  });

  function open(): TenantProtection {
    const note = (text: string): void => void logged.push(text);
    return new TenantProtection({
      rows: engine.rows,
      directives,
      documents: { read: <T>() => rules as T },
      tenants: { find: async () => tenant },
      clock,
      log: { info: note, warn: note, error: note },
      onVerdict: (kind) => void verdicts.push(kind),
    });
  }

  /** Counts mail of the tenant, and has it looked at. */
  async function send(sent: number, bounces: number, at = clock.now()): Promise<void> {
    const tally = new Tally();
    const bounced = attempt({ state: 'bounced', reason: 'peer_permanent', text: '550 5.1.1 user unknown' });
    for (let n = 0; n < sent; n += 1)
      tally.add(messageRecord(), outcome('attempt', { at, attempt: n < bounces ? bounced : attempt({}) }));
    await recorder.count(`batch ${(batch += 1)}`, tally);
    await protection.check(tally.tenants());
    await settled();
  }
  const pause = () => directives.find('reputation-tenant-1');

  test('is told of before it is paused, and once', async () => {
    await send(1_000, 60);
    assert.deepEqual([verdicts, pause()], [['warn'], undefined]);
    assert.equal(logged.length, 2, 'the tenant, and all of them');
    clock.advance(MINUTE);
    await send(10, 1);
    assert.deepEqual(verdicts, ['warn']);
    clock.advance(6 * HOUR);
    await send(10, 1);
    assert.deepEqual(verdicts, ['warn', 'warn']);
  });

  test('is paused by a directive whose origin names the figures, found by every node', async () => {
    await send(1_000, 150);
    const directive = pause()!;
    assert.deepEqual(directive.match, { tenant: 'tenant-1' });
    assert.deepEqual(directive.action, { kind: 'suspend' });
    assert.deepEqual(directive.origin, {
      rule: 'reputation',
      reply: '150 of 1000 messages since 2026-01-10T12:00Z bounced hard: 15 %, and 10 % is the threshold.',
    });
    assert.equal(directive.until, clock.now() + 30 * DAY);
    const stored = await engine.config.get('directive', 'reputation-tenant-1');
    assert.deepEqual((stored!.value as { match: object }).match, { tenant: 'tenant-1' });
    const { paused, bounceRate, verdict } = await protection.of('tenant-1');
    assert.deepEqual([paused, bounceRate, verdict.kind], [true, 0.15, 'pause']);
    assert.ok(verdicts.includes('pause'));
  });

  test('that an operator resumed is judged by what it sends from the next hour on', async () => {
    await send(1_000, 150);
    assert.equal(await directives.remove('reputation-tenant-1'), true);
    // Directly after the pause another process may not have seen it.
    await send(10, 10);
    assert.equal(pause(), undefined);
    clock.advance(20 * MINUTE);
    await send(1_000, 1_000);
    assert.equal(pause(), undefined, 'the figures of before do not count');
    assert.ok(logged.includes('a tenant was resumed: its rates begin anew'));
    clock.advance(HOUR);
    await send(900, 0);
    assert.equal(pause(), undefined);
    clock.advance(HOUR);
    await send(1_000, 900);
    assert.notEqual(pause(), undefined, 'new figures do');
  });

  test('stays paused while it is, however the figures grow, also for a process that begins anew', async () => {
    await send(1_000, 150);
    const { at } = pause()!;
    protection = open();
    clock.advance(2 * MINUTE);
    await send(1_000, 150);
    assert.equal(pause()!.at, at);
    assert.equal(verdicts.filter((one) => one === 'pause').length, 1);
  });

  test('is only told of where its rules say so', async () => {
    rules = readProtection({ tenants: { 'tenant-1': { pause: false } } }, 'p');
    await send(1_000, 500);
    assert.equal(pause(), undefined);
    assert.ok(verdicts.includes('warn'));
  });

  test('is paused at the thresholds of its policy, and not at all when it was reinstated', async () => {
    tenant = { reputationPolicy: 'none' };
    await send(1_000, 500);
    assert.equal(pause(), undefined);
    assert.equal((await protection.of('tenant-1')).impact, 'HIGH');
    clock.advance(MINUTE);
    tenant = { reputationPolicy: 'strict', order: { status: 'REINSTATED', cause: '', at: 0 } };
    await send(1, 0);
    assert.equal(pause(), undefined);
    clock.advance(MINUTE);
    tenant = { reputationPolicy: 'standard', order: { status: 'ENABLED', cause: '', at: 0 } };
    await send(1, 0);
    assert.notEqual(pause(), undefined);
  });

  test('of the strict policy is paused where others are told', async () => {
    tenant = { reputationPolicy: 'strict' };
    await send(1_000, 60);
    assert.match(pause()!.reason, /60 of 1000 messages .* 6 %, and 5 % is the threshold/);
    assert.equal((await protection.of('tenant-1')).impact, 'LOW');
  });

  test('is looked at once a minute at most, and again when the store was away', async () => {
    await send(999, 0);
    await send(1_000, 999);
    assert.equal(pause(), undefined);
    clock.advance(MINUTE);
    const query = engine.rows.query.bind(engine.rows);
    engine.rows.query = () => Promise.reject(new Error('away'));
    await send(1, 0);
    assert.deepEqual(logged, Array(2).fill('the rates of a tenant cannot be judged; this is tried again'));
    engine.rows.query = query;
    clock.advance(MINUTE);
    await send(1, 0);
    assert.notEqual(pause(), undefined);
  });
});
