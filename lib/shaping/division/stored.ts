/** A division as it is stored: short, because every holder reads it every few seconds. */
import { PosternError } from '../../errors.ts';
import type { Division } from './terms.ts';

interface StoredDivision {
  v: 1;
  e: number;
  t?: number;
  /** By holder: epochs between the grant and this division, units, pace where it differs. */
  g?: Record<string, [since: number, units: number, pace?: number]>;
  x?: Record<string, number>;
  u?: readonly number[];
  spent?: true;
  left?: true;
}

export function writeDivision({ epoch, turn, grants, ended, gone, spent, left }: Division): unknown {
  const g: StoredDivision['g'] = {};
  for (const [holder, { number, units, pace }] of grants) {
    g[holder] = pace === units ? [epoch - number, units] : [epoch - number, units, pace];
  }
  const stored: StoredDivision = {
    v: 1,
    e: epoch,
    ...(turn > 0 && { t: turn }),
    ...(grants.size > 0 && { g }),
    ...(ended.size > 0 && { x: Object.fromEntries(ended) }),
    ...(gone.length > 0 && { u: gone }),
    ...(spent && { spent }),
    ...(left && { left }),
  };
  return stored;
}

/** @throws PosternError `storage_too_new` when a newer version has written it. */
export function readDivision(value: unknown): Division | undefined {
  if (value === undefined || value === null) return undefined;
  const { v, e, t = 0, g = {}, x = {}, u = [], spent = false, left = false } = value as StoredDivision;
  if (v !== 1)
    throw new PosternError('storage_too_new', 'The division of a shared limit is of a newer version.');
  const grants = new Map(
    Object.entries(g).map(([holder, [since, units, pace = units]]) => [
      holder,
      { number: e - since, units, pace },
    ]),
  );
  return { epoch: e, turn: t, grants, ended: new Map(Object.entries(x)), gone: u, spent, left };
}
