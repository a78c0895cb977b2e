import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RecheckPacer } from '../../lib/shaping/recheck.ts';

describe('looks at mail that waits long', () => {
  it('come soon for a little of it, and twenty a second for much', () => {
    const looks = new RecheckPacer(60_000);
    const due = Array.from({ length: 12_000 }, () => looks.next(1e12) - 1e12);
    assert.equal(due[0], 60_000);
    assert.equal(due[1_199], 60_000 + 1_199 * 50);
    assert.equal(due.at(-1), 60_000 + 11_999 * 50);
  });

  it('begin anew when the row has passed', () => {
    const looks = new RecheckPacer(1_000);
    for (let i = 0; i < 100; i += 1) looks.next(1e12);
    assert.equal(looks.next(1e12 + 3_600_000), 1e12 + 3_601_000);
  });
});
