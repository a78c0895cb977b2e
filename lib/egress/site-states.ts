/** The sites of a node as an operator sees them. */
import type { QueueManager } from './queues.ts';
import type { SiteState } from './types.ts';

/** What waits at each connection pool, how fast it goes, and why it does not. */
export function siteStates(queues: QueueManager, now: number): SiteState[] {
  const states: SiteState[] = [];
  for (const pool of queues.pools()) {
    const { site, queue, breaker } = pool;
    const waits = queue.size > 0 || breaker.state(now) === 'open';
    states.push({
      site: site.name,
      provider: site.provider,
      ip: pool.source.ip,
      requireTls: pool.requireTls,
      waiting: queue.size,
      connections: pool.connections,
      rate: site.drained.rate(now) ?? 0,
      failures: breaker.failures,
      reason: waits ? pool.waitReason(now) : undefined,
    });
  }
  return states;
}
