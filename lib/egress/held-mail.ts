/** Counts the deliveries in hand by where they go and whose they are. The limits are looked at when someone asks. */
import { firstWaiting, longestWait } from '../shaping/constraint.ts';
import type { HeldMail, HeldPath, MailInHand } from '../shaping/held-mail.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { Delivery, Slot } from './delivery.ts';
import type { QueueManager } from './queues.ts';

export function heldMail(deliveries: Iterable<Delivery>, queues: QueueManager, now: number): MailInHand {
  const paths = new Map<Slot, HeldPath>();
  for (const pool of queues.pools()) {
    if (pool.connections > 0 || pool.queue.size > 0) paths.set(pool, pathOf(pool, now));
  }
  const mail = new Map<Slot | undefined, Map<string, HeldMail>>();
  for (const delivery of deliveries) {
    const { slot, tenant, pool, item } = delivery;
    let bySlot = mail.get(slot);
    if (bySlot === undefined) mail.set(slot, (bySlot = new Map()));
    const key = `${tenant} ${pool} ${item.lane}`;
    let held = bySlot.get(key);
    if (held === undefined) {
      held = newHeld(delivery, slot && paths.get(slot));
      bySlot.set(key, held);
    }
    if (delivery.queued) held.waiting += 1;
    else held.underWay += 1;
    held.oldest = Math.min(held.oldest, item.acceptedAt);
  }
  return {
    mail: [...mail.values()].flatMap((bySlot) => [...bySlot.values()]),
    paths: [...paths.values()],
  };
}

function newHeld(
  { tenant, pool, class: messageClass, item }: Delivery,
  path: HeldPath | undefined,
): HeldMail {
  const group = item.lane.slice(item.lane.lastIndexOf(':') + 1);
  return { tenant, pool, class: messageClass, group, path, waiting: 0, underWay: 0, oldest: item.acceptedAt };
}

function pathOf(pool: ConnectionPool, now: number): HeldPath {
  const { site, source, limits, limiter, connections, drained } = pool;
  return {
    provider: site.provider,
    site: site.name,
    ip: source.ip,
    pool: limits.path.pool,
    connections,
    rate: drained.rate(now) ?? 0,
    limit: limiter.messagesPerSecond(now, limits.current.own),
    why() {
      const constraints = [...pool.constraints(now)];
      for (const { stream } of pool.queue.ready === 0 ? pool.queue.aside() : [])
        constraints.unshift(...stream.constraints(now));
      return { binding: firstWaiting(constraints), nextAt: now + longestWait(constraints) };
    },
  };
}
