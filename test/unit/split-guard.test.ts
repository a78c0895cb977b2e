/** The way back of a split: what is counted for it, when it comes, and how it ends. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type Directives, openDirectives } from '../../lib/control/directives.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type { Engine } from '../../lib/engine/ports.ts';
import { type RoutingTable, readRouting } from '../../lib/routing/router.ts';
import { StatisticsRecorder } from '../../lib/statistics/recorder.ts';
import { SplitGuard, splitDirective, watchedSplits, whyBack } from '../../lib/statistics/split-guard.ts';
import { Tally } from '../../lib/statistics/tally.ts';
import { HOUR, MINUTE } from '../../lib/time.ts';
import { TestClock } from '../support/clock.ts';
import { attempt, messageRecord, outcome } from '../support/outcomes.ts';

const BOUNDS = { bounces: 0.1, deferrals: 0.5, volume: 100 };

test('goes back at the bound, and not below it or below the volume', () => {
  const of = (attempts: number, bounced: number, deferred: number) =>
    whyBack({ attempts, ended: attempts - deferred, bounced, deferred }, BOUNDS);
  assert.equal(of(100, 9, 0), undefined);
  assert.equal(of(100, 10, 0), '10 of 100 deliveries bounced in the last hour: 10 %, and 10 % is the bound.');
  assert.equal(of(99, 99, 0), undefined);
  assert.equal(of(100, 0, 49), undefined);
  assert.match(of(100, 0, 50)!, /^50 of 100 attempts were deferred in the last hour: 50 %/);
  assert.equal(
    whyBack({ attempts: 100, ended: 0, bounced: 0, deferred: 100 }, { ...BOUNDS, deferrals: 1 }),
    undefined,
  );
});

describe('a split with a way back', () => {
  let clock: TestClock;
  let engine: Engine;
  let directives: Directives;
  let table: RoutingTable;
  let logged: string[];
  let recorder: StatisticsRecorder;
  let guard: SplitGuard;
  let batch = 0;

  const relay = { ips: ['192.0.2.1'], smarthost: 'old.example.com:25' };
  const split = { from: 'default', to: [{ pool: 'relay', percent: 75 }], wayBack: BOUNDS };

  beforeEach(async () => {
    clock = new TestClock(Date.UTC(2026, 0, 10, 12, 31));
    engine = openMemory({ clock });
    directives = await openDirectives({ config: engine.config, clock });
    table = readRouting({ pools: { default: { ips: ['192.0.2.1'] }, relay }, splits: [split] }, 'routing');
    logged = [];
    recorder = new StatisticsRecorder({ rows: engine.rows, shards: 1 });
    guard = open();
  });
  afterEach(async () => {
    await directives.close();
    await engine.close();
  });

  function open(): SplitGuard {
    const note = (text: string): void => void logged.push(text);
    const documents = { read: <T>() => table as T };
    return new SplitGuard({
      rows: engine.rows,
      directives,
      documents,
      clock,
      log: { info: note, error: note },
    });
  }

  /** Counts attempts of the pool, and has the splits looked at. */
  async function send(
    count: number,
    state: 'bounced' | 'deferred' | 'delivered',
    host = 'mx.example.net',
  ): Promise<void> {
    const tally = new Tally(guard.watched);
    const mx = { host, address: '192.0.2.9', port: 25 };
    const one = attempt({
      state,
      reason: state === 'delivered' ? undefined : 'peer_permanent',
      text: '550 5.7.1 refused',
      mx,
    });
    for (let n = 0; n < count; n += 1)
      tally.add(messageRecord({ pool: 'default' }), outcome('attempt', { at: clock.now(), attempt: one }));
    await recorder.count(`batch ${(batch += 1)}`, tally);
    clock.advance(MINUTE);
    await guard.check();
  }

  test('is watched by the sites of the others', () => {
    assert.deepEqual(watchedSplits(table), new Map([['default', new Set(['old.example.com:25'])]]));
    assert.equal(watchedSplits(undefined).size, 0);
  });

  test('goes back by a directive that names its figures, for the mail of the pool alone', async () => {
    await send(90, 'delivered');
    assert.equal(directives.list().length, 0);
    await send(10, 'bounced');
    const [order] = directives.list();
    assert.equal(order?.id, splitDirective('default'));
    assert.deepEqual([order.match, order.action], [{ pool: 'default' }, { kind: 'reroute', pool: 'relay' }]);
    assert.match(order.reason, /10 of 100 deliveries bounced in the last hour/);
    assert.deepEqual(logged, ['a split went back: all mail of the pool goes to the other one']);
    await send(50, 'bounced');
    assert.equal(logged.length, 1, 'and is told once');
  });

  test('does not count what the former server refuses, nor what is older than an hour', async () => {
    await send(200, 'bounced', 'old.example.com');
    assert.equal(directives.list().length, 0);
    await send(99, 'bounced');
    clock.advance(2 * HOUR);
    await send(99, 'deferred');
    assert.equal(directives.list().length, 0);
    await send(1, 'deferred');
    assert.match(directives.list()[0]!.reason, /100 of 100 attempts were deferred/);
  });

  test('is in force again when its directive is removed, with figures of the next quarter on', async () => {
    await send(100, 'bounced');
    await directives.remove(splitDirective('default'));
    clock.advance(2 * MINUTE);
    await guard.check();
    assert.match(logged.at(-1)!, /in force again/);
    await send(100, 'bounced');
    assert.equal(directives.list().length, 0, 'those of this quarter are of before');
    clock.advance(15 * MINUTE);
    guard = open();
    await send(100, 'bounced');
    assert.equal(directives.list().length, 1);
  });
});
