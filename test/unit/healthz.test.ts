/** Alive, ready and delivering are three questions: what restarts a process must not go by the last. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startWeb, type Web, type WebOptions } from '../../egress-node/standalone/web.ts';
import { openMemory } from '../../lib/engine/memory/open.ts';
import type { ApiDeps } from '../../lib/http/deps.ts';
import { silentLog } from '../../lib/log.ts';
import { systemClock } from '../../lib/time.ts';
import { MASTER_KEY } from '../support/control.ts';

let web: Web;
let stored = { ok: true };
let dns: string | undefined;
before(async () => {
  const engine = { ...openMemory({ clock: systemClock }), health: async () => stored };
  const api = { engine, clock: systemClock, log: silentLog, version: '1.2.3' } as unknown as ApiDeps;
  web = await startWeb({
    listen: { host: '127.0.0.1', port: 0 },
    tls: undefined,
    api,
    masterKey: MASTER_KEY,
    proxies: { guard() {} },
    delivery: () => ({ ok: dns === undefined, dns }),
  } as unknown as WebOptions);
});
after(() => web.close());

async function answers(): Promise<number[]> {
  const paths = ['/healthz/live', '/healthz', '/healthz/delivery'];
  return Promise.all(
    paths.map(async (path) => (await fetch(`http://127.0.0.1:${web.address.port}${path}`)).status),
  );
}

test('a dead DNS is told to monitors alone, a full store to load balancers, and neither restarts the process', async () => {
  assert.deepEqual(await answers(), [200, 200, 200]);
  dns = 'No name server answered';
  assert.deepEqual(await answers(), [200, 200, 503]);
  const health = await (await fetch(`http://127.0.0.1:${web.address.port}/healthz`)).json();
  assert.deepEqual(health, {
    ok: true,
    version: '1.2.3',
    delivery: { ok: false, dns: 'No name server answered' },
  });
  stored = { ok: false };
  assert.deepEqual(await answers(), [200, 503, 503]);
});
