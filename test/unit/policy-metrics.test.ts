import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyMetrics } from '../../lib/observe/policy-metrics.ts';
import type { HookState } from '../../lib/policy/hook-record.ts';
import type { PolicyState } from '../../lib/policy/open.ts';

const hook = (change: Partial<HookState> = {}): HookState => ({
  name: 'onRoute',
  calls: 1,
  reused: 0,
  failures: 0,
  overruns: 0,
  meanMicroseconds: 10,
  ...change,
});

const state = (change: Partial<PolicyState> = {}): PolicyState => ({
  file: 'policy.mjs',
  loadedAt: 1,
  loads: 1,
  restarts: 0,
  skipped: 0,
  hooks: [hook(), hook({ name: 'onShape' })],
  ...change,
});

test('a healthy policy, or none, has no metrics', () => {
  const metrics = new PolicyMetrics();
  metrics.called();
  assert.deepEqual(metrics.take(state()), {});
  assert.deepEqual(metrics.take(undefined), {});
});

test('failures are reported once, and disabled hooks for as long as they are off', () => {
  const metrics = new PolicyMetrics();
  metrics.trouble();
  metrics.trouble();
  const off = state({ hooks: [hook({ disabled: 'It took too much 3 times.' }), hook({ name: 'onShape' })] });
  assert.deepEqual(metrics.take(off), { PolicyFailures: 2, PolicyHooksOff: 1 });
  assert.deepEqual(metrics.take(off), { PolicyHooksOff: 1 });
  assert.deepEqual(metrics.take(state()), {});
});

test('a policy whose thread cannot be kept running counts all its hooks as off; one that never ran counts one', () => {
  const metrics = new PolicyMetrics();
  assert.deepEqual(metrics.take(state({ disabled: 'It ends.' })), { PolicyHooksOff: 2 });
  const refused = state({ loadedAt: undefined, hooks: [], refused: { at: 1, message: 'No database' } });
  assert.deepEqual(metrics.take(refused), { PolicyHooksOff: 1 });
});
