import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { getPriority, platform } from 'node:os';
import { test } from 'node:test';
import { lowerPoolPriority } from '../../egress-node/standalone/pool-priority.ts';

test('pool threads yield, the event loop does not', async () => {
  // Any asynchronous file read starts the pool.
  await readFile(import.meta.filename);
  const own = getPriority();
  const found = lowerPoolPriority();
  assert.equal(found > 0, platform() === 'linux');
  assert.equal(getPriority(), own);
});
