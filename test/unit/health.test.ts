import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openHealth } from '../../egress-node/service/health.ts';

test('the endpoint reports the current health, and an occupied port is an error', async () => {
  let ok = false;
  const endpoint = { host: '127.0.0.1', port: 0 };
  const health = await openHealth(endpoint, async () => ({ ok, detail: 'starting' }));
  const ask = async () => {
    const response = await fetch(`http://127.0.0.1:${health.port}/healthz`);
    return [response.status, await response.json()];
  };
  assert.deepEqual(await ask(), [503, { ok: false, detail: 'starting' }]);
  ok = true;
  assert.deepEqual(await ask(), [200, { ok: true, detail: 'starting' }]);
  await assert.rejects(
    openHealth({ ...endpoint, port: health.port }, async () => ({ ok })),
    { code: 'EADDRINUSE' },
  );
  health.close();
});
