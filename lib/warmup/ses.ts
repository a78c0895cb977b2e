/**
 * Warm-up as SES shows it (`DedicatedIp`: WarmupStatus, WarmupPercentage). PutDedicatedIpWarmupAttributes is a plan
 * with `progress` (`plan.ts`); PutAccountDedicatedIpWarmupAttributes decides whether a new IP gets a plan.
 */
import type { WarmupCheckpoint } from './checkpoint.ts';
import type { WarmupPlan } from './plan.ts';
import { totalDays } from './schedule.ts';

export interface SesWarmup {
  WarmupStatus: 'IN_PROGRESS' | 'DONE';
  /** 0 to 100. */
  WarmupPercentage: number;
}

/**
 * @param plan the IP's plan; undefined when it does not warm up.
 * @param checkpoint its state on storage, within seconds of the sending node's.
 * @returns the mean over the providers that had mail from it; 100, and done, only when all are warm.
 */
export function sesWarmup(plan: WarmupPlan | undefined, checkpoint: WarmupCheckpoint | undefined): SesWarmup {
  const share = plan === undefined ? 1 : progressOf(plan, checkpoint);
  // Rounding in a sum of shares must not cost a percent.
  const percentage = Math.floor(share * 100 + 1e-6);
  return { WarmupStatus: percentage === 100 ? 'DONE' : 'IN_PROGRESS', WarmupPercentage: percentage };
}

function progressOf({ progress }: WarmupPlan, checkpoint: WarmupCheckpoint | undefined): number {
  if (progress !== undefined && progress.at > (checkpoint?.progressAt ?? 0)) return progress.percent / 100;
  const rows = Object.values(checkpoint?.ramps ?? {});
  if (rows.length === 0) return checkpoint?.start ?? 0;
  const shares = rows.map(({ position, schedule }) => Math.min(1, position / totalDays(schedule)));
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}
