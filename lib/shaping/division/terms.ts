/**
 * The division of a limit that nodes share: what its holders and its divider tell each other.
 *
 * A limit is a number of units. A unit is in use by a message for the limit's span: a permit until the message ends, a
 * slot of a rate for the window of that rate, a token of a quota to the end of its day or hour. A holder begins a
 * message only with a unit that it holds and that is not in use, so the limit holds however the units are divided.
 *
 * ```
 *  holder    report: held, used, want ──►  item of the holder ──┐
 *                                                               ▼
 *  divider (owner of the lease divide/<limit>)    reads all reports, divides, writes the division
 *                                                               │
 *  holder    held := grant ◄──────────────  the division ◄──────┘
 * ```
 * - A holder raises what it holds only by a grant that it has not applied before, and lowers it at any time.
 * - The divider counts for each holder the most that it may hold: what it has reported, and a grant that it has not
 *   confirmed. It grants only units that are free by this count, so a growth waits until the units were given up.
 * - A holder holds nothing later than `TERM` after it sent its last answered report. The divider ends a holder whose
 *   report it has seen unchanged for `TERM`. Both measure on their own clock; no clocks are compared.
 * - Of a holder that ended, what it may have used stays in use for its span.
 */

/** How long a holder holds what it was granted without another report, ms. */
export const TERM = 30_000;

/** Span of a permit: it is in use until its message has ended. */
export const WHILE_RUNNING = 0;
/** Span of a token of a quota: it is used for good. */
export const FOR_GOOD = Number.POSITIVE_INFINITY;

/** What a holder reports of itself. */
export interface HolderReport {
  /** Grows with each report of the holder. */
  readonly count: number;
  /** When its process began, ms: a later process of the same node replaces an earlier one. */
  readonly start: number;
  readonly node: string;
  /** Number of the last grant that it applied; 0: none. */
  readonly grant: number;
  /** Units that it holds at most, until it applies another grant. */
  readonly held: number;
  /** Units of these that are in use. */
  readonly used: number;
  /** Units that it could use. */
  readonly want: number;
  /** Units a span at which it begins messages. */
  readonly pace: number;
  /** Units in use by age, in parts of the span: `UseLog.ages`. */
  readonly ages: readonly number[];
  /** It holds nothing any more, and will report no more. */
  readonly gone?: true;
}

export interface Grant {
  /** Grows with each grant to the holder. */
  readonly number: number;
  readonly units: number;
  /** Units that it may come to hold, to which it paces itself: fewer than `units` while it gives some up. */
  readonly pace: number;
}

/** The division: written by the divider only. */
export interface Division {
  /** Grows with each write. */
  readonly epoch: number;
  /** Whose turn it is where there are fewer units than holders. */
  readonly turn: number;
  readonly grants: ReadonlyMap<string, Grant>;
  /** Holders that ended, with the count of their last report, until those reports are removed. */
  readonly ended: ReadonlyMap<string, number>;
  /** Units in use by holders that ended, by age. */
  readonly gone: readonly number[];
  /** All units are used for good. */
  readonly spent: boolean;
  /** Its divider divides no more. */
  readonly left: boolean;
}
