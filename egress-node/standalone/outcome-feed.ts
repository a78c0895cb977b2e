/**
 * Follows the outcome feed of this process's own store, about a second behind: updates the suppression lists from it,
 * forwards bounces and complaints to senders who want them by mail, and counts it.
 *
 * ```
 *  cursor ──► pages of the feed, with their records ──► suppression lists ──► tally ──► statistics and cursor, at once
 *     └── the place up to which outcomes are counted ◄──────────────────────────────────────┘
 * ```
 * The cursor is a counter that is written with the statistics in one transaction: a crash counts nothing twice and
 * leaves nothing out. What was read and not counted is read again; an entry that is on a list stays as it is. While
 * the store does not answer, no outcome is skipped.
 */
import type { FeedbackForwarder } from '../../lib/accept/feedback-forwarder.ts';
import type { Engine, Suppressions } from '../../lib/engine/ports.ts';
import type { Log } from '../../lib/log.ts';
import type { AccountingLog } from '../../lib/observe/accounting.ts';
import { recordsOf, suppress } from '../../lib/outcome/apply-suppression.ts';
import { FEEDBACK_SENDER } from '../../lib/outcome/feedback-mail.ts';
import { mayChangeSuppression } from '../../lib/outcome/suppression.ts';
import { StatisticsRecorder } from '../../lib/statistics/recorder.ts';
import { ALL_TENANTS, STATISTICS, Tally, type WatchedSplits } from '../../lib/statistics/tally.ts';
import type { Clock } from '../../lib/time.ts';

export interface OutcomeFeedOptions {
  engine: Pick<Engine, 'records' | 'leases' | 'rows'> & {
    suppressions: Pick<Suppressions, 'put' | 'remove'>;
  };
  clock: Clock;
  log: Log;
  /** Forwards bounces and complaints to senders; undefined until it can. */
  feedback: () => Pick<FeedbackForwarder, 'forward'> | undefined;
  /** Log of deliveries; absent: none is kept. */
  accounting?: Pick<AccountingLog, 'note' | 'flush'>;
  /** Called after statistics were written, with the tenants that they are of. It never rejects. */
  onCounted?: (tenants: readonly string[]) => Promise<void>;
  /** Splits whose own mail is counted apart. */
  watched?: () => WatchedSplits;
}

/** The row of the cursor. */
const CURSOR = { kind: STATISTICS, partition: ALL_TENANTS, key: 'cursor' };
/** Checkpoint of a version that counted nothing: where it stopped. */
const EARLIER_CURSOR = 'suppression-feed';
/**
 * Maximum number of outcomes read at one time. A page is one turn of the event loop: with 500, taking in and sending
 * stood still for 10 to 20 ms once a second.
 */
const PAGE = 64;
/** Time to the next check when there was nothing more, ms. */
const LATER = 1_000;
/** Outcomes, and rows of their statistics, after which they are written though there are more to read. */
const OUTCOMES = 10_000;
const ROWS = 900;

/** Starts the feed. @returns `stop` resolves when no page is under way. */
export function startOutcomeFeed(options: OutcomeFeedOptions): { stop(): Promise<void> } {
  const { clock, log } = options;
  const feed = new OutcomeFeed(options);
  let stopped = false;
  let cancel = (): void => {};
  let running: Promise<void> = Promise.resolve();

  async function follow(): Promise<void> {
    try {
      while (!stopped && (await feed.advance()));
    } catch (error) {
      log.error('outcomes cannot be followed; this is tried again', { error });
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

class OutcomeFeed {
  readonly #options: OutcomeFeedOptions;
  readonly #recorder: StatisticsRecorder;
  /** Outcomes up to this place are counted. */
  #counted: number | undefined;

  constructor(options: OutcomeFeedOptions) {
    this.#options = options;
    this.#recorder = new StatisticsRecorder({ rows: options.engine.rows, shards: 1 });
  }

  /** Reads some pages and counts them. @returns whether there may be more. */
  async advance(): Promise<boolean> {
    const { engine, log, onCounted, accounting } = this.#options;
    const { records, suppressions } = engine;
    const feedback = this.#options.feedback();
    if (!feedback) return false;
    const start = (this.#counted ??= await this.#start());
    const tally = new Tally(this.#options.watched?.());
    let cursor = start;
    let more = true;
    for (let read = 0; more && read < OUTCOMES && tally.rows < ROWS; read += PAGE) {
      const page = await records.feed(cursor, PAGE);
      const { outcomes } = page;
      more = outcomes.length === PAGE;
      const found = await recordsOf(records, outcomes);
      await suppress(suppressions, outcomes.filter(mayChangeSuppression), found, log);
      await feedback.forward(outcomes, found);
      for (const outcome of outcomes) {
        const record = found.get(outcome.messageId);
        // A report of ours says nothing about the mail of its sender.
        if (!record || record.keyId === FEEDBACK_SENDER) continue;
        tally.add(record, outcome);
        accounting?.note(record, outcome);
      }
      cursor = page.cursor;
    }
    if (cursor === start) return false;
    // Before the cursor moves: a crash writes lines again, and leaves none out.
    await accounting?.flush();
    const advance = { ...CURSOR, add: { place: cursor - start } };
    const counted = await this.#recorder.count(`feed/${start}`, tally, [advance]);
    // What was counted before, by a call whose answer was lost, may have ended at another place: the store has it.
    this.#counted = counted ? cursor : undefined;
    await onCounted?.(tally.tenants());
    return more;
  }

  async #start(): Promise<number> {
    const { rows, leases } = this.#options.engine;
    const [row] = await rows.get([CURSOR]);
    if (row) return (row.value as { place: number }).place;
    const earlier = ((await leases.checkpoint(EARLIER_CURSOR)) as number | undefined) ?? 0;
    await this.#recorder.count('feed', new Tally(), [{ ...CURSOR, add: { place: earlier } }]);
    return earlier;
  }
}
