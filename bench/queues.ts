/**
 * What waits, asked of a full store.
 *
 *     node bench/queues.ts [deliveries] [tenants and pools]
 *
 * Prints how long an answer of /v1/queues takes, by provider, pool and IP and by tenant, and how long a count of what a
 * match touches takes. Each tenant sends by a pool of its own.
 */
import { mail } from '../test/contract/harness.ts';
import { startPosternServer } from '../test/support/postern-server.ts';

const total = Number(process.argv[2] ?? 1_000_000);
const tenants = Number(process.argv[3] ?? 10_000);
const each = Math.max(1, Math.round(total / tenants));
const TIMES = 20;
const LIMIT = 300;

const server = await startPosternServer({ held: () => ({ mail: [], paths: [] }) });
for (let at = 0; at < tenants; at += 50) {
  const messages = Array.from({ length: Math.min(50, tenants - at) }, (_, i) =>
    mail(server.clock.now(), {
      lane: `pool-${at + i}:bulk:google`,
      tenant: `tenant-${at + i}`,
      recipients: Array.from({ length: each }, (_unused, n) => `user${n}@example.net`),
    }),
  );
  await server.engine.queue.admit(messages);
}

async function measured(what: string, ask: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < TIMES; i += 1) {
    const begin = performance.now();
    await ask();
    times.push(performance.now() - begin);
  }
  times.sort((a, b) => a - b);
  const [middle, last] = [times[TIMES >> 1]!, times.at(-1)!];
  console.log(`${what.padEnd(28)} ${middle.toFixed(0)} ms, ${last.toFixed(0)} ms at most`);
  return middle;
}

console.log(`${total} deliveries of ${tenants} tenants in ${tenants} pools wait.`);
const get = (query: string) => server.call('GET', `/queues?max=100${query}`, { key: 'admin' });
const slowest = Math.max(
  await measured('by provider, pool and IP', () => get('')),
  await measured('by tenant, the oldest first', () => get('&by=tenant&sort=oldest')),
  await measured('of one tenant', () => get('&tenant=tenant-7')),
  await measured('what a pause of all touches', () =>
    server.call('POST', '/deliveries/count', { key: 'admin', body: { match: {}, all: true } }),
  ),
);
await server.close();
if (slowest > LIMIT) {
  console.log(`An answer takes ${slowest.toFixed(0)} ms in the middle; ${LIMIT} are the limit.`);
  process.exitCode = 1;
}
