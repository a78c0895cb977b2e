/** Where the warm-up of an IP stands, read from storage by any process. */
import { WarmupBook } from './book.ts';
import type { WarmupPlan } from './plan.ts';
import type { RampStatus } from './ramp.ts';

/** Of a `RampStatus`, what storage tells. `sent` is at most so much: what may have been sent counts. */
export type StoredStatus = Omit<RampStatus, 'room' | 'next'>;

/**
 * @param value what `leases.checkpoint(checkpointName(ip))` gave; it follows the node that sends within seconds.
 * @returns by provider that had mail from it. @throws PosternError `storage_damaged`, `storage_too_new`.
 */
export function storedStatus(
  ip: string,
  plan: WarmupPlan,
  value: unknown,
  now: number,
): Record<string, StoredStatus> {
  const book = new WarmupBook();
  book.setPlan(ip, plan);
  book.restore(ip, value);
  const status = Object.entries(book.status(ip, now));
  return Object.fromEntries(
    status.map(([provider, { room: _room, next: _next, ...rest }]) => [provider, rest]),
  );
}
