import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyGenerated } from '../support/messages.ts';

test('what is signed is verified by others, however the message is written', async () => {
  // `bench/dkim-verify.ts` does the same with 20,000.
  assert.deepEqual(await verifyGenerated({ seed: 6376, count: 2000 }), []);
});
