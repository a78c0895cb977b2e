/** Learns from the result of a transaction how many connections and which rate a site bears. */
import type { AttemptResult } from '../../outcome/classify.ts';
import type { Limits } from '../limits/limit.ts';
import type { PathLimiter } from '../path-limiter.ts';
import { throttles } from './throttling.ts';

/**
 * @param limits those of the (IP, site): nothing is learnt beyond them.
 * @param startedAt,endedAt of the transaction, since the epoch, ms.
 */
export function learn(
  limiter: PathLimiter,
  limits: Limits,
  { kind, reply }: Pick<AttemptResult, 'kind' | 'reply'>,
  startedAt: number,
  endedAt: number,
): void {
  const { concurrency, messageRate, connections } = limiter;
  if (kind === 'accepted') messageRate.taken(endedAt);
  else if (reply === undefined) return;
  const less = kind === 'refused' && reply !== undefined ? throttles(reply) : undefined;
  if (less !== undefined) limiter.learntAt = endedAt;
  if (less === 'connections') concurrency.fault(connections, limits.connections);
  else concurrency.good(limits.connections);
  if (less !== 'rate') return;
  const { messageRate: rate } = limits;
  const most = rate === undefined ? Number.POSITIVE_INFINITY : (rate.count * 1000) / rate.per;
  messageRate.throttled(endedAt, startedAt, most);
}
