/**
 * What an operator on AWS must know of the policy in TypeScript: that mail went on without it. As metrics without
 * dimensions, whoever asks it; which hook it was, and why, says the log beside them.
 *
 * | metric         |                                                                                            |
 * |----------------|--------------------------------------------------------------------------------------------|
 * | PolicyFailures | calls that failed, overran their time, or were not made or waited for, since the last time |
 * | PolicyHooksOff | hooks that are asked no more: switched off, or of a policy that could not be loaded        |
 *
 * What is as it should be is not written, and costs nothing.
 */
import type { PolicyState } from '../policy/open.ts';
import type { PolicyMeter } from '../policy/runner.ts';
import type { MetricName } from './emf.ts';

export class PolicyMetrics implements PolicyMeter {
  #failures = 0;

  called(): void {
    // Only where somebody scrapes them are calls worth a figure (metrics.ts).
  }

  trouble(): void {
    this.#failures += 1;
  }

  /** Values for a line. @param state of the policy; absent: there is none. */
  take(state: PolicyState | undefined): Partial<Record<MetricName, number>> {
    const failures = this.#failures;
    const off = state === undefined ? 0 : hooksOff(state);
    this.#failures = 0;
    return { ...(failures > 0 && { PolicyFailures: failures }), ...(off > 0 && { PolicyHooksOff: off }) };
  }
}

function hooksOff({ loadedAt, disabled, hooks }: PolicyState): number {
  // How many it would have, one that never ran does not tell.
  if (loadedAt === undefined) return 1;
  return disabled === undefined ? hooks.filter((hook) => hook.disabled !== undefined).length : hooks.length;
}
