/** What waits for a connection, by what binds now: words and providers alone, never whose mail or which site. */
import type { WaitingFigure } from '../observe/limit-figures.ts';
import { bindingOf } from '../shaping/binding.ts';
import type { BindingWord } from '../shaping/limits/terms.ts';
import type { WarmupBook } from '../warmup/book.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { QueueManager } from './queues.ts';

/** Nothing binds: it is its turn next, or that of a lookup. */
const NOTHING = 'none';

export function waitingByLimit(
  queues: QueueManager,
  now: number,
  warmup: WarmupBook | undefined,
): WaitingFigure[] {
  const figures = new Map<string, WaitingFigure>();
  const add = (provider: string, limit: BindingWord | typeof NOTHING, waiting: number): void => {
    const key = `${provider} ${limit}`;
    const figure = figures.get(key);
    if (figure === undefined) figures.set(key, { limit, provider, waiting });
    else figure.waiting += waiting;
  };
  for (const pool of queues.pools()) {
    const { queue, site } = pool;
    for (const { stream, count } of queue.aside()) {
      add(site.provider, stream.reason(now)?.limit ?? NOTHING, count);
    }
    if (queue.ready > 0) add(site.provider, wordOf(pool, now, warmup) ?? NOTHING, queue.ready);
  }
  return [...figures.values()];
}

/** The limit that binds at a pool, whatever mail it is. */
function wordOf(pool: ConnectionPool, now: number, warmup: WarmupBook | undefined): BindingWord | undefined {
  const { source, site, breaker, limiter } = pool;
  if (breaker.state(now) === 'open') return 'back-off';
  if (!source.usable(now)) return 'source IP';
  if ((warmup?.wait(source.ip ?? '', site.provider, now) ?? 0) > 0) return 'warm-up';
  const { own, limits } = pool.limits.current;
  const binding = bindingOf(limiter, own, now);
  if (binding !== undefined) return binding.limit;
  if (source.connections.isStarved(pool) || pool.connections >= limits.connections) return 'connections';
  if (pool.connections > 0) return undefined;
  if (source.connections.open >= own.limits.ipConnections) return 'ipConnections';
  if (source.connections.toProvider(site.provider) >= own.limits.providerConnections)
    return 'providerConnections';
  return limiter.connectWait(now, own) > 0 ? 'connectionRate' : undefined;
}
