/** The sites of a node as an operator sees them. */
import type { QueueManager } from './queues.ts';
import type { SiteState } from './types.ts';

/** What waits at each path to a site, how fast it goes, and why it does not. */
export function siteStates(queues: QueueManager, now: number): SiteState[] {
  const states: SiteState[] = [];
  for (const site of queues.sites.values()) {
    for (const path of site.paths.values()) {
      const backingOff = path.breaker.reason !== undefined && path.breaker.retryAt > now;
      const reason = path.queue.size > 0 || backingOff ? path.waitReason(now) : undefined;
      states.push({
        site: site.name,
        provider: site.provider,
        ip: path.source.ip,
        requireTls: path.requireTls,
        waiting: path.queue.size,
        connections: path.connections,
        rate: site.drained.rate(now) ?? 0,
        failures: path.breaker.failures,
        reason: reason && { ...reason, until: path.nextAt(now) },
      });
    }
  }
  return states;
}
