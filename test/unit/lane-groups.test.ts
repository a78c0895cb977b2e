import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type LaneGroups, openLaneGroups } from '../../lib/control/lane-groups.ts';
import { TestClock } from '../support/clock.ts';
import { settled, TestConfig } from '../support/engine.ts';

function find(groups: LaneGroups, domain: string, provider: string, times: number): void {
  for (let n = 0; n < times; n += 1) groups.found(domain, provider);
}

async function pass(clock: TestClock, ms: number): Promise<void> {
  clock.advance(ms);
  for (let turns = 0; turns < 20; turns += 1) await settled();
}

describe('the lane of a domain', () => {
  test('is that of the provider data, until 16 deliveries went to another provider', async () => {
    const config = new TestConfig();
    const clock = new TestClock();
    const node = await openLaneGroups({ config, clock });
    const api = await openLaneGroups({ config, clock });
    find(node, 'company.example', 'google', 15);
    find(node, 'gmail.com', 'google', 100);
    find(node, 'small.example', 'comcast', 100);
    await pass(clock, 60_000);
    assert.equal(config.writes, 0);
    find(node, 'company.example', 'google', 1);
    find(node, 'tenant.example', 'office365', 16);
    await pass(clock, 60_000);
    assert.equal(api.group('company.example'), 'google');
    assert.equal(api.group('tenant.example'), 'microsoft');
    assert.equal(api.group('gmail.com'), 'google');
    assert.equal(api.group('small.example'), 'other');
    const { writes } = config;
    find(node, 'company.example', 'google', 1_000);
    await pass(clock, 60_000);
    assert.equal(config.writes, writes, 'a known entry is not written again');
  });

  test('follows a domain that moves, and back to the provider data', async () => {
    const config = new TestConfig();
    const clock = new TestClock();
    const node = await openLaneGroups({ config, clock });
    find(node, 'company.example', 'google', 16);
    await pass(clock, 60_000);
    find(node, 'company.example', 'outlook', 16);
    await pass(clock, 60_000);
    assert.equal(node.group('company.example'), 'microsoft');
    find(node, 'company.example', 'other', 16);
    await pass(clock, 60_000);
    assert.equal(node.group('company.example'), 'other');
    const stored = await config.list('lane-group');
    assert.deepEqual(
      stored.map(({ value }) => value),
      [{}],
    );
  });

  test('survives a restart, and merges what two nodes learnt at once', async () => {
    const config = new TestConfig();
    const clock = new TestClock();
    const nodes = [await openLaneGroups({ config, clock }), await openLaneGroups({ config, clock })];
    const domains = Array.from({ length: 64 }, (_, n) => `company${n}.example`);
    for (const [n, domain] of domains.entries()) find(nodes[n % 2]!, domain, 'google', 16);
    await Promise.all(nodes.map((node) => node.close()));
    const after = await openLaneGroups({ config, clock });
    assert.ok(domains.every((domain) => after.group(domain) === 'google'));
  });

  test('is bounded: a document drops its oldest entries', async () => {
    const config = new TestConfig();
    const clock = new TestClock();
    const node = await openLaneGroups({ config, clock });
    for (let n = 0; n < 9_000; n += 1) find(node, `d${n}.example`, 'yahoo', 16);
    await pass(clock, 60_000);
    const stored = await config.list('lane-group');
    assert.equal(stored.length, 16);
    for (const { value } of stored) assert.equal(Object.keys(value as object).length, 500);
  });

  test('survives a failing store: entries that could not be written are learnt again', async () => {
    const config = new TestConfig();
    const clock = new TestClock();
    const node = await openLaneGroups({ config, clock });
    config.failingWrites = true;
    find(node, 'company.example', 'apple', 16);
    await pass(clock, 60_000);
    assert.equal(node.group('company.example'), 'other');
    config.failingWrites = false;
    find(node, 'company.example', 'apple', 16);
    await pass(clock, 60_000);
    assert.equal(node.group('company.example'), 'apple');
  });
});
