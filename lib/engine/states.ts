/**
 * The states of a delivery and the only legal ways between them.
 *
 * ```
 *  accepted ──► queued ──► attempting ──► delivered
 *                 ▲  │         │  ├─────► bounced ◄─────┐ (a report that comes later:
 *                 │  │         │  └─────► expired       │  delivered ► bounced)
 *                 │  │         ▼
 *                 │  │      deferred(until) ──► queued | cancelled | expired
 *                 │  └──► cancelled | expired | suppressed
 * ```
 * `uncertain` is not a state but a mark on an attempt whose final reply was never read: the delivery is
 * deferred and tried again, and may arrive twice (RFC 1047).
 */
export type DeliveryState =
  | 'accepted'
  | 'queued'
  | 'attempting'
  | 'deferred'
  | 'delivered'
  | 'bounced'
  | 'expired'
  | 'suppressed'
  | 'cancelled';

/** Texts of a delivery that no attempt explains. */
export const CANCELLED = 'Cancelled by its sender.';
export const SCHEDULED = 'Wait: the sender asked for a later time.';

/** From each state, the states that may follow. */
export const TRANSITIONS: Readonly<Record<DeliveryState, readonly DeliveryState[]>> = {
  accepted: ['queued', 'deferred', 'suppressed', 'cancelled'],
  queued: ['attempting', 'deferred', 'suppressed', 'cancelled', 'expired'],
  attempting: ['delivered', 'bounced', 'expired', 'deferred', 'queued', 'suppressed'],
  deferred: ['queued', 'cancelled', 'expired', 'suppressed'],
  delivered: ['bounced'],
  bounced: [],
  expired: [],
  suppressed: [],
  cancelled: [],
};

/** States in which nothing more will be sent. */
export const FINAL_STATES: ReadonlySet<DeliveryState> = new Set<DeliveryState>([
  'delivered',
  'bounced',
  'expired',
  'suppressed',
  'cancelled',
]);

/** Whether a delivery may go from one state to the other. */
export function isLegalTransition(from: DeliveryState, to: DeliveryState): boolean {
  return TRANSITIONS[from].includes(to);
}
