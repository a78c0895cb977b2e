/** The warm-up plan of an IP, in the operator's form. */
import { optional, readBoolean, readDate, readMap, readNumber, readObject, refuse } from '../document.ts';
import { readIp } from '../ip.ts';
import { readProvider } from '../shaping/providers.ts';
import type { RampPlan } from './ramp.ts';
import { DEFAULT_SCHEDULE, readSchedule, type Schedule } from './schedule.ts';
import { readThresholds, THRESHOLDS } from './verdict.ts';

/**
 * Manual progress of an IP: SES's PutDedicatedIpWarmupAttributes. It is part of the plan and not a call to the
 * sending node, so that any node that holds the IP applies it, once, after a restart too.
 */
export interface Progress {
  /** Completed share of the schedule at every provider, percent. */
  percent: number;
  /** Time of the entry, ms: a later entry replaces it, the same one is applied once. */
  at: number;
}

/**
 * `{ schedule: 'fast', providers: { google: 'slow' }, spread: true, progress: { percent: 50, at: '2026-03-01' } }`;
 * every member may be omitted.
 */
export interface WarmupPlan extends RampPlan {
  /** Schedules of single providers, which override the general one. */
  providers: ReadonlyMap<string, Schedule>;
  progress?: Progress;
}

/** Plans by IP. @throws PosternError with path and reason. */
export function readPlans(value: unknown, path: string): ReadonlyMap<string, WarmupPlan> {
  const plans = new Map<string, WarmupPlan>();
  readMap(value, path, (plan, at, given) => {
    const ip = readIp(given, at);
    if (plans.has(ip)) refuse(at, `is another way to write ${ip}, which has a plan already.`);
    plans.set(ip, readPlan(plan, at));
  });
  return plans;
}

/** @param path source of the document, for messages: `warmup.203.0.113.7`. @throws PosternError */
export function readPlan(value: unknown, path: string): WarmupPlan {
  const given = readObject(value, path, ['schedule', 'providers', 'thresholds', 'spread', 'progress']);
  return {
    schedule: readSchedule(given.schedule ?? DEFAULT_SCHEDULE, `${path}.schedule`),
    providers: optional(given.providers, `${path}.providers`, new Map(), (providers, at) =>
      readMap(providers, at, (schedule, where, provider) => {
        readProvider(provider, where);
        return readSchedule(schedule, where);
      }),
    ),
    thresholds: optional(given.thresholds, `${path}.thresholds`, THRESHOLDS, readThresholds),
    spread: optional(given.spread, `${path}.spread`, false, readBoolean),
    progress: optional(given.progress, `${path}.progress`, undefined, readProgress),
  };
}

function readProgress(value: unknown, path: string): Progress {
  const { percent, at } = readObject(value, path, ['percent', 'at']);
  return {
    percent: readNumber(percent, `${path}.percent`, { min: 0, max: 100 }),
    at: readDate(at, `${path}.at`),
  };
}
