import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RecheckPacer } from '../../lib/shaping/recheck.ts';
import { HOUR } from '../../lib/time.ts';

describe('the recheck pacer', () => {
  it('rechecks a small backlog after `soonest`, a large one at 20/s', () => {
    const pacer = new RecheckPacer(60_000);
    const due = Array.from({ length: 12_000 }, () => pacer.next(1e12) - 1e12);
    assert.equal(due[0], 60_000);
    assert.equal(due[1_199], 60_000 + 1_199 * 50);
    assert.equal(due.at(-1), 60_000 + 11_999 * 50);
  });

  it('rechecks after `soonest` again once the backlog has passed', () => {
    const pacer = new RecheckPacer(1_000);
    for (let i = 0; i < 100; i += 1) pacer.next(1e12);
    assert.equal(pacer.next(1e12 + HOUR), 1e12 + 3_601_000);
  });
});
