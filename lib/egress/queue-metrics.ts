/** What waits for a connection, by what binds now: words and providers alone, never whose mail or which site. */
import type { WaitingFigure } from '../observe/limit-figures.ts';
import { bindingOf } from '../shaping/binding.ts';
import type { BindingWord } from '../shaping/limits/terms.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { QueueManager } from './queues.ts';

/** Nothing binds: it is its turn next, or that of a lookup. */
const NOTHING = 'none';

export function waitingByLimit(queues: QueueManager, now: number): WaitingFigure[] {
  const figures = new Map<string, WaitingFigure>();
  const add = (provider: string, limit: BindingWord | typeof NOTHING, waiting: number): void => {
    const key = `${provider} ${limit}`;
    const figure = figures.get(key);
    if (figure === undefined) figures.set(key, { limit, provider, waiting });
    else figure.waiting += waiting;
  };
  for (const { provider, paths } of queues.sites.values()) {
    for (const path of paths.values()) {
      const { queue } = path;
      for (const { stream, count } of queue.aside())
        add(provider, stream.reason(now)?.limit ?? NOTHING, count);
      if (queue.ready > 0) add(provider, wordOf(path, queues, now) ?? NOTHING, queue.ready);
    }
  }
  return [...figures.values()];
}

/** What binds at a path, whatever mail it is. */
function wordOf(path: ConnectionPool, { warmup }: QueueManager, now: number): BindingWord | undefined {
  const { source, site, poolLimits, breaker } = path;
  if (breaker.reason !== undefined && breaker.retryAt > now) return 'back-off';
  if (!source.usable(now)) return 'source IP';
  if ((warmup?.wait(source.ip ?? '', site.provider, now) ?? 0) > 0) return 'warm-up';
  const { own, limits } = poolLimits;
  const limiter = source.limiter(site);
  const binding = bindingOf(limiter, own, now);
  if (binding !== undefined) return binding.limit;
  if (path.starved || path.connections >= limits.connections) return 'connections';
  if (path.connections > 0) return undefined;
  if (source.connections >= own.limits.ipConnections) return 'ipConnections';
  if (source.toProvider(site.provider) >= own.limits.providerConnections) return 'providerConnections';
  return limiter.connectWait(now, own) > 0 ? 'connectionRate' : undefined;
}
