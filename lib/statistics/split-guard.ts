/**
 * The way back of a split: when the mail that a pool sends itself fares badly, all of it goes to the other pool (the
 * former server, in a migration), by a directive like any other.
 *
 * ```
 *  split ──► rates of the last hour at a bound ──► directive `split-<pool>`, with the figures ──► all by the other pool
 *    ▲                                                                                                 │
 *    └─ rates begin anew with the next quarter ◄── whoever removes the directive, or orders a new share ◄──┘
 * ```
 */
import { DOCUMENT, ROUTING } from '../control/config-kinds.ts';
import type { Directives } from '../control/directives.ts';
import type { Documents } from '../control/documents.ts';
import type { Rows } from '../engine/ports.ts';
import { PosternError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { RoutingTable } from '../routing/router.ts';
import type { Split, WayBack } from '../routing/splits.ts';
import { type Clock, DAY, HOUR, MINUTE } from '../time.ts';
import type { MailCounts } from './counters.ts';
import { StatisticsReader, sumOf } from './reader.ts';
import { QUARTER, STATISTICS, splitPartition, type WatchedSplits } from './tally.ts';

/** Name of the rule in the origins of its directives. */
export const SPLIT_RULE = 'split';
const PARTITION = '*splits';
/** The figures of this time count: whole quarters, the one under way included, ms. */
const WINDOW = HOUR;
/** An order that nobody ended ends by itself, ms: months later the split is to be looked at anyway. */
const LASTS = 90 * DAY;
/** Time between two looks, ms. */
const LOOK = MINUTE;
/** Time in which another process may not have seen a directive yet, ms. */
const SEEN = MINUTE;

export interface SplitGuardOptions {
  rows: Pick<Rows, 'get' | 'change' | 'query'>;
  directives: Pick<Directives, 'find' | 'impose'>;
  /** Where the splits are. */
  documents: Pick<Documents, 'read'>;
  clock: Clock;
  log: Pick<Log, 'info' | 'error'>;
}

/** What is kept of a split. */
interface SplitState {
  /** Only quarters from here on count, ms. */
  since?: number;
  /** When it went back, ms. */
  backAt?: number;
}

/** The figures of the mail that a split pool sends itself. */
export interface SplitFigures {
  attempts: number;
  ended: number;
  bounced: number;
  deferred: number;
}

export function splitDirective(pool: string): string {
  return `${SPLIT_RULE}-${pool}`;
}

/** The splits of a routing document that have a way back, for the tally. */
export function watchedSplits(table: RoutingTable | undefined): WatchedSplits {
  const watched = new Map<string, ReadonlySet<string>>();
  for (const { from, to, wayBack } of table?.splits.values() ?? []) {
    if (wayBack === undefined) continue;
    const hosts = to.flatMap(({ pool }) => table!.pools.get(pool)?.smarthost ?? []);
    watched.set(from, new Set(hosts.map(({ host, port }) => `${host}:${port}`)));
  }
  return watched;
}

/** Why a split goes back; undefined while it need not. Pure. */
export function whyBack(
  { attempts, ended, bounced, deferred }: SplitFigures,
  bounds: WayBack,
): string | undefined {
  if (attempts < bounds.volume) return undefined;
  const over = (part: number, of: number, bound: number): boolean =>
    bound < 1 && of > 0 && part / of >= bound;
  const told = (part: number, of: number, what: string, bound: number): string =>
    `${part} of ${of} ${what} in the last hour: ${percent(part / of)}, and ${percent(bound)} is the bound.`;
  if (over(bounced, ended, bounds.bounces)) return told(bounced, ended, 'deliveries bounced', bounds.bounces);
  if (over(deferred, attempts, bounds.deferrals))
    return told(deferred, attempts, 'attempts were deferred', bounds.deferrals);
  return undefined;
}

function percent(rate: number): string {
  return `${Number((rate * 100).toPrecision(3))} %`;
}

export class SplitGuard {
  readonly #options: SplitGuardOptions;
  readonly #reader: StatisticsReader;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(options: SplitGuardOptions) {
    this.#options = options;
    this.#reader = new StatisticsReader(options.rows);
  }

  /** What a tally has to count for it. */
  get watched(): WatchedSplits {
    return watchedSplits(this.#options.documents.read(ROUTING, DOCUMENT));
  }

  /** Looks at the splits, once a minute at most. Never rejects. */
  async check(): Promise<void> {
    const { clock, log, documents } = this.#options;
    const now = clock.now();
    if (now - this.#lookedAt < LOOK) return;
    this.#lookedAt = now;
    for (const split of documents.read(ROUTING, DOCUMENT)?.splits.values() ?? []) {
      if (split.wayBack === undefined) continue;
      try {
        await this.#look(split, split.wayBack, now);
      } catch (error) {
        // Another process came to the same verdict.
        if (error instanceof PosternError && error.code === 'config_conflict') continue;
        log.error('a split cannot be judged; this is tried again', { pool: split.from, error });
      }
    }
  }

  /** The figures of a split pool since a time. @throws PosternError of the storage group. */
  async figures(pool: string, since: number, now: number): Promise<SplitFigures> {
    const from = Math.max(since, now - (now % QUARTER) - WINDOW + QUARTER);
    const range = { tenant: splitPartition(pool), from: from - (from % HOUR), before: now + HOUR };
    const points = await this.#reader.series({ ...range, granularity: 'quarter' });
    return figuresOf(sumOf(points.filter(({ at }) => at >= from)));
  }

  async #look(split: Split, bounds: WayBack, now: number): Promise<void> {
    const { rows, directives, log } = this.#options;
    const pool = split.from;
    const place = { kind: STATISTICS, partition: PARTITION, key: pool };
    const [row] = await rows.get([place]);
    const state = (row?.value ?? {}) as SplitState;
    const save = async (value: SplitState): Promise<void> => {
      await rows.change({ ...place, value }, row?.version ?? 0);
    };
    if (directives.find(splitDirective(pool)) !== undefined) return;
    if (state.backAt !== undefined) {
      if (now - state.backAt < SEEN) return;
      // The quarter under way holds figures of before.
      const since = now - (now % QUARTER) + QUARTER;
      await save({ since });
      log.info('a split is in force again: its rates begin anew', {
        pool,
        since: new Date(since).toISOString(),
      });
      return;
    }
    const figures = await this.figures(pool, state.since ?? 0, now);
    const why = whyBack(figures, bounds);
    if (why === undefined) return;
    const to = split.to[0]!.pool;
    // First the order, then the state: a crash between them finds the mail on its way back.
    await directives.impose({
      id: splitDirective(pool),
      match: { pool },
      action: { kind: 'reroute', pool: to },
      reason: `The split of pool ${pool} went back: ${why}`,
      until: now + LASTS,
      origin: { rule: SPLIT_RULE, reply: why },
    });
    await save({ backAt: now });
    log.error('a split went back: all mail of the pool goes to the other one', {
      pool,
      to,
      ...figures,
      text: why,
    });
  }
}

function figuresOf(counts: MailCounts): SplitFigures {
  const { deferred = 0, permanentBounces = 0, transientBounces = 0, sent = 0 } = counts;
  return {
    attempts: sent + deferred,
    ended: sent,
    bounced: Math.min(sent, permanentBounces + transientBounces),
    deferred,
  };
}
