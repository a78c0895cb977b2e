/**
 * CloudWatch metrics of the policy in TypeScript: mail that went on without it. They have no dimensions; the log names the
 * hook and the reason.
 *
 * | metric         |                                                                                            |
 * |----------------|--------------------------------------------------------------------------------------------|
 * | PolicyFailures | calls that failed, overran their time, or were not made or waited for, since the last time |
 * | PolicyHooksOff | hooks that are switched off, or belong to a policy that could not be loaded                |
 *
 * Counts of zero are not written, so they cost nothing.
 */
import type { PolicyState } from '../policy/open.ts';
import type { PolicyMeter } from '../policy/runner.ts';
import type { MetricName } from './emf.ts';

export class PolicyMetrics implements PolicyMeter {
  #failures = 0;

  called(): void {
    // Calls are counted for Prometheus only (metrics.ts).
  }

  trouble(): void {
    this.#failures += 1;
  }

  /** Metric values since the last call. @param state of the policy; absent: there is none. */
  take(state: PolicyState | undefined): Partial<Record<MetricName, number>> {
    const failures = this.#failures;
    const off = state === undefined ? 0 : hooksOff(state);
    this.#failures = 0;
    return { ...(failures > 0 && { PolicyFailures: failures }), ...(off > 0 && { PolicyHooksOff: off }) };
  }
}

function hooksOff({ loadedAt, disabled, hooks }: PolicyState): number {
  // The hooks of a policy that never loaded are unknown.
  if (loadedAt === undefined) return 1;
  return disabled === undefined ? hooks.filter((hook) => hook.disabled !== undefined).length : hooks.length;
}
