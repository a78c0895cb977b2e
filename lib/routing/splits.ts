/**
 * Splits: a share of a pool's mail is sent by another pool, in percent, rising from date to date; the mail of some tenants
 * stays whatever the share. For migrations: the other pool may send by the former server (`smarthost` of a pool).
 *
 * A message's id and the percentages at its acceptance decide its route. So a retry takes the route of the first
 * attempt, even when the ramp has risen meanwhile.
 */
import { optional, readDate, readList, readNumber, readObject, readText, refuse } from '../document.ts';
import { fraction, hash } from './hash.ts';
import type { Pool } from './pools.ts';

/** The percentage is `percent` at `at` and linear between points; 0 before the first, the last one's after it. */
export interface RampPoint {
  readonly at: number;
  readonly percent: number;
}

/**
 * The way back of a split: rates of the mail that stays, 0 to 1, from which on all mail takes the first share's pool.
 * `lib/statistics/split-guard.ts` counts.
 */
export interface WayBack {
  /** Share of ended deliveries that bounced. */
  readonly bounces: number;
  /** Share of attempts that were deferred. */
  readonly deferrals: number;
  /** Attempts below which a rate means nothing. */
  readonly volume: number;
}

interface Share {
  readonly pool: string;
  readonly ramp: readonly RampPoint[];
}

export interface Split {
  /** Pool whose mail is split; mail of no share stays with it. */
  readonly from: string;
  /** Tenants whose mail is in no share. */
  readonly stays: ReadonlySet<string>;
  /** When all of its mail goes to the first share's pool; absent: never. */
  readonly wayBack?: WayBack;
  readonly to: readonly Share[];
  readonly seed: number;
}

const ALWAYS = Number.NEGATIVE_INFINITY;

/**
 * @param value `[{ from: 'old', to: [{ pool: 'new', ramp: [{ date: '2026-03-01', percent: 1 }, …] }] }]`; a share has
 * a `ramp` or a fixed `percent`. `stays: { tenants: ['acme'] }` keeps the mail of tenants;
 * `wayBack: { bounces: 0.1, deferrals: 0.3, volume: 200 }` ends the split by rates.
 * @throws PosternError with path and reason.
 */
export function readSplits(
  value: unknown,
  path: string,
  pools: ReadonlyMap<string, Pool>,
): ReadonlyMap<string, Split> {
  const splits = new Map<string, Split>();
  for (const [i, split] of readList(value, path, (item, at) => readSplit(item, at, pools)).entries()) {
    if (splits.has(split.from)) {
      refuse(
        `${path}[${i}].from`,
        `pool "${split.from}" is split already; put all its shares into one split.`,
      );
    }
    splits.set(split.from, split);
  }
  for (const [i, { to }] of [...splits.values()].entries()) {
    for (const [j, { pool }] of to.entries()) {
      if (!splits.has(pool)) continue;
      refuse(`${path}[${i}].to[${j}].pool`, `pool "${pool}" is itself split; name where its mail is to go.`);
    }
  }
  return splits;
}

function readSplit(value: unknown, path: string, pools: ReadonlyMap<string, Pool>): Split {
  const given = readObject(value, path, ['from', 'to', 'stays', 'wayBack']);
  const from = readKnownPool(given.from, `${path}.from`, pools);
  const to = readList(given.to, `${path}.to`, (item, at) => readShare(item, at, from, pools));
  const moments = new Set(to.flatMap(({ ramp }) => ramp.map(({ at }) => at)));
  for (const at of moments) {
    const sum = to.reduce((total, { ramp }) => total + percentAt(ramp, at), 0);
    if (sum > 100 + 1e-9) {
      const when = at === ALWAYS ? '' : ` on ${new Date(at).toISOString()}`;
      refuse(`${path}.to`, `the shares are ${sum} % together${when}; they must not exceed 100.`);
    }
  }
  const stays = optional(given.stays, `${path}.stays`, [], (one, at) => {
    const { tenants } = readObject(one, at, ['tenants']);
    return readList(tenants, `${at}.tenants`, readText);
  });
  const wayBack = optional(given.wayBack, `${path}.wayBack`, undefined, readWayBack);
  if (wayBack !== undefined && to.length === 0) refuse(`${path}.to`, 'has no pool for the way back.');
  return { from, to, stays: new Set(stays), ...(wayBack && { wayBack }), seed: hash(`split ${from}`) };
}

function readWayBack(value: unknown, path: string): WayBack {
  const given = readObject(value, path, ['bounces', 'deferrals', 'volume']);
  const rate = (name: 'bounces' | 'deferrals'): number =>
    optional(given[name], `${path}.${name}`, 1, (one, at) => readNumber(one, at, { min: 0.001, max: 1 }));
  const wayBack = {
    bounces: rate('bounces'),
    deferrals: rate('deferrals'),
    volume: optional(given.volume, `${path}.volume`, 200, (one, at) =>
      readNumber(one, at, { min: 20, max: 1_000_000, integer: true }),
    ),
  };
  if (wayBack.bounces === 1 && wayBack.deferrals === 1)
    refuse(path, 'never ends the split; give bounces, deferrals or both below 1.');
  return wayBack;
}

function readShare(value: unknown, path: string, from: string, pools: ReadonlyMap<string, Pool>): Share {
  const given = readObject(value, path, ['pool', 'percent', 'ramp']);
  if ((given.percent === undefined) === (given.ramp === undefined)) refuse(path, 'give a percent or a ramp.');
  const ramp =
    given.ramp === undefined
      ? [{ at: ALWAYS, percent: readPercent(given.percent, `${path}.percent`) }]
      : readRamp(given.ramp, `${path}.ramp`);
  const pool = readKnownPool(given.pool, `${path}.pool`, pools);
  if (pool === from) refuse(`${path}.pool`, 'is the pool that is split.');
  if (pools.get(pool)!.dedicatedTo !== undefined)
    refuse(`${path}.pool`, `pool "${pool}" is dedicated to others.`);
  return { pool, ramp };
}

function readRamp(value: unknown, path: string): RampPoint[] {
  const ramp = readList(value, path, (item, at) => {
    const { date, percent } = readObject(item, at, ['date', 'percent']);
    return { at: readDate(date, `${at}.date`), percent: readPercent(percent, `${at}.percent`) };
  });
  if (ramp.length === 0) refuse(path, 'has no points.');
  for (const [i, { at }] of ramp.entries()) {
    if (i > 0 && at <= ramp[i - 1]!.at) refuse(`${path}[${i}].date`, 'is not later than the one before.');
  }
  return ramp;
}

function readPercent(value: unknown, path: string): number {
  return readNumber(value, path, { min: 0, max: 100 });
}

function readKnownPool(value: unknown, path: string, pools: ReadonlyMap<string, Pool>): string {
  const name = readText(value, path);
  if (!pools.has(name)) refuse(path, `there is no pool "${name}".`);
  return name;
}

/** Percent of a ramp at an instant. */
export function percentAt(ramp: readonly RampPoint[], at: number): number {
  let before: RampPoint | undefined;
  for (const point of ramp) {
    if (point.at > at) {
      if (before === undefined) return 0;
      return before.percent + ((point.percent - before.percent) * (at - before.at)) / (point.at - before.at);
    }
    before = point;
  }
  return before?.percent ?? 0;
}

/** The pool to which a message of the split pool goes; undefined when it stays. */
export function targetOf(
  split: Split,
  { tenant, messageId, acceptedAt }: { tenant: string; messageId: string; acceptedAt: number },
): string | undefined {
  if (split.stays.has(tenant)) return undefined;
  let left = fraction(messageId, split.seed) * 100;
  for (const { pool, ramp } of split.to) {
    left -= percentAt(ramp, acceptedAt);
    if (left < 0) return pool;
  }
  return undefined;
}
