import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyGenerated } from '../support/messages.ts';

test('other verifiers accept the signature of any message', async () => {
  // `bench/dkim-verify.ts` does the same with 20,000.
  assert.deepEqual(await verifyGenerated({ seed: 6376, count: 1000 }), []);
});
