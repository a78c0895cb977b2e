/** Counts what waits for a connection by the limit that binds: words and providers alone, never whose mail or which site. */
import type { WaitingFigure } from '../observe/limit-figures.ts';
import { type Constraint, firstWaiting } from '../shaping/constraint.ts';
import type { QueueManager } from './queues.ts';

/** No limit binds: it is its turn next, or that of a lookup. */
const NOTHING = 'none';

export function waitingByLimit(queues: QueueManager, now: number): WaitingFigure[] {
  const figures = new Map<string, WaitingFigure>();
  const add = (provider: string, constraints: Iterable<Constraint>, waiting: number): void => {
    const limit = firstWaiting(constraints)?.word ?? NOTHING;
    const key = `${provider} ${limit}`;
    const figure = figures.get(key);
    if (figure === undefined) figures.set(key, { limit, provider, waiting });
    else figure.waiting += waiting;
  };
  for (const pool of queues.pools()) {
    const { queue, site } = pool;
    for (const { stream, count } of queue.aside()) add(site.provider, stream.constraints(now), count);
    if (queue.ready > 0) add(site.provider, pool.constraints(now), queue.ready);
  }
  return [...figures.values()];
}
