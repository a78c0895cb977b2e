import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LaneBrake } from '../../lib/egress/lane-brake.ts';

const NOW = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;

/** A brake after so many deliveries were put back. */
function after(count: number, code = 'suspended'): LaneBrake {
  const brake = new LaneBrake(1);
  for (let i = 0; i < count; i += 1)
    brake.putBack('a.example', { code: code, text: 'why', until: NOW + HOUR }, NOW);
  return brake;
}

describe('the brake of a lane', () => {
  it('lets a lane rest when twenty were put back and none was tried, with the reason and its time', () => {
    assert.equal(after(19).room(0, NOW), Number.POSITIVE_INFINITY);
    assert.equal(after(19).status(NOW), undefined);
    const brake = after(20);
    assert.equal(brake.room(0, NOW), 0);
    assert.deepEqual(brake.status(NOW), { code: 'suspended', text: 'why', until: NOW + HOUR });
  });

  it('probes with one delivery, after a rest that doubles up to ten seconds', () => {
    const brake = after(20);
    let now = NOW;
    for (const rest of [1, 2, 4, 8, 10, 10]) {
      assert.equal(brake.room(0, now + rest * 1000 - 1), 0);
      now += rest * 1000;
      assert.equal(brake.room(0, now), 1);
      assert.equal(brake.room(1, now), 0, 'one at a time');
      brake.putBack('a.example', { code: 'suspended', text: 'why', until: now + HOUR }, now);
    }
  });

  it('leases again at once when a delivery was tried or directives changed', () => {
    const brake = after(20);
    brake.moved();
    assert.equal(brake.room(0, NOW), Number.POSITIVE_INFINITY);
    assert.equal(brake.status(NOW), undefined);
    brake.putBack('a.example', { code: 'suspended', text: 'why', until: NOW + HOUR }, NOW);
    assert.equal(brake.room(0, NOW), Number.POSITIVE_INFINITY);
  });

  it('does not rest for limits of the mail itself, behind which other mail may go', () => {
    for (const code of ['sender_limit', 'site_limit', 'shutting_down', 'storage_unavailable']) {
      assert.equal(after(100, code).room(0, NOW), Number.POSITIVE_INFINITY, code);
    }
    const brake = after(19);
    brake.putBack('a.example', { code: 'sender_limit', text: 'too fast', until: NOW + 1000 }, NOW);
    brake.putBack('a.example', { code: 'suspended', text: 'why', until: NOW + HOUR }, NOW);
    assert.equal(brake.room(0, NOW), Number.POSITIVE_INFINITY);
  });

  it('of many providers rests when the mail of many domains came back, and not for one of them', () => {
    const brake = new LaneBrake(10);
    const back = (domain: string): void =>
      brake.putBack(domain, { code: 'dns_unconfirmed', text: 'why', until: NOW + HOUR }, NOW);
    for (let i = 0; i < 1000; i += 1) back(`${i % 9}.example`);
    assert.equal(brake.room(0, NOW), Number.POSITIVE_INFINITY);
    assert.equal(brake.status(NOW), undefined);
    back('9.example');
    assert.equal(brake.room(0, NOW), 0);
  });
});
