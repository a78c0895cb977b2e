/** The settings that a running service applies at a reload (SIGHUP). All others are fixed when it starts. */
import { isDeepStrictEqual } from 'node:util';
import type { Settings } from '../settings.ts';

/** `tls`: the files are read again even when their names stay. */
const LIVE = ['tls', 'limits', 'retrySeconds', 'recordDays', 'returnPathDomain', 'logLevel'] as const;

export interface Reloaded {
  /** Settings that changed and are in force. */
  applied: string[];
  /** Settings that changed and need a restart. */
  pending: string[];
}

/** Compares the settings before and after a reload. */
export function applied(now: Settings, next: Settings): Reloaded {
  const keys = [...new Set([...Object.keys(now), ...Object.keys(next)])] as (keyof Settings)[];
  const changed = keys.filter((key) => !isDeepStrictEqual(now[key], next[key]));
  const live = (key: string): boolean => (LIVE as readonly string[]).includes(key);
  return { applied: changed.filter(live), pending: changed.filter((key) => !live(key)) };
}

/** The settings in force after a reload. */
export function withReloaded(now: Settings, next: Settings): Settings {
  return { ...now, ...Object.fromEntries(LIVE.map((key) => [key, next[key]])) };
}
