/**
 * Follows the outcome feed of this process's own store, and updates the suppression lists from it, about a second
 * behind.
 *
 * ```
 *  cursor (checkpoint) ──► page of the feed ──► bounces and complaints, with their records ──► lists ──► cursor
 * ```
 * After a restart outcomes are read again from the last saved cursor; an entry that is on a list stays as it is.
 * While the store does not answer, no outcome is skipped.
 */

import type { Engine, Suppressions } from '../../lib/engine/ports.ts';
import type { Log } from '../../lib/log.ts';
import { recordsOf, suppress } from '../../lib/outcome/apply-suppression.ts';
import { mayChangeSuppression } from '../../lib/outcome/suppression.ts';
import type { Clock } from '../../lib/time.ts';

export interface SuppressionFeedOptions {
  engine: Pick<Engine, 'records' | 'leases'> & { suppressions: Pick<Suppressions, 'put' | 'remove'> };
  clock: Clock;
  log: Log;
}

/** Name of the checkpoint that holds the cursor. */
const CURSOR = 'suppression-feed';
/** Maximum number of outcomes read at one time. */
const PAGE = 500;
/** Time to the next check when there was nothing more, ms. */
const LATER = 1_000;
/** Number of outcomes without effect after which the cursor is saved all the same: the maximum that is read again. */
const SAVE_EVERY = 20_000;

/** Starts the feed. @returns `stop` resolves when no page is under way. */
export function startSuppressionFeed({ engine, clock, log }: SuppressionFeedOptions): {
  stop(): Promise<void>;
} {
  const { records, suppressions, leases } = engine;
  let cursor: number | undefined;
  let unsaved = 0;
  let stopped = false;
  let cancel = (): void => {};
  let running: Promise<void> = Promise.resolve();

  /** Handles one page. @returns whether there may be more. */
  async function page(): Promise<boolean> {
    cursor ??= ((await leases.checkpoint(CURSOR)) as number | undefined) ?? 0;
    const { cursor: next, outcomes } = await records.feed(cursor, PAGE);
    if (outcomes.length === 0) return false;
    const concerned = outcomes.filter(mayChangeSuppression);
    const changes = await suppress(suppressions, concerned, await recordsOf(records, concerned), log);
    unsaved += outcomes.length;
    if (changes > 0 || unsaved >= SAVE_EVERY) {
      await leases.saveCheckpoint(CURSOR, next);
      unsaved = 0;
    }
    cursor = next;
    return outcomes.length === PAGE;
  }

  async function follow(): Promise<void> {
    try {
      while (!stopped && (await page()));
    } catch (error) {
      log.error('suppression lists cannot be kept; this is tried again', { error });
    }
    if (!stopped) look(LATER);
  }

  function look(after: number): void {
    cancel = clock.after(after, () => {
      running = follow();
    });
  }

  look(0);
  return {
    stop() {
      stopped = true;
      cancel();
      return running;
    },
  };
}
