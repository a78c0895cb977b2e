/** `GET /v1/health`, and the runs behind it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { finding } from '../../../lib/doctor/finding.ts';
import { type HealthCheck, HealthChecks } from '../../../lib/doctor/health-check.ts';
import { TestClock } from '../../support/clock.ts';
import { type PosternServer, startPosternServer } from '../../support/postern-server.ts';

let runs = 0;
const low = finding('disk.low', '/data', '1 GB is free.', 'Free space.', { command: 'df -h /data' });
const old = finding('clock.off', 'ntp.test', 'The clock is 9 s ahead.', 'Set it.');
const CHECKS: HealthCheck[] = [
  {
    name: 'disk',
    run: async () => {
      runs += 1;
      return [low];
    },
  },
  { name: 'clock', run: async () => [old] },
  { name: 'limits', run: () => Promise.reject(new Error('no\n/proc')) },
  { name: 'outward', skipped: 'switched off' },
];

let server: PosternServer;
before(async () => {
  server = await startPosternServer({ checks: CHECKS });
});
after(() => server.close());

test('an administrator sees the findings, the worst first, and what was looked at', async () => {
  const { status, json } = await server.call('GET', '/health', { key: 'admin' });
  assert.equal(status, 200);
  assert.deepEqual([json.ok, json.findings], [false, [old, low]]);
  assert.deepEqual(json.checks, [
    { name: 'disk', state: 'done' },
    { name: 'clock', state: 'done' },
    { name: 'limits', state: 'failed', text: 'no\ufffd/proc' },
    { name: 'outward', state: 'skipped', text: 'switched off' },
  ]);
  assert.equal((await server.call('GET', '/health', { key: 'user' })).status, 403);
  assert.equal((await server.call('GET', '/health?refresh=yes', { key: 'admin' })).status, 400);
});

test('a report is given again for five minutes, and anew after ten seconds to who asks for that', async () => {
  const read = (path: string) => server.call('GET', path, { key: 'admin' });
  server.clock.advance(5 * 60_000);
  runs = 0;
  await Promise.all([read('/health'), read('/health?refresh=true'), read('/health')]);
  server.clock.advance(9_999);
  await read('/health?refresh=true');
  assert.equal(runs, 1);
  server.clock.advance(1);
  await read('/health');
  assert.equal(runs, 1);
  await read('/health?refresh=true');
  assert.equal(runs, 2);
  server.clock.advance(5 * 60_000 - 1);
  await read('/health');
  assert.equal(runs, 2);
  server.clock.advance(1);
  await read('/health');
  assert.equal(runs, 3);
});

test('a check that hangs is given up, and hides none of the others', async () => {
  const clock = new TestClock();
  const checks = new HealthChecks({
    clock,
    checks: [{ name: 'stuck', run: () => new Promise(() => {}) }, CHECKS[1]!],
  });
  const report = checks.report();
  await new Promise(setImmediate);
  clock.advance(25_000);
  const { findings, checks: states } = await report;
  assert.deepEqual(findings, [old]);
  assert.deepEqual(states[0], { name: 'stuck', state: 'failed', text: 'not done within 25 s' });
});
