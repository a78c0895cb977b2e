/** What keeps the mail of a connection pool from going: what every owner of limits yields for it, the cause first. */
import { type Constraint, firstWaiting, LOOK_AGAIN, longestWait } from '../shaping/constraint.ts';
import type { ConnectionClass } from '../shaping/limits/terms.ts';
import type { WarmupBook } from '../warmup/book.ts';
import type { WaitStatus } from './delivery.ts';
import type { PoolCore } from './pool-host.ts';

/** A pool, as far as it is explained. */
type ConstrainedPool = Pick<PoolCore, 'site' | 'source' | 'limits' | 'limiter' | 'breaker'> & {
  /** Connections open or being opened, and those that could take a message at once. */
  readonly connections: number;
  readonly idle: number;
  readonly claimed: { provider: string; proven: boolean; address: string | undefined };
};

/** Limits of any mail of a pool. @param tenant whose mail it is. */
export function* poolConstraints(
  pool: ConstrainedPool,
  warmup: Pick<WarmupBook, 'wait' | 'explain'> | undefined,
  tenant: string,
  now: number,
): Iterable<Constraint> {
  const { source, site, limiter, breaker, idle, connections: open } = pool;
  const { own, apart } = pool.limits.current;
  yield* breaker.constraints(now);
  yield* source.constraints(now);
  yield* warmupConstraints(warmup, source.ip, site.provider, now);
  yield* limiter.messageConstraints(now, own);
  yield* limiter.connectionConstraints(now, own, { idle, open });
  if (apart !== undefined) yield classConstraint(apart, open, idle);
  yield* source.connections.constraints({ ...pool.claimed, tenant }, own, open, now);
}

/** What keeps mail of an IP that warms up. */
export function* warmupConstraints(
  warmup: Pick<WarmupBook, 'wait' | 'explain'> | undefined,
  ip: string | undefined,
  provider: string,
  now: number,
): Iterable<Constraint> {
  const wait = warmup?.wait(ip ?? '', provider, now) ?? 0;
  if (wait === 0) return;
  const text = warmup!.explain(ip ?? '', provider, now);
  yield {
    limit: 'warm-up',
    word: 'warm-up',
    value: text,
    origin: 'warm-up plan',
    wait,
    code: 'warmup_limit',
    text,
  };
}

/** The connections of mail with connection limits of its own. */
function classConstraint({ name, limits, origins }: ConnectionClass, open: number, idle: number): Constraint {
  const most = limits.connections;
  return {
    limit: `connections of ${name}`,
    word: 'connections',
    value: `${most}`,
    origin: origins.connections ?? 'built-in',
    used: `${open} of ${most} open`,
    wait: idle === 0 && open >= most ? LOOK_AGAIN : 0,
    code: 'site_limit',
    text: `${name} has all ${most} connections in use (connections, ${origins.connections}).`,
  };
}

/** Why mail waits under these constraints; undefined when it need not. */
export function waitStatusOf(constraints: readonly Constraint[], now: number): WaitStatus | undefined {
  const first = firstWaiting(constraints);
  return first && { code: first.code, text: first.text, until: now + longestWait(constraints) };
}
