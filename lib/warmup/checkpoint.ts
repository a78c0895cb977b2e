/** The stored warm-up of one IP, which survives restarts and moves from node to node with the IP. */
import { PosternError } from '../errors.ts';
import type { RampState } from './ramp.ts';
import type { Schedule } from './schedule.ts';
import { SIGNALS, type SignalCounts } from './verdict.ts';

const VERSION = 1;

export interface RampCheckpoint extends RampState {
  /** The schedule of `position`: the plan may have been changed while no node held the IP. */
  schedule: Schedule;
}

/** The JSON value of `leases.saveCheckpoint(checkpointName(ip), …)`. */
export interface WarmupCheckpoint {
  v: number;
  ip: string;
  /** Share of its schedule (0 to 1) at which a provider without mail until now begins. */
  start: number;
  /** Time of the last progress entry (`plan.ts`) that was applied; 0 for none. */
  progressAt: number;
  /** By provider. */
  ramps: Record<string, RampCheckpoint>;
  /** Ids of the reports counted last; absent in states from before reports were counted. */
  heard?: readonly string[];
}

export function checkpointName(ip: string): string {
  return `warmup:${ip}`;
}

export function writeCheckpoint(
  ip: string,
  start: number,
  progressAt: number,
  ramps: Record<string, RampCheckpoint>,
  heard: readonly string[],
): WarmupCheckpoint {
  return { v: VERSION, ip, start, progressAt, ramps, heard };
}

/**
 * Parses a checkpoint from storage.
 * @throws PosternError `storage_too_new`, `storage_damaged`: sending on a guess could burn the IP.
 */
export function readCheckpoint(value: unknown, ip: string): WarmupCheckpoint {
  const checkpoint = value as WarmupCheckpoint;
  if (typeof checkpoint?.v === 'number' && checkpoint.v > VERSION) {
    throw new PosternError(
      'storage_too_new',
      `The warm-up state of ${ip} has version ${checkpoint.v}; this program knows ${VERSION}. Start a newer one.`,
    );
  }
  const sound =
    checkpoint?.v === VERSION &&
    checkpoint.ip === ip &&
    isCount(checkpoint.start) &&
    isCount(checkpoint.progressAt) &&
    typeof checkpoint.ramps === 'object' &&
    checkpoint.ramps !== null &&
    Object.values(checkpoint.ramps).every(isRamp) &&
    Array.isArray(checkpoint.heard ?? []) &&
    (checkpoint.heard ?? []).every((id) => typeof id === 'string');
  if (!sound) {
    throw new PosternError(
      'storage_damaged',
      `The checkpoint ${checkpointName(ip)} is not a warm-up state. Delete it to start anew; until then nothing is sent from that IP.`,
    );
  }
  return checkpoint;
}

function isRamp(ramp: RampCheckpoint): boolean {
  return (
    [ramp.position, ramp.day, ramp.leased, ramp.deliveredBefore].every(isCount) &&
    typeof ramp.steppedBack === 'boolean' &&
    SIGNALS.every((signal) => isCount((ramp.counts as SignalCounts | undefined)?.[signal])) &&
    Array.isArray(ramp.schedule) &&
    ramp.schedule.length > 0 &&
    ramp.schedule.every(({ days, messages }) => isCount(days) && isCount(messages))
  );
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && value >= 0;
}
