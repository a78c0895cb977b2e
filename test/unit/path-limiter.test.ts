import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LimitBook } from '../../lib/shaping/limits/book.ts';
import { limitTable } from '../../lib/shaping/limits/table.ts';
import { PathLimiter } from '../../lib/shaping/path-limiter.ts';

const NOW = Date.UTC(2026, 0, 1);
const NOTHING = () => ({ buckets: [], permits: [] });

describe('a counter that was swept while idle', () => {
  const limits = new LimitBook(
    limitTable({
      default: {
        for: [
          { tenant: 'acme', messageRate: '24/d' },
          { campaign: 'spring', messageRate: '10/s' },
        ],
      },
    }),
  ).at({ provider: 'other', site: 'mx', routed: false, ip: '203.0.113.1', pool: 'default' });
  const flowOf = (limiter: PathLimiter, campaign?: string) =>
    limiter.stream(
      limits.of({ domain: 'example.test', tenant: 'acme', campaign, class: 'bulk' }).mailLimits!,
      NOTHING,
    );

  it('is shared again by all mail that it counts', () => {
    const limiter = new PathLimiter();
    const first = flowOf(limiter);
    limiter.sweep(NOW);
    const second = flowOf(limiter, 'spring');
    assert.notEqual(first, second);
    first.started(NOW);
    first.ended(NOW);
    assert.ok(second.wait(NOW) > 3_590_000);
    assert.equal(limiter.idle(NOW + 60_000), false);
    assert.ok(Object.values(limiter.memory.counters!).some((next) => next > NOW + 3_590_000));
    assert.equal(limiter.idle(NOW + 3_700_000), true);
    assert.equal(second.wait(NOW + 3_700_000), 0);
    second.started(NOW + 3_700_000);
    assert.ok(first.wait(NOW + 3_700_001) > 3_590_000);
  });
});
