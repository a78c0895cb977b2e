/** The warm-up state of an IP, read from storage by any process. */
import { WarmupBook } from './book.ts';
import type { WarmupPlan } from './plan.ts';
import type { RampStatus } from './ramp.ts';

/** The part of a `RampStatus` that is on storage. `sent` is an upper bound: messages that may have been sent count. */
export type StoredStatus = Omit<RampStatus, 'room' | 'next'>;

/**
 * @param value result of `leases.checkpoint(checkpointName(ip))`, within seconds of the sending node's state.
 * @returns a status for each provider that had mail from the IP. @throws PosternError `storage_damaged`,
 * `storage_too_new`.
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
