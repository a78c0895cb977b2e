/** How an IP warms up, as the operator writes it. */
import { optional, readBoolean, readDate, readMap, readNumber, readObject, refuse } from '../document.ts';
import { readIp } from '../ip.ts';
import { readProvider } from '../shaping/providers.ts';
import type { RampPlan } from './ramp.ts';
import { DEFAULT_SCHEDULE, readSchedule, type Schedule } from './schedule.ts';
import { readThresholds, THRESHOLDS } from './verdict.ts';

/**
 * Where somebody has put an IP by hand: SES's PutDedicatedIpWarmupAttributes. It is part of the plan and not a
 * call to the node that sends, so that whichever node has the IP obeys it, once, after a restart too.
 */
export interface Progress {
  /** Percent of the schedule that is behind it, 0 to 100, at every provider. */
  percent: number;
  /** When that was said, ms: a later word replaces it, the same one is obeyed once. */
  at: number;
}

/**
 * `{ schedule: 'fast', providers: { google: 'slow' }, spread: true, progress: { percent: 50, at: '2026-03-01' } }`;
 * every member may be left out.
 */
export interface WarmupPlan extends RampPlan {
  /** Schedules of single providers, over the general one. */
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

/** @param path where the document comes from, for messages: `warmup.203.0.113.7`. @throws PosternError */
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
