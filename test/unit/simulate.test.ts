import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chart } from '../../bench/simulate/chart.ts';
import { SimulatedClock } from '../../bench/simulate/clock.ts';
import { heatMap } from '../../bench/simulate/heatmap.ts';
import { HiddenLimit } from '../../bench/simulate/peer.ts';
import { binomial, seeded } from '../../bench/simulate/random.ts';
import { compact, linear, logarithmic } from '../../bench/simulate/svg.ts';
import { Acquaintance, PROFILES } from '../../bench/simulate/warming-provider.ts';

describe('simulated time', () => {
  it('runs events in the order of their times, and those of one time in the order of creation', () => {
    const clock = new SimulatedClock(1000);
    const random = seeded(7);
    const seen: [number, number][] = [];
    const expected: [number, number][] = [];
    for (let n = 0; n < 500; n += 1) {
      const delay = Math.floor(random() * 50);
      expected.push([1000 + delay, n]);
      clock.after(delay, () => seen.push([clock.now(), n]));
    }
    expected.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    clock.runUntil(1020);
    assert.ok(seen.every(([at]) => at <= 1020));
    assert.equal(clock.now(), 1020);
    clock.runUntil(2000);
    assert.deepEqual(seen, expected);
  });

  it('runs events that other events schedule, and no cancelled ones', () => {
    const clock = new SimulatedClock(0);
    const seen: string[] = [];
    const cancel = clock.after(5, () => seen.push('no'));
    clock.after(1, () => {
      cancel();
      clock.after(1, () => seen.push(`at ${clock.now()}`));
      clock.after(-5, () => seen.push('at once'));
    });
    clock.runUntil(10);
    assert.deepEqual(seen, ['at once', 'at 2']);
  });
});

describe('simulated chance', () => {
  it('repeats by seed, and has the expected mean', () => {
    for (const [count, share] of [
      [10, 0.3],
      [1000, 0.004],
      [100_000, 0.2],
    ] as const) {
      const draw = (): number[] => {
        const random = seeded(3);
        return Array.from({ length: 2000 }, () => binomial(random, count, share));
      };
      const drawn = draw();
      assert.deepEqual(draw(), drawn);
      assert.ok(drawn.every((each) => Number.isInteger(each) && each >= 0 && each <= count));
      const mean = drawn.reduce((a, b) => a + b, 0) / drawn.length;
      const error = Math.sqrt((count * share * (1 - share)) / drawn.length);
      assert.ok(Math.abs(mean - count * share) < 4 * error, `${mean} of ${count * share}`);
    }
    assert.equal(binomial(seeded(1), 5, 0), 0);
    assert.equal(binomial(seeded(1), 5, 1), 5);
  });
});

describe('a modelled provider', () => {
  it('accepts its hidden rate and no more', () => {
    const limit = new HiddenLimit(() => 40, 0);
    let taken = 0;
    for (let now = 0; now < 10_000; now += 1) if (limit.takes(now)) taken += 1;
    assert.ok(taken >= 398 && taken <= 411, String(taken));
  });

  it('accepts more from an IP that behaves and less from one that pushes', () => {
    const normal = { bounces: 0, complaints: 0, listed: 0 };
    const good = new Acquaintance(PROFILES[0]!, seeded(1));
    const pushed = new Acquaintance(PROFILES[0]!, seeded(1));
    const first = good.bears;
    assert.equal(good.attempt(Math.floor(first), false, normal).throttled, 0);
    assert.ok(pushed.attempt(Math.floor(first * 4), false, normal).throttled > first * 2);
    good.night();
    pushed.night();
    assert.ok(good.bears > first * 2 && pushed.bears < first);
    const results = Object.values(good.attempt(1000, true, { bounces: 0.1, complaints: 0, listed: 0.2 }));
    assert.equal(
      results.reduce((a, b) => a + b, 0),
      1000,
      'each message has one result',
    );
  });
});

describe('a plot', () => {
  it('has round ticks', () => {
    assert.deepEqual([...linear(0, 97, 0, 1).ticks], [0, 20, 40, 60, 80]);
    assert.deepEqual([...logarithmic(50, 20_000, 0, 1).ticks], [100, 1000, 10_000]);
    assert.deepEqual([0, 999, 1500, 20_000_000].map(compact), ['0', '999', '1.5k', '20M']);
  });

  it('escapes text, and has a number at every position', () => {
    const drawn = [
      chart({
        title: 'a < b & "c"',
        subtitle: '',
        x: { name: 'x', min: 0, max: 2 },
        y: { name: 'y', max: 10, min: 1, log: true },
        series: [
          {
            name: 'one',
            points: [
              [0, 0],
              [2, 5],
            ],
            area: true,
          },
          {
            name: 'two',
            points: [
              [0, 5],
              [2, 5],
            ],
            reference: true,
          },
        ],
        bands: [{ from: 0.5, to: 1, name: 'band' }],
      }),
      heatMap({
        title: 'heat',
        subtitle: '',
        panels: [{ name: 'p', rows: [[0, 5, 5, 5000]] }],
        min: 1,
        max: 100,
        rows: 'r',
        columns: 'c',
        values: 'v',
      }),
    ];
    for (const svg of drawn) assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
    assert.match(drawn[0]!, /a &lt; b &amp; &quot;c&quot;/);
  });
});
