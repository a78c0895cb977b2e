/** What the APIs show of events and do with them, whichever process sends them. */
import type { EventDestination, TargetKind } from '../control/event-destination.ts';
import type { SendResult } from '../engine/destinations.ts';
import type { DestinationHealth } from './followed.ts';
import type { SendAttempt } from './recent-attempts.ts';

export interface EventAccess {
  /** Kinds of destinations that this installation can send to. */
  readonly kinds: ReadonlySet<TargetKind>;
  /** How destinations stand, by id. */
  health(ids: readonly string[]): Promise<ReadonlyMap<string, DestinationHealth>>;
  /** The last hundred tries, newest last. */
  attempts(id: string): Promise<SendAttempt[]>;
  /**
   * Sends what happened from `from` on, before `to`, once more, with the same ids.
   * @returns false: the destination is not followed yet. @throws PosternError `unsupported_operation`
   */
  replay(destination: EventDestination, from: number, to: number): Promise<boolean>;
  /** Sends a made-up event once. */
  test(destination: EventDestination): Promise<SendResult>;
}
