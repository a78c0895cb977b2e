/**
 * Splits: a share of a pool's mail is sent by another pool or by a smarthost, in percent, rising from date to date.
 * For migrations.
 *
 * A message's id and the percentages at its acceptance decide its route. So a retry takes the route of the first
 * attempt, even when the ramp has risen meanwhile.
 */
import { readDate, readList, readNumber, readObject, readText, refuse } from '../document.ts';
import { fraction, hash } from './hash.ts';
import type { Pool } from './pools.ts';

/** The percentage is `percent` at `at` and linear between points; 0 before the first, the last one's after it. */
export interface RampPoint {
  readonly at: number;
  readonly percent: number;
}

export type SplitTarget =
  | { readonly kind: 'pool'; readonly pool: string }
  /** Another server accepts it and delivers it; the connection comes from an IP of `pool`. */
  | { readonly kind: 'smarthost'; readonly pool: string; readonly host: string; readonly port: number };

interface Share {
  readonly target: SplitTarget;
  readonly ramp: readonly RampPoint[];
}

export interface Split {
  /** Pool whose mail is split; mail of no share stays with it. */
  readonly from: string;
  readonly to: readonly Share[];
  readonly seed: number;
}

const ALWAYS = Number.NEGATIVE_INFINITY;

/**
 * @param value `[{ from: 'old', to: [{ pool: 'new', ramp: [{ date: '2026-03-01', percent: 1 }, …] }] }]`; a share has
 * a `pool` or a `smarthost` (`host:port`), and a `ramp` or a fixed `percent`.
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
    for (const [j, { target }] of to.entries()) {
      if (target.kind === 'pool' && splits.has(target.pool)) {
        refuse(
          `${path}[${i}].to[${j}].pool`,
          `pool "${target.pool}" is itself split; name where its mail is to go.`,
        );
      }
    }
  }
  return splits;
}

function readSplit(value: unknown, path: string, pools: ReadonlyMap<string, Pool>): Split {
  const given = readObject(value, path, ['from', 'to']);
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
  return { from, to, seed: hash(`split ${from}`) };
}

function readShare(value: unknown, path: string, from: string, pools: ReadonlyMap<string, Pool>): Share {
  const given = readObject(value, path, ['pool', 'smarthost', 'percent', 'ramp']);
  if ((given.pool === undefined) === (given.smarthost === undefined))
    refuse(path, 'give a pool or a smarthost.');
  if ((given.percent === undefined) === (given.ramp === undefined)) refuse(path, 'give a percent or a ramp.');
  const ramp =
    given.ramp === undefined
      ? [{ at: ALWAYS, percent: readPercent(given.percent, `${path}.percent`) }]
      : readRamp(given.ramp, `${path}.ramp`);
  if (given.smarthost !== undefined) {
    return {
      target: { kind: 'smarthost', pool: from, ...readEndpoint(given.smarthost, `${path}.smarthost`) },
      ramp,
    };
  }
  const pool = readKnownPool(given.pool, `${path}.pool`, pools);
  if (pool === from) refuse(`${path}.pool`, 'is the pool that is split.');
  if (pools.get(pool)!.dedicatedTo !== undefined)
    refuse(`${path}.pool`, `pool "${pool}" is dedicated to others.`);
  return { target: { kind: 'pool', pool }, ramp };
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

function readEndpoint(value: unknown, path: string): { host: string; port: number } {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+)):(\d{1,5})$/i.exec(readText(value, path));
  const port = Number(parts?.[3]);
  if (parts === null || port < 1 || port > 65_535) {
    refuse(path, `${JSON.stringify(value)} is not host:port, as relay.example.com:587 or [2001:db8::1]:25.`);
  }
  return { host: parts[1] ?? parts[2]!, port };
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

/** The target of a message of the split pool; undefined when it stays. */
export function targetOf(split: Split, messageId: string, acceptedAt: number): SplitTarget | undefined {
  let left = fraction(messageId, split.seed) * 100;
  for (const { target, ramp } of split.to) {
    left -= percentAt(ramp, acceptedAt);
    if (left < 0) return target;
  }
  return undefined;
}
